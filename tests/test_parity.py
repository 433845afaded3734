"""Our verdicts and the official checker's, on right answers that were changed in small ways."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from xlam_lib.bench import parity as bench
from xlam_lib.errors import AssetError, XlamError
from xlam_lib.evaluate import bfcl, mutations
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.records import read_json

SMALL = {"simple_python": 40, "multiple": 20, "parallel": 30, "parallel_multiple": 30, "live_multiple": 40}


@pytest.fixture(scope="module")
def asked() -> list[bfcl.Question]:
    try:
        every = bfcl.questions()
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")
    sizes = {name: 50 for name, category in bfcl.CATEGORIES.items() if category.kind == "ast"}
    return bfcl.sample(every, sizes | SMALL, 7)


def test_thousands_of_mutants_get_the_official_verdict(asked):
    found = mutations.parity(asked, 3000, 5)
    assert found.disagreements == []
    assert found.verdicts == sum(found.categories.values()) == 3000
    assert set(found.categories) == {n for n, c in bfcl.CATEGORIES.items() if c.kind == "ast"}
    assert min(found.categories.values()) >= 80
    # Every change is made, most answers are wrong and many are still right.
    assert set(found.changes) == {"none", *mutations.CHANGES}
    assert 600 < found.right < 2000 and len(found.errors) > 12, found


def test_mutants_repeat_and_leave_the_questions_alone(asked):
    before = [msgspec.json.encode(question) for question in asked]
    first, again = ([m.text for m in mutations.mutants(asked, 200, 3)] for _ in range(2))
    assert first == again != [m.text for m in mutations.mutants(asked, 200, 4)]
    assert [msgspec.json.encode(question) for question in asked] == before


def test_every_change_changes_something(asked):
    for mutant in mutations.mutants(asked, 400, 0):
        right = json.loads(oracle(mutant.question))["tool_calls"]
        if mutant.change == "none":
            assert mutant.calls == right
        elif mutant.change in ("wrong name", "argument dropped", "argument renamed", "call dropped"):
            assert mutant.calls != right, mutant


def test_a_scorer_that_errs_is_found(asked, monkeypatch):
    """The comparison can fail: a scorer that lower-cases names disagrees."""
    real = bfcl.decode

    def lenient(text, question, format="json"):
        return [{n.lower(): a for n, a in call.items()} for call in real(text, question, format)]

    monkeypatch.setattr(bfcl, "decode", lenient)
    found = mutations.parity(asked, 400, 0)
    assert found.disagreements
    assert {item.official[0] for item in found.disagreements} == {True, False}


def test_no_questions_no_mutants():
    assert list(mutations.mutants([], 10, 0)) == []


def test_committed_counts():
    if not bench.DATA.exists():
        pytest.skip("not measured yet: python -m xlam_lib bench parity")
    report = read_json(bench.DATA)
    assert report["disagreements"] == 0 and report["verdicts"] >= 20_000
    assert sum(report["categories"].values()) == sum(report["changes"].values()) == report["verdicts"]
    wrong = Counter(identifier.rsplit("_", 1)[0] for identifier in report["right_answers_wrong"])
    for name, (right, count) in report["right_answers"].items():
        assert count - right == wrong[name]
        assert wrong[name] == 0 or bfcl.CATEGORIES[name].kind == "ast"


def test_command_tells_a_disagreement(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "DATA", Path(tmp_path) / "parity.json")
    monkeypatch.setattr(bench, "measure", lambda count, seed: {"disagreements": 2, "verdicts": count})
    with pytest.raises(XlamError, match="2 of 30"):
        bench.main(["30", "1"])
    assert json.loads(capsys.readouterr().out)["verdicts"] == 30
    assert read_json(bench.DATA)["disagreements"] == 2
