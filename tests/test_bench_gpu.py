"""The GPU benchmark, rehearsed with tiny models: every part runs, and the planner reads what it writes."""

from __future__ import annotations

import gc
import math
import time
import weakref
from types import SimpleNamespace

import pytest
import torch

from xlam_lib.bench import gpu
from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.models import SERIES
from xlam_lib.records import read_json, write_json
from xlam_lib.train import planner, schedule

H200 = "NVIDIA H200"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors gain nothing from several threads, which wait for one another on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The results of all parts, rehearsed, and the folder that the embedded model's adapter went to."""
    folder = tmp_path_factory.mktemp("gpu")
    before = planner.GPU_FILE.read_bytes() if planner.GPU_FILE.exists() else None
    gpu.main(["--tiny", "--out", str(folder / "found.json"), "--save", str(folder / "saved")])
    assert before == (planner.GPU_FILE.read_bytes() if planner.GPU_FILE.exists() else None)
    return read_json(folder / "found.json"), folder / "saved"


def session(path, until=math.inf, options=None):
    return gpu.Session(gpu.Results(path, "a command", tiny=True), gpu.TINY, True, until, options)


def row(model="xLAM-1b-fc-r", pace=100.0, **changes):
    return {
        "part": "1b",
        "model": model,
        "method": "full",
        "micro_tokens": 8192,
        "recompute": False,
        "tokens_per_second": pace,
        "utilisation": None if pace is None else pace / 1000,
    } | changes


def test_a_rehearsal_is_marked_as_one(rehearsed):
    found, _ = rehearsed
    assert found["tiny"] is True and "measure nothing" in found["note"]
    assert all("--tiny" in part["command"] for part in (found["rate"], found["check"], *found["rows"]))


def test_every_shape_has_a_row_with_every_figure(rehearsed):
    found, _ = rehearsed
    assert {(r["part"], r["model"], r["method"]) for r in found["rows"]} == {
        ("1b", "xLAM-1b-fc-r", "full"),
        ("7b", "xLAM-7b-fc-r", "full"),
        ("8x7b", "xLAM-8x7b-r", "lora"),
        ("embedded", "SmolLM2-135M-Instruct", "lora"),
    }
    for r in found["rows"]:
        assert "error" not in r and r["attention"] in ("flash", "segments") and r["planned_memory"] > 0
        assert 0 < r["supervised_tokens_per_second"] < r["tokens_per_second"]
        assert r["supervised_tokens_per_second"] / r["tokens_per_second"] == pytest.approx(
            r["labelled"], abs=0.1
        )
        assert r["fastest_step"] <= r["step_seconds"] <= r["slowest_step"]
        expected = r["flops_per_token"] * r["tokens_per_second"] / found["rate"]["flops"]
        assert r["of_measured_rate"] == pytest.approx(expected)
        assert (r["executed_flops_per_token"] > r["flops_per_token"]) == r["recompute"]


def test_the_check_passes_and_sees_no_neighbour(rehearsed):
    found, _ = rehearsed
    rows = found["check"]["rows"]
    assert found["check"]["passed"] and len(rows) == 2 * 2 * 4
    assert all(0 < r["gradient_error"] < 0.05 for r in rows)  # bfloat16 against float64
    assert [r["neighbour_changed"] for r in rows if r["way"] == "packed, fused"] == [0.0] * 4


def test_the_check_fails_where_examples_see_one_another(tmp_path, monkeypatch):
    def joined(rows, pad):
        batch = real(rows, pad)
        end = batch["cu_seq_lens_q"][-1:]
        batch["cu_seq_lens_q"] = torch.cat([torch.zeros_like(end), end])
        return batch

    real = gpu.data.packed
    monkeypatch.setattr(gpu.data, "packed", joined)
    with pytest.raises(TrainingError, match=r"check failed .*packed, fused"):
        gpu.check(session(tmp_path / "found.json"))
    rows = read_json(tmp_path / "found.json")["check"]["rows"]
    assert {r["way"] for r in rows if not r["passed"]} == {"packed, plain", "packed, fused"}
    assert all(r["neighbour_changed"] > 1e-3 for r in rows if r["way"] == "packed, fused")


def test_the_embedded_models_adapter_measures_as_saved_what_it_measured_in_training(rehearsed):
    found, saved = rehearsed
    run = found["embedded"]
    assert run["steps"] == len(run["losses"]) > 0 and run["examples"] > 0 and run["held_out"] > 0
    assert run["saved"]["loss"] == pytest.approx(run["after"]["loss"], abs=0.02)
    assert read_json(saved / "metrics.json")["after"] == run["after"]
    size = (saved / "adapter_model.safetensors").stat().st_size
    assert size == pytest.approx(2 * run["trained"], rel=0.5)  # two bytes a number, and names


def test_a_shapes_memory_is_free_again_for_the_next(tmp_path, monkeypatch):
    made = []

    def build(*given):
        model = real(*given)
        made.append(weakref.ref(model))
        return model

    real = gpu._build
    monkeypatch.setattr(gpu, "_build", build)
    found = gpu._trial(
        session(tmp_path / "found.json", time.monotonic()),
        "1b",
        SERIES["xLAM-1b-fc-r"],
        "full",
        gpu.Trial(64, True),
    )
    gc.collect()
    assert [reference() for reference in made] == [None]
    # Its time was over before it began, and still it measured a step.
    assert found["steps"] == 1 and found["losses"] == []


def test_a_shape_that_does_not_fit_says_so(tmp_path, monkeypatch):
    def build(*given):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(gpu, "_build", build)
    here = session(tmp_path / "found.json")
    gpu.shape_part("7b")(here)
    (found,) = read_json(here.results.path)["rows"]
    assert found["error"].startswith("CUDA out of memory. Tried") and found["utilisation"] is None
    assert found["tokens_per_second"] is None


def test_a_part_without_time_begins_nothing_more(tmp_path, monkeypatch):
    def trial(*given):
        tried.append(given[-1])
        time.sleep(0.06)
        return row(micro_tokens=given[-1].micro_tokens, recompute=given[-1].recompute)

    tried: list[gpu.Trial] = []
    monkeypatch.setattr(gpu, "_trial", trial)
    here = gpu.Session(
        gpu.Results(tmp_path / "a", "", tiny=True), gpu.Sizes(), True, time.monotonic() + 0.1, None
    )
    gpu.shape_part("1b")(here)
    assert len(tried) == 1
    here = gpu.Session(gpu.Results(tmp_path / "b", "", tiny=True), gpu.Sizes(), True, math.inf, None)
    gpu.shape_part("1b")(here)
    assert tried[1:] == list(gpu.TRIALS["1b"][2])


def test_the_planner_reads_the_fastest_row(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: H200)
    monkeypatch.setattr(gpu, "best_device", lambda: torch.device("cuda"))
    path = tmp_path / "gpu.json"
    results = gpu.Results(path, "", tiny=False)
    monkeypatch.setattr(planner, "GPU_FILE", path)
    recipe, device = planner.Recipe(method="full"), planner.find_device("H200-SXM-141GB")

    def read(model):
        return planner.measured_utilisation(SERIES[model], recipe, device)

    results.add(row(pace=None, error="out of memory"))
    assert read("xLAM-1b-fc-r") is None
    results.add(row(pace=300.0, micro_tokens=4096))
    results.add(row(pace=500.0, recompute=True))
    results.add(row("xLAM-7b-fc-r", 700.0))
    assert read("xLAM-1b-fc-r") == 0.5 and read("xLAM-7b-fc-r") == 0.7
    assert planner.measured_utilisation(SERIES["xLAM-1b-fc-r"], planner.Recipe(method="lora"), device) is None
    # A second measurement of the same settings takes the place of the first.
    gpu.Results(path, "", tiny=False).add(row(pace=200.0, recompute=True))
    assert read("xLAM-1b-fc-r") == 0.3 and len(read_json(path)["rows"]) == 4


def test_utilisation_is_of_the_data_sheet_and_of_what_was_measured(tmp_path):
    results = SimpleNamespace(found={"device": H200, "rate": {"flops": 800e12}})
    here = gpu.Session(results, gpu.TINY, True, math.inf, None)  # type: ignore[arg-type]
    rows = gpu.random_rows(100, 50, 10, 10)
    work = planner.Flops(linear=0, attention=0, head=0, model=30e9, executed=40e9)
    found = gpu._speeds(here, rows, [0, 1, 2, 3], [0.0005, 0.0015], work)
    assert found["tokens_per_second"] == pytest.approx(20_000)
    assert found["supervised_tokens_per_second"] == pytest.approx(4000)
    assert found["of_measured_rate"] == pytest.approx(30e9 * 20_000 / 800e12)
    assert found["utilisation"] == pytest.approx(40e9 * 20_000 / 989.4e12)
    assert found["step_seconds"] == 0.001 and found["slowest_step"] == 0.0015


def test_random_rows_are_of_the_lengths_asked_and_within_the_vocabulary():
    rows = gpu.random_rows(5000, 30, 16, 64)
    assert 5000 <= sum(rows.lengths) < 5000 + 64
    assert min(rows.lengths) >= 16 and max(rows.lengths) <= 64 and len(rows) == len(rows.dataset)
    for k, item in enumerate(rows.dataset):
        assert len(item["input_ids"]) == rows.lengths[k] and item["input_ids"].max() < 30
        assert rows.lengths[k] - item["start"] == rows.answers[k] == rows.lengths[k] // 4


def test_attended_length_gives_the_attention_of_all_lengths(tmp_path):
    rows = gpu.random_rows(4000, 30, 16, 200)
    config = gpu.models.config(SERIES["xLAM-1b-fc-r"])
    _, work = gpu._described("1b", SERIES["xLAM-1b-fc-r"], config, "full", rows, gpu.Trial(400, False))
    shape = planner.shape_of(config)
    pairs = sum(length * (length + 1) / 2 for length in rows.lengths)
    assert work.attention == pytest.approx(
        shape.layers * 4 * shape.query * pairs / sum(rows.lengths), rel=0.01
    )


def test_the_steps_that_count_are_those_after_the_warm_up():
    rows = gpu.random_rows(1000, 30, 16, 64)
    settings = gpu.sft.Settings(batch_tokens=100)
    clock = gpu._Clock(math.inf, 0)
    clock.at = [10.0, 11.0, 13.0, 16.0]  # the ends of steps 1 to 4
    read, spans = gpu._read(rows, settings, clock, warm=2)
    plan = schedule.plan(rows.lengths, rows.sources, batch_size=1, batch_tokens=100)
    assert spans == [2.0, 3.0]
    assert read == [k for step in plan.steps[2:4] for k in step[0][0]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_the_error_says_how_to_rehearse():
    with pytest.raises(ProfileError, match="--tiny --out"):
        gpu.main(["rate"])


def test_a_rehearsal_is_never_written_where_measurements_are(tmp_path):
    for arguments in (["--tiny"], ["--tiny", "--out", str(planner.GPU_FILE)]):
        with pytest.raises(ProfileError, match="--out"):
            gpu.main(["rate", *arguments])
    with pytest.raises(ProfileError, match="part 'x' is unknown; choose from rate, check, 1b"):
        gpu.main(["x", "--tiny", "--out", str(tmp_path / "found.json")])


def test_results_of_different_devices_do_not_mix(tmp_path):
    path = tmp_path / "found.json"
    for other in ({"device": H200}, {"device": "CPU"}):  # another device; a measurement, not a rehearsal
        write_json(path, {**other, "rows": []})
        with pytest.raises(ProfileError, match="name another file"):
            gpu.Results(path, "", tiny=True)


def test_one_parts_failure_costs_the_others_nothing(tmp_path, monkeypatch, capsys):
    def fails(here):
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setitem(gpu.PARTS, "check", fails)
    path = tmp_path / "found.json"
    with pytest.raises(TrainingError, match=r"check \(RuntimeError: no such kernel\)"):
        gpu.main(["check", "rate", "--tiny", "--out", str(path)])
    assert read_json(path)["rate"]["flops"] > 0
    capsys.readouterr()
