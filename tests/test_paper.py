import csv
import os
from pathlib import Path

import pytest

from xlam_lib import paper
from xlam_lib.evaluate import bfcl
from xlam_lib.sources import SOURCES

TABLES = Path(os.environ.get("XLAM_DATA", "data")).parent / "paper_tables"


def test_columns_are_the_scorers():
    assert tuple(bfcl.COLUMNS) == paper.BFCL_V2_COLUMNS


def test_table5_is_whole_and_overall_is_the_plain_mean():
    rows = paper.bfcl_v2_table5()
    assert [row.rank for row in rows] == list(range(1, 56))
    assert len({row.model for row in rows}) == 55
    for row in rows:
        # Columns and overall were rounded to 0.01 before they were published.
        assert bfcl.overall_v2(row.columns) == pytest.approx(row.overall, abs=0.0101), row.model
    assert [row.overall for row in rows] == sorted((row.overall for row in rows), reverse=True)


def test_a_weighted_mean_does_not_give_the_table():
    """The caption's "weighted average": by the numbers of questions it would be far off."""
    counts = paper.BFCL_V2_COUNTS
    weights = {
        "ast_simple": sum(
            counts[n] for n in ("simple_python", "simple_java", "simple_javascript", "live_simple")
        ),
        "ast_multiple": counts["multiple"] + counts["live_multiple"],
        "ast_parallel": counts["parallel"] + counts["live_parallel"],
        "ast_parallel_multiple": counts["parallel_multiple"] + counts["live_parallel_multiple"],
        "exec_simple": counts["exec_simple"] + counts["rest"],
        "exec_multiple": counts["exec_multiple"],
        "exec_parallel": counts["exec_parallel"],
        "exec_parallel_multiple": counts["exec_parallel_multiple"],
        "irrelevance": counts["irrelevance"] + counts["live_irrelevance"],
        "relevance": counts["live_relevance"],
    }
    assert sum(weights.values()) == 3951
    first = paper.bfcl_v2_table5()[0]
    weighted = sum(weights[name] * value for name, value in first.columns.items()) / 3951
    assert abs(weighted - first.overall) > 1


def test_xlam_rows_of_table5():
    rows = {row.model.removesuffix(" (FC)"): row for row in paper.bfcl_v2_table5()}
    found = {model.name: (rows[model.name].overall, rows[model.name].rank) for model in paper.MODELS}
    assert found == {
        "xLAM-1b-fc-r": (75.43, 32),
        "xLAM-7b-fc-r": (80.18, 17),
        "xLAM-7b-r": (80.33, 14),
        "xLAM-8x7b-r": (83.38, 6),
        "xLAM-8x22b-r": (87.31, 1),
    }
    first = rows["xLAM-8x22b-r"].columns
    assert (first["irrelevance"], first["relevance"]) == (74.96, 97.56)


def test_remeasured_rows_follow_the_scorers_formula():
    """Our weights turn the leaderboard's own categories into its own columns and overall."""
    rows = paper.bfcl_v2_remeasured()
    assert [row.overall for row in rows] == [85.89, 82.06, 79.46, 79.06, 74.72]
    for row in rows:
        assert bfcl.overall_v2(row.columns) == pytest.approx(row.overall, abs=0.0101)
        parts = row.categories | {"irrelevance": row.categories["non_live_irrelevance"]}
        for column in bfcl.MEASURED_COLUMNS:
            value = sum(weight * parts[name] for name, weight in bfcl.COLUMNS[column].items())
            assert value == pytest.approx(row.columns[column], abs=0.0101), (row.model, column)
        executable = (parts["exec_python"] + parts["rest"]) / 2
        assert executable == pytest.approx(row.columns["exec_simple"], abs=0.0101)


def test_remeasured_is_a_little_lower():
    before = {row.model: row.overall for row in paper.bfcl_v2_table5()}
    drops = [before[row.model] - row.overall for row in paper.bfcl_v2_remeasured()]
    assert all(0.7 <= round(drop, 2) <= 1.45 for drop in drops)


def test_question_counts():
    counts = paper.BFCL_V2_COUNTS
    live = sum(count for name, count in counts.items() if name.startswith("live_"))
    assert (sum(counts.values()) - live, live) == (1700, 2251)
    assert set(bfcl.CATEGORIES) <= set(counts)


def test_generators_add_up_except_the_noted_row():
    for row in paper.APIGEN_GENERATORS:
        assert row.pass_rate == pytest.approx(100 * row.verified / row.asked, abs=0.0051)
        assert (row.accounted == row.asked) == (not row.note), row.name
    assert [row.accounted for row in paper.APIGEN_GENERATORS if row.note] == [39_000]


def test_two_strongest_generators_make_the_60k():
    assert sum(row.verified for row in paper.APIGEN_GENERATORS[-2:]) == 60_043


def test_library_and_shares():
    library = paper.APIGEN_LIBRARY
    assert library["rest_apis"] + library["python_functions"] == library["apis"] == 3673
    shares = paper.CATEGORY_SHARES
    assert len(shares) == library["categories"] == 21
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert all(0 < share < 100 for share in shares.values())


def test_shares_are_a_whole():
    # 21 shares, each rounded to 0.1.
    assert sum(paper.CATEGORY_SHARES.values()) == pytest.approx(100, abs=21 * 0.05)


def test_ablations_have_the_reported_signs():
    assert all(row.points < 0 for row in paper.APIGEN_ABLATION)
    assert all(row.points > 0 for row in paper.XLAM_ABLATION)
    by_arm = {(row.model, row.change): row.points for row in paper.APIGEN_ABLATION}
    assert by_arm["xLAM-1B (FC)", "add data that failed the execution check"] == -12.17
    assert by_arm["xLAM-7B (FC)", "add data that failed the semantic check"] == -4.06


def test_what_is_not_reported_is_none():
    series = paper.TRAINING[0]
    assert (series.schedule, series.warmup_steps, series.hardware) == ("cosine", 100, "H100")
    unreported = ("learning_rate", "batch", "epochs", "lora_rank", "dpo_beta", "devices")
    assert [getattr(series, name) for name in unreported] == [None] * 6


def test_agent_figures_are_fractions_with_a_mark():
    for cell in (*paper.AGENT_RESULTS, *paper.TOOLBENCH_RESULTS):
        assert cell.value is None or 0 < cell.value < 1
        if cell.mark == "disputed":
            assert cell.note
    seen = [(c.model, c.environment, c.metric) for c in (*paper.AGENT_RESULTS, *paper.TOOLBENCH_RESULTS)]
    assert len(set(seen)) == len(seen)


def test_toolquery_rates_are_whole_cases():
    """Rates of 60 cases: each is k / 60 to the digits given, cut or rounded."""
    for cell in paper.AGENT_RESULTS:
        if cell.environment.startswith("ToolQuery") and cell.metric == "success rate":
            cases = paper.CASES[cell.environment] * cell.value
            assert abs(cases - round(cases)) < 0.061, cell


def test_disputed_columns_are_the_swapped_ones():
    """What summaries give for the last setting is what AgentOhana's own report gives for the middle one."""
    middle, last = paper.TOOLBENCH_SETTINGS[1:]
    own = {(c.model, c.environment): c.value for c in paper.TOOLBENCH_RESULTS if c.source == paper.AGENTOHANA}
    for model, value in paper.TOOLBENCH_AS_SUMMARISED.items():
        assert own[model, f"ToolBench, {middle}"] == value != own[model, f"ToolBench, {last}"]
    disputed = {c.environment for c in paper.TOOLBENCH_RESULTS if c.mark == "disputed"}
    assert disputed == {f"ToolBench, {middle}", f"ToolBench, {last}"}
    assert all(c.value is None for c in paper.TOOLBENCH_RESULTS if c.model == "xLAM-8x22b-r")


def test_filter_keeps_less_than_it_sees():
    assert all(0 < kept < sampled for sampled, kept in paper.AGENTOHANA_FILTER.values())


def test_filter_is_the_published_funnel():
    sampled, kept = (sum(column) for column in zip(*paper.AGENTOHANA_FILTER.values(), strict=True))
    assert (len(paper.AGENTOHANA_FILTER), sampled, kept) == (10, 167_918, 42_600)


def test_what_the_filter_kept_of_these_environments_is_what_agentinstruct_holds():
    """Two publications agree to the record: the data set's sizes, and the report's counts of what it kept."""
    assert f"{paper.AGENTOHANA_FILTER['ALFWorld'][1]} conversations" in SOURCES["alfworld"].size
    for name in ("operating system", "database", "knowledge graph"):
        assert f"{paper.AGENTOHANA_FILTER[name][1]} {name}" in SOURCES["agentbench"].size


@pytest.mark.skipif(not TABLES.is_dir(), reason="no folder paper_tables beside XLAM_DATA")
def test_carried_rows_are_the_published_tables():
    with (TABLES / "xlam_table5_bfcl_v2.csv").open(encoding="utf-8-sig") as file:
        published = list(csv.DictReader(file))
    carried = paper.bfcl_v2_table5()
    assert len(carried) == len(published)
    for row, record in zip(carried, published, strict=True):
        assert (row.model, row.overall) == (record["model"], float(record["overall"]))
        assert row.columns == {name: float(record[name]) for name in paper.BFCL_V2_COLUMNS}


def test_claims_name_the_report_that_makes_them():
    reports = (paper.XLAM, paper.APIGEN, paper.AGENTOHANA)
    for name, claim in paper.CLAIMS.items():
        assert claim.source.startswith(reports), name
        assert ("section" in claim.source) == claim.source.startswith(paper.XLAM), name
        assert (0 < claim.value < 1) == name.endswith("share"), name
    least, greatest = (paper.CLAIMS[f"{end} instruction share"].value for end in ("least", "greatest"))
    assert least < greatest < paper.CLAIMS["synthetic share"].value
