"""Published figures as data: what a run is compared with. Nothing here is measured by this project.

Every figure names the text it was read in. ``None`` means *not reported*: the text does not say. A cell's
``mark`` says how far it can be trusted: empty where the report's own text was read, ``secondhand`` where it
is known from others' summaries or another paper, ``disputed`` where the sources contradict each other.

Unless a name says otherwise, rates are in the unit of the source: per cent for BFCL and APIGen, fractions
for the interactive environments.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

XLAM = "xLAM report, arXiv 2409.03215"
APIGEN = "APIGen report, arXiv 2406.18518"
AGENTOHANA = "AgentOhana report, arXiv 2402.15506"

Mark = Literal["", "secondhand", "disputed"]

# ------------------------------------------------------------------------------------------ model series


class Model(msgspec.Struct, frozen=True):
    """A released model (xLAM, table 1): ``parameters`` in billions, ``context`` in thousands of tokens."""

    name: str
    base: str
    parameters: float
    context: int
    kind: str
    sft: str
    dpo: str


MODELS: tuple[Model, ...] = (
    Model("xLAM-1b-fc-r", "DeepSeek-Coder-1.3B-instruct", 1.35, 16, "function calling", "full", "LoRA"),
    Model("xLAM-7b-fc-r", "DeepSeek-Coder-7B-instruct-v1.5", 6.91, 4, "function calling", "full", "LoRA"),
    Model("xLAM-7b-r", "Mistral-7B (instruct)", 7.24, 32, "general", "full", "LoRA"),
    Model("xLAM-8x7b-r", "Mixtral-8x7B (instruct)", 46.7, 32, "general", "full", "LoRA"),
    Model("xLAM-8x22b-r", "Mixtral-8x22B (instruct)", 141.0, 64, "general", "LoRA", "LoRA"),
)


class Training(msgspec.Struct, frozen=True):
    """Training settings as one source states them; ``None`` is *not reported*.

    ``batch`` is examples a device and step, ``accumulation`` steps a weight update, ``max_length`` tokens.
    """

    what: str
    source: str
    hardware: str | None = None
    devices: int | None = None
    precision: str | None = None
    optimizer: str | None = None
    schedule: str | None = None
    warmup_steps: int | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    accumulation: int | None = None
    max_length: int | None = None
    lora_rank: int | None = None
    dpo_beta: float | None = None
    note: str = ""


TRAINING: tuple[Training, ...] = (
    Training(
        "xLAM series",
        XLAM,
        hardware="H100",
        schedule="cosine",
        warmup_steps=100,
        note="several epochs, shuffled in each; Transformers, Accelerate, PyTorch FSDP",
    ),
    Training(
        "APIGen function-calling models",
        f"{APIGEN}, appendix B.3",
        hardware="A100 40 GB",
        devices=8,
        precision="bf16",
        optimizer="AdamW",
        schedule="cosine",
        warmup_steps=50,
        learning_rate=5e-6,
        epochs=4,
        batch=6,
        accumulation=2,
        max_length=2048,
        note="8,000 extra relevance examples whose target is an empty list of calls or a short refusal",
    ),
    Training(
        "sample script, SFT of Mixtral-8x7B",
        "code published with the models; not stated to be the report's settings",
        devices=8,
        schedule="cosine",
        learning_rate=1e-5,
        steps=2000,
        batch=2,
        accumulation=3,
        max_length=8192,
        lora_rank=32,
        note="batch stated as 2 x 3 x 8; by reading, DeepSpeed's linear decay replaced the cosine schedule",
    ),
    Training(
        "sample script, DPO of Mixtral-8x7B",
        "code published with the models; not stated to be the report's settings",
        learning_rate=1e-5,
        steps=400,
        max_length=4096,
        dpo_beta=0.1,
    ),
)


def settings_beside(ours: Mapping[str, object]) -> list[dict[str, str]]:
    """A row a setting of :class:`Training`: what each source states, and ``ours`` by the same field names."""
    names = [name for name in Training.__struct_fields__ if name not in ("what", "source", "note")]

    def said(value: object, otherwise: str) -> str:
        return otherwise if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)

    return [
        {"setting": name.replace("_", " ")}
        | {training.what: said(getattr(training, name), "not reported") for training in TRAINING}
        | {"this run": said(ours.get(name), "")}
        for name in names
    ]


# ------------------------------------------------------------------------------------------------- BFCL

BFCL_V2_COLUMNS = (
    "ast_simple",
    "ast_multiple",
    "ast_parallel",
    "ast_parallel_multiple",
    "exec_simple",
    "exec_multiple",
    "exec_parallel",
    "exec_parallel_multiple",
    "irrelevance",
    "relevance",
)


class BfclRow(msgspec.Struct, frozen=True):
    """A row of a BFCL v2 table, in per cent.

    ``categories`` holds the parts that the columns are made of, where the source gives them.
    """

    rank: int
    model: str
    overall: float
    columns: dict[str, float]
    categories: dict[str, float] = {}


def _bfcl_rows(name: str) -> tuple[BfclRow, ...]:
    text = resources.files("xlam_lib").joinpath("data", name).read_text(encoding="utf-8")
    rows = []
    for record in csv.DictReader(text.splitlines()):
        rank, overall, model = int(record.pop("rank")), float(record.pop("overall")), record.pop("model")
        values = {key: float(value) for key, value in record.items()}
        columns = {column: values.pop(column) for column in BFCL_V2_COLUMNS}
        rows.append(BfclRow(rank, model, overall, columns, values))
    return tuple(rows)


def bfcl_v2_table5() -> tuple[BfclRow, ...]:
    """BFCL v2 with cut-off 2024-09-03, all 55 rows (xLAM, table 5)."""
    return _bfcl_rows("xlam_table5_bfcl_v2.csv")


def bfcl_v2_remeasured() -> tuple[BfclRow, ...]:
    """The five xLAM models as the leaderboard's maintainers measured them again, 2024-09-14.

    The rank is that table's. The categories are the leaderboard's non-live and live tables;
    ``non_live_irrelevance`` is the category ``irrelevance``, ``exec_python`` and ``rest`` make up
    ``exec_simple``.
    """
    return _bfcl_rows("bfcl_v2_2024-09-14_xlam.csv")


# Questions a category at the time of the report (the benchmark's files of that date): 3,951 in all.
BFCL_V2_COUNTS: dict[str, int] = {
    "simple_python": 400,
    "simple_java": 100,
    "simple_javascript": 50,
    "multiple": 200,
    "parallel": 200,
    "parallel_multiple": 200,
    "exec_simple": 100,
    "rest": 70,
    "exec_multiple": 50,
    "exec_parallel": 50,
    "exec_parallel_multiple": 40,
    "irrelevance": 240,
    "live_simple": 258,
    "live_multiple": 1037,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "live_irrelevance": 875,
    "live_relevance": 41,
}


class BfclV1(msgspec.Struct, frozen=True):
    """An overall figure on BFCL v1, which weighs all 1,700 questions alike; meaningless without its date."""

    model: str
    overall: float
    date: str
    rank: int | None
    source: str


BFCL_V1: tuple[BfclV1, ...] = (
    BfclV1("xLAM-7B (FC)", 85.65, "2024-06", 6, APIGEN),
    BfclV1("xLAM-1B (FC)", 74.41, "2024-06", 24, APIGEN),
    BfclV1("GPT-3.5-Turbo-0125 (FC)", 63.88, "2024-06", None, APIGEN),
    BfclV1("DeepSeek-Coder-7B-instruct-v1.5 (prompt)", 40.41, "2024-06", None, APIGEN),
    BfclV1("xLAM-7b-fc-r", 88.24, "2024-07-18", 3, "project page"),
    BfclV1("xLAM-1b-fc-r", 78.94, "2024-07-18", 25, "project page"),
    BfclV1("Claude-3.5-Sonnet (prompt)", 90.18, "2024-07-18", None, "project page"),
    BfclV1("GPT-4-0125 (prompt)", 88.29, "2024-07-18", None, "project page"),
    BfclV1("GPT-3.5-Turbo-0125 (FC)", 63.94, "2024-07-18", None, "project page"),
    BfclV1("xLAM-7b-fc-r", 88.76, "2024-08-14", 3, "leaderboard"),
    BfclV1("xLAM-1b-fc-r", 78.47, "2024-08-14", 32, "leaderboard"),
)

# ----------------------------------------------------------------------------------------------- APIGen


class Generator(msgspec.Struct, frozen=True):
    """What became of a generator's 40,000 samples (APIGen, table 1); ``pass_rate`` in per cent."""

    name: str
    asked: int
    verified: int
    fail_format: int
    fail_execution: int
    fail_semantic: int
    pass_rate: float
    note: str = ""

    @property
    def accounted(self) -> int:
        """The sum of the four outcomes, which should be ``asked``."""
        return self.verified + self.fail_format + self.fail_execution + self.fail_semantic


APIGEN_GENERATORS: tuple[Generator, ...] = (
    Generator("DeepSeek-Coder-33B-Inst", 40_000, 13_769, 4_311, 15_496, 6_424, 34.42),
    Generator(
        "Mixtral-8x7B-Inst",
        40_000,
        15_385,
        3_311,
        12_341,
        7_963,
        38.46,
        "adds up to 39,000, while the pass rate is of 40,000: an inconsistency of the source",
    ),
    Generator("Mixtral-8x22B-Inst", 40_000, 26_384, 1_680, 5_073, 6_863, 65.96),
    Generator("DeepSeek-V2-Chat (236B)", 40_000, 33_659, 817, 3_359, 2_165, 84.15),
)


class Ablation(msgspec.Struct, frozen=True):
    """A change of accuracy, in percentage points, against the arm named in ``against``."""

    model: str
    change: str
    against: str
    benchmark: str
    points: float
    source: str


APIGEN_ABLATION: tuple[Ablation, ...] = tuple(
    Ablation(model, f"add data that failed the {check} check", "verified data", "BFCL v1", points, APIGEN)
    for model, check, points in (
        ("xLAM-7B (FC)", "semantic", -4.06),
        ("xLAM-7B (FC)", "execution", -5.94),
        ("xLAM-1B (FC)", "semantic", -9.59),
        ("xLAM-1B (FC)", "execution", -12.17),
    )
)

# One run an arm, no variance given; the raw arm is not unified either.
XLAM_ABLATION: tuple[Ablation, ...] = tuple(
    Ablation("7B", change, against, benchmark, points, f"{XLAM}, figure 3")
    for change, against, benchmark, points in (
        ("augment", "raw", "ToolBench, unseen instructions", 2.3),
        ("augment", "raw", "WebShop", 5.8),
        ("augment", "raw", "ToolQuery", 18.3),
        ("clean", "augmented", "ToolQuery", 23.4),
    )
)

# The library the samples come from, and the check by people of the result (APIGen).
APIGEN_LIBRARY = {
    "toolbench_apis": 16_464,
    "toolbench_categories": 49,
    "rest_apis": 3_539,
    "python_functions": 134,
    "apis": 3_673,
    "categories": 21,
}
APIGEN_HUMAN_CHECK = {"records": 600, "with_minor_issues": 28}

# Shares of the 21 API categories, in per cent (APIGen).
CATEGORY_SHARES: dict[str, float] = {
    "Finance": 11.7,
    "Data": 11.1,
    "Sports": 9.0,
    "Travel": 8.1,
    "Technology": 7.9,
    "Social": 6.9,
    "Media": 5.6,
    "Entertainment": 4.7,
    "Tools": 3.8,
    "Math": 3.7,
    "Business": 3.2,
    "Gaming": 3.0,
    "Music": 3.0,
    "Commerce": 2.9,
    "Environment": 2.7,
    "Education": 2.5,
    "Communication": 2.4,
    "Lifestyle": 2.2,
    "Health": 2.1,
    "Other": 1.8,
    "Science": 1.6,
}

# Trajectories sampled, and those kept for a rating of at least 4.0 of 5 (AgentOhana, by environment).
AGENTOHANA_FILTER: dict[str, tuple[int, int]] = {
    "WebShop": (11_200, 2_063),
    "ALFWorld": (954, 336),
    "HotpotQA": (1_740, 402),
    "ToolBench": (83_771, 30_319),
    "ToolAlpaca": (3_936, 3_399),
    "operating system": (647, 195),
    "API-Bank": (33_415, 4_902),
    "database": (6_376, 538),
    "Mind2Web": (23_378, 122),
    "knowledge graph": (2_501, 324),
}

# --------------------------------------------------------------------------------------------- agents


class Cell(msgspec.Struct, frozen=True):
    """One figure of an interactive environment, a fraction; ``None`` where there is none."""

    model: str
    environment: str
    metric: str
    value: float | None
    mark: Mark = ""
    source: str = XLAM
    note: str = ""


# Of the success rates below about half were read in the report and half in summaries of it, and which is
# which was not kept: so all carry the weaker mark.
_SUMMARIES = "read in part in the report and in part in summaries of it"

AGENT_RESULTS: tuple[Cell, ...] = (
    *(
        Cell(model, environment, "success rate", value, "secondhand", note=_SUMMARIES)
        for model, environment, value in (
            ("xLAM-7b-r", "WebShop", 0.414),
            ("xLAM-8x7b-r", "WebShop", 0.410),
            ("xLAM-8x22b-r", "WebShop", 0.390),
            ("Mixtral-8x22b-inst", "WebShop", 0.383),
            ("xLAM-7b-r", "ToolQuery", 0.550),
            ("xLAM-8x7b-r", "ToolQuery", 0.683),
            ("xLAM-8x22b-r", "ToolQuery", 0.683),
            ("Mixtral-8x22b-inst", "ToolQuery", 0.400),
            ("GPT-4o-2024-05-13", "ToolQuery", 0.633),
            ("xLAM-8x22b-r", "ToolQuery-Unified", 0.733),
            ("GPT-4o-2024-05-13", "ToolQuery-Unified", 0.366),
        )
    ),
    Cell("xLAM-8x22b-r", "ToolQuery", "progress rate", 0.758, "secondhand", "a later paper"),
    Cell("GPT-4o-2024-05-13", "ToolQuery", "progress rate", 0.801, "secondhand", "a later paper"),
)

TOOLBENCH_SETTINGS = (
    "unseen instructions",
    "unseen tools, seen categories",
    "unseen tools, unseen categories",
)
_SWAPPED = (
    "summaries of the table give this under the setting named here; by the AgentOhana report the last two "
    "columns are swapped in them"
)


def _toolbench(
    model: str, values: tuple[float | None, ...], marks: tuple[Mark, ...], source: str
) -> list[Cell]:
    return [
        Cell(
            model,
            f"ToolBench, {setting}",
            "pass rate",
            value,
            mark,
            source,
            _SWAPPED if mark == "disputed" else "",
        )
        for setting, value, mark in zip(TOOLBENCH_SETTINGS, values, marks, strict=True)
    ]


_FIRST_HAND: tuple[Mark, ...] = ("", "", "")
_DISPUTED: tuple[Mark, ...] = ("secondhand", "disputed", "disputed")

# First level of ToolBench, about 1,000 cases, judged by GPT-4-0125.
TOOLBENCH_RESULTS: tuple[Cell, ...] = (
    *_toolbench("ToolLLaMA-V2", (0.4385, 0.4300, 0.4350), _FIRST_HAND, AGENTOHANA),
    *_toolbench("GPT-3.5-Turbo-0125", (0.5000, 0.5150, 0.4900), _FIRST_HAND, AGENTOHANA),
    *_toolbench("GPT-4-0125-preview", (0.5462, 0.5450, 0.5050), _FIRST_HAND, AGENTOHANA),
    *_toolbench("AgentOhana-8x7b", (0.5077, 0.5650, 0.5200), _FIRST_HAND, AGENTOHANA),
    *_toolbench("xLAM-7b-r", (0.5308, 0.5300, 0.5850), _DISPUTED, XLAM),
    *_toolbench("xLAM-8x7b-r", (None, None, 0.5700), _DISPUTED, XLAM),
    *(
        Cell("xLAM-8x22b-r", f"ToolBench, {setting}", "pass rate", None, note="not run: the server was down")
        for setting in TOOLBENCH_SETTINGS
    ),
)
# The same summaries' figures for two models that the AgentOhana report gives too: what shows the swap.
TOOLBENCH_AS_SUMMARISED: dict[str, float] = {"GPT-4-0125-preview": 0.5450, "AgentOhana-8x7b": 0.5650}

# Cases in each environment (AgentBoard's settings; ToolBench's first level); WebShop and ToolBench "about".
CASES = {"WebShop": 250, "ToolQuery": 60, "ToolQuery-Unified": 60, "ToolBench": 1000}

# ------------------------------------------------------------------------------- said in passing


class Claim(msgspec.Struct, frozen=True):
    """A figure that a report gives in its text, outside its tables: the ``value``, and where it stands."""

    value: float
    source: str
    note: str = ""


CLAIMS: dict[str, Claim] = {
    "data sets and environments named": Claim(12, f"{XLAM}, sections 3.1 and 3.5"),
    "output formats": Claim(15, f"{XLAM}, section 3.2"),
    "concatenation styles shown": Claim(3, f"{XLAM}, section 3.2", 'the text says "several" and shows these'),
    "error classes": Claim(6, f"{XLAM}, section 3.3"),
    "synthetic share": Claim(0.5, f"{XLAM}, section 3.5", "function-calling models"),
    "least instruction share": Claim(0.2, f"{XLAM}, section 3.5", "general models"),
    "greatest instruction share": Claim(0.3, f"{XLAM}, section 3.5", "general models"),
    "query styles": Claim(4, APIGEN),
    "released records": Claim(60_000, APIGEN, '"about"'),
    "least rating kept": Claim(4.0, AGENTOHANA, "of 5"),
}
