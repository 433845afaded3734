"""Runs and stages: whole outputs or none, clear errors, resume that trusts nothing it has not checked."""

from __future__ import annotations

import fcntl
import json

import pytest

from xlam_lib import runs
from xlam_lib.errors import ArtifactError, ProfileError, XlamError
from xlam_lib.records import write_jsonl


def finish_unify(run, text="a"):
    stage = runs.begin("01_unify", run, {"sources": []})
    write_jsonl(stage.output("unified") / "x.jsonl", [text])
    return stage.finish()


def test_outputs_appear_at_the_end_and_the_next_stage_reads_them(tmp_path):
    stage = runs.begin("01_unify", tmp_path, {})
    write_jsonl(stage.output("unified") / "x.jsonl", [1])
    assert not (tmp_path / "artifacts" / "unified").exists()
    hashes = stage.finish()
    assert list((tmp_path / "artifacts" / ".work").iterdir()) == []
    following = runs.begin("02_augment", tmp_path, {})
    assert following.inputs == hashes and (following.input("unified") / "x.jsonl").exists()
    with pytest.raises(ArtifactError, match="does not read 'sft'"):
        following.input("sft")
    with pytest.raises(ArtifactError, match="does not write 'sft'"):
        following.output("sft")


def test_a_missing_input_names_the_notebook_that_makes_it(tmp_path):
    with pytest.raises(ArtifactError, match=r"notebooks/05_mix.ipynb makes it.*--only 05_mix"):
        runs.begin("06_sft", tmp_path, {})


def test_an_artifact_changed_by_hand_is_not_used(tmp_path):
    finish_unify(tmp_path)
    (tmp_path / "artifacts" / "unified" / "x.jsonl").write_text("other\n")
    with pytest.raises(ArtifactError, match="changed since 01_unify wrote it"):
        runs.begin("02_augment", tmp_path, {})


def test_a_stage_that_wrote_nothing_cannot_finish(tmp_path):
    stage = runs.begin("01_unify", tmp_path, {})
    with pytest.raises(ArtifactError, match="without writing unified"):
        stage.finish()
    stage.close()


def test_scratch_survives_an_interruption_and_half_written_outputs_do_not(tmp_path):
    first = runs.begin("01_unify", tmp_path, {"a": 1})
    (first.scratch("answers") / "kept").touch()
    (first.output("unified") / "half.jsonl").touch()
    first.close()  # killed
    again = runs.begin("01_unify", tmp_path, {"a": 1})
    assert (again.scratch("answers") / "kept").exists()
    assert list(again.output("unified").iterdir()) == []
    other = runs.begin("01_unify", tmp_path, {"a": 2})  # other parameters take up nothing
    assert list(other.scratch("answers").iterdir()) == []
    other.close()


def test_a_rerun_replaces_the_output_and_hashes_tell(tmp_path):
    one, two, three = (finish_unify(tmp_path, text) for text in ("a", "b", "a"))
    assert one == three != two


def test_two_processes_cannot_be_at_one_stage(tmp_path):
    (tmp_path / "artifacts").mkdir()
    with (tmp_path / "artifacts" / ".01_unify.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="another process is at stage 01_unify"):
            runs.begin("01_unify", tmp_path, {}, wait=0)
    runs.begin("01_unify", tmp_path, {}, wait=0).close()
    with (tmp_path / ".run.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(XlamError, match="another `run` is at work"):
            runs.execute("smoke", tmp_path, only=["01_unify"], show=False)


def test_a_full_disk_is_an_error_and_leaves_the_old_output(tmp_path, monkeypatch):
    finish_unify(tmp_path)
    stage = runs.begin("01_unify", tmp_path, {"again": True})

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(ArtifactError, match="free some disk space"):
        patch.setattr("os.fsync", full)
        write_jsonl(stage.output("unified") / "x.jsonl", ["new"])
    stage.close()
    assert (tmp_path / "artifacts" / "unified" / "x.jsonl").read_text() == '"a"\n'
    runs.check_artifact(tmp_path / "artifacts", "unified")


def test_unknown_names_are_errors_that_list_the_known(tmp_path):
    with pytest.raises(ProfileError, match=r"'nope' is unknown; choose one of .*laptop, smoke"):
        runs.load_profile("nope")
    with pytest.raises(ProfileError, match="'99_x' is unknown"):
        runs.execute("smoke", tmp_path, only=["99_x"], show=False)
    with pytest.raises(ProfileError, match="stage '99_x' is unknown"):
        runs.begin("99_x", tmp_path, {})
    with pytest.raises(
        ProfileError, match=r"parameter 'learning_rat' belongs to no notebook; known: .*learning_rate"
    ):
        runs.execute("smoke", tmp_path, overrides={"learning_rat": 1}, show=False)
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1,")
    with pytest.raises(ProfileError, match="not YAML"):
        runs.load_profile(bad)
    bad.write_text("- a\n- b\n")
    with pytest.raises(ProfileError, match="map of parameter names"):
        runs.load_profile(bad)


def test_the_notebooks_defaults_are_the_laptop_profile():
    profile = runs.load_profile("laptop")
    for name in runs.STAGES:
        for parameter, default in runs.declared_parameters(name).items():
            if parameter in profile:
                assert profile[parameter] == default, f"{name}: {parameter}"
    used = {p for name in runs.STAGES for p in runs.declared_parameters(name)}
    for name in runs.profiles():
        assert not set(runs.load_profile(name)) - used, name


def test_every_stage_names_modules_that_exist_and_reads_what_another_writes():
    written = {artifact for spec in runs.STAGES.values() for artifact in spec.writes}
    for name, spec in runs.STAGES.items():
        assert set(spec.reads) <= written
        for module in spec.modules:
            assert (runs.PACKAGE / module).exists(), f"{name}: {module}"
        assert len(runs.code_hash(name)) == 64


def test_a_failing_notebook_names_its_error_and_keeps_its_copy(tmp_path):
    with pytest.raises(XlamError, match=r"05_mix failed in cell.*03_verify.ipynb makes it"):
        runs.execute("smoke", tmp_path, only=["05_mix"], show=False)
    assert (tmp_path / "05_mix.failed.ipynb").exists() and not (tmp_path / "05_mix.ipynb").exists()
    assert json.loads((tmp_path / "run.json").read_text())["notebooks"] == {}


def test_the_machine_is_described():
    found = runs.hardware()
    assert found["processor"] and found["cores"] >= 1 and found["memory_gb"] > 0
    assert set(found["instructions"]) <= {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
