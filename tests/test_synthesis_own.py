"""A user's own APIs to a verified data set in one call, from Python and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import xlam_lib
from xlam_lib.__main__ import main
from xlam_lib.errors import ProfileError
from xlam_lib.records import read_jsonl
from xlam_lib.samples.apis import library_server
from xlam_lib.schema import Trajectory, validate
from xlam_lib.synthesis import Registry
from xlam_lib.synthesis.own import make_data_set

APIS = Path(xlam_lib.__file__).parent / "samples" / "apis"


def test_a_python_module_gives_a_verified_data_set(tmp_path):
    made = make_data_set(APIS / "garden.py", tmp_path, count=120, seed=1, command="the test")
    total = made.result.funnel.total
    assert total.asked == 120 and total.verified >= 100
    records = list(read_jsonl(tmp_path / "verified.jsonl", Trajectory))
    assert len(records) == total.verified and not any(list(validate(record)) for record in records)
    assert {record.meta["style"] for record in records} >= {"simple", "multiple", "parallel", "irrelevant"}
    assert {record.meta["generator"] for record in records} == {"templates"}
    rows = json.loads((tmp_path / "release" / "xlam_function_calling.json").read_text())
    assert len(rows) == made.release.written and set(rows[0]) == {"id", "query", "tools", "answers"}
    card = (tmp_path / "release" / "README.md").read_text()
    assert "the test" in card and "rules" in card


def test_an_openapi_document_gives_one_too_and_its_service_is_called(tmp_path):
    with library_server.serve() as url:
        made = make_data_set(APIS / "library.yaml", tmp_path, count=80, seed=2, base_url=url)
    assert made.library.skipped  # what changes things is not called unless one says so
    assert made.result.funnel.total.verified >= 50
    answered = [
        record for record in read_jsonl(tmp_path / "verified.jsonl", Trajectory) if record.steps[0].tool_calls
    ]
    assert all(json.loads(record.steps[0].next_observation) for record in answered)


def test_a_library_that_nobody_can_ask_for_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="no function"):
        make_data_set(Registry(name="nothing"), tmp_path)


def test_the_command_line_makes_one(tmp_path, capsys):
    arguments = ["synthesize", str(APIS / "garden.py"), "--out", str(tmp_path), "--count", "30"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "30 asked" in told and "written to" in told
    assert "xlam_lib synthesize" in (tmp_path / "release" / "README.md").read_text()
    assert main(["synthesize", str(tmp_path / "absent.py"), "--out", str(tmp_path)]) == 1
    assert "absent.py" in capsys.readouterr().err
