"""What a call costs: the formula against torch's counter, its limits, prices, and the measurement's parts."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, MixtralConfig

from xlam_lib import inference_cost as cost
from xlam_lib import models, paper
from xlam_lib.bench import latency
from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.inference_cost import Call, Reached, serve
from xlam_lib.records import read_json
from xlam_lib.train.planner import DEVICES, Device, shape_of

SIZES = dict(
    vocab_size=500,
    hidden_size=64,
    intermediate_size=160,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)
DENSE = LlamaConfig(**SIZES)  # type: ignore[arg-type]
MIXTURE = MixtralConfig(**SIZES, sliding_window=None, num_local_experts=4, num_experts_per_tok=2)  # type: ignore[arg-type]
H100 = DEVICES["H100-SXM-80GB"]
FULL = Reached(1.0, 1.0, "measured")
counts = st.integers(1, 200)


@pytest.mark.parametrize("config", [DENSE, MIXTURE], ids=["dense", "mixture"])
def test_flops_of_reading_and_writing_are_what_torch_counts(config):
    from torch.utils.flop_counter import FlopCounterMode

    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager"
    )
    shape = shape_of(config)
    tokens = torch.zeros(1, 40, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        cache = model(input_ids=tokens, logits_to_keep=1, use_cache=True).past_key_values
    attention = shape.layers * 4 * shape.query * 40
    square = 40 - (40 + 1) / 2  # eager attention multiplies positions that are hidden, too
    assert counter.get_total_flops() == pytest.approx(
        cost.prefill_flops(shape, 40) + attention * square, rel=1e-9
    )
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=tokens[:, :1], past_key_values=cache)
    assert counter.get_total_flops() == pytest.approx(cost.step_flops(shape, 41), rel=1e-9)
    kept = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values)) / 41
    assert kept == cost.cache_bytes(shape, 4)


def test_what_is_read_of_a_mixture_grows_with_the_tokens_to_all_of_it():
    shape = shape_of(MIXTURE)
    dense = shape_of(DENSE)
    assert cost.experts_read(shape, 1) == shape.active == 2
    assert cost.experts_read(shape, 2) == 4 * (1 - 0.5**2)
    assert cost.experts_read(shape, 99) == pytest.approx(4)
    assert cost.experts_read(dense, 1) == cost.experts_read(dense, 8) == 1
    everything = shape.total - shape.embedding - shape.hidden  # the last norm's weights are not counted
    assert cost.weights_read(shape, 99) == pytest.approx(everything + 99 * shape.hidden)
    one = cost.weights_read(shape, 1) - shape.hidden
    assert one == pytest.approx(everything - shape.layers * shape.expert / 2)


@given(tokens=st.integers(1, 40))
def test_a_token_more_never_reads_fewer_experts(tokens):
    shape = shape_of(MIXTURE)
    assert cost.experts_read(shape, tokens) < cost.experts_read(shape, tokens + 1) <= shape.experts


@given(prompt=counts, answer=counts, batch=st.integers(1, 64))
def test_more_of_anything_takes_longer_and_together_is_never_dearer(prompt, answer, batch):
    call = Call(prompt, answer, batch)
    found = serve(DENSE, call, H100)
    for more in (
        replace(call, prompt=prompt + 1),
        replace(call, answer=answer + 1),
        replace(call, batch=batch + 1),
    ):
        assert serve(DENSE, more, H100).seconds >= found.seconds * (1 - 1e-12)
        assert sum(serve(DENSE, more, H100).memory.values()) > sum(found.memory.values())
    assert serve(DENSE, replace(call, batch=2 * batch), H100).device_seconds <= found.device_seconds * 1.0001


def test_one_call_is_read_at_the_speed_of_arithmetic_and_written_at_that_of_memory():
    shape, call = shape_of("xLAM-7b-r"), Call(600, 50)
    found = serve("xLAM-7b-r", call, H100, FULL)
    assert found.devices == 1 and found.bound == "reading"
    assert found.prefill_seconds == pytest.approx(2 * 600 * shape.total / (H100.rate * 1e12), rel=0.06)
    assert found.decode_seconds == pytest.approx(49 * 2 * shape.total / (H100.bandwidth * 1e9), rel=0.03)
    assert found.seconds == found.prefill_seconds + found.decode_seconds == found.device_seconds
    half = serve("xLAM-7b-r", call, H100, Reached(0.5, 0.5))
    assert half.seconds == pytest.approx(2 * found.seconds)
    # A narrow enough memory makes even reading the prompt wait for it; a wide one makes writing arithmetic.
    slow = serve("xLAM-7b-r", call, Device("", 80, 989, 1), FULL)
    assert slow.prefill_seconds == pytest.approx(2 * cost.weights_read(shape, 600) / 1e9)
    assert serve("xLAM-7b-r", call, Device("", 80, 1, 1e6), FULL).bound == "arithmetic"


def test_a_model_is_served_by_as_few_devices_as_hold_it():
    needed = {model.name: serve(model.name, Call(600, 50), H100).devices for model in paper.MODELS}
    assert needed == {
        "xLAM-1b-fc-r": 1,
        "xLAM-7b-fc-r": 1,
        "xLAM-7b-r": 1,
        "xLAM-8x7b-r": 2,
        "xLAM-8x22b-r": 4,
    }
    eight = serve("xLAM-8x7b-r", Call(600, 50), H100, devices=8)
    two = serve("xLAM-8x7b-r", Call(600, 50), H100)
    assert eight.seconds == pytest.approx(two.seconds / 4)
    assert eight.device_seconds == pytest.approx(two.device_seconds)
    with pytest.raises(ProfileError, match=r"140\.6 billion parameters .* do not fit 64 x thumb"):
        serve("xLAM-8x22b-r", Call(600, 50), Device("thumb", 1, 1, 1))


def test_a_window_bounds_what_is_kept_and_looked_back_at():
    wide = shape_of(MistralConfig(**SIZES, sliding_window=None))  # type: ignore[arg-type]
    narrow = shape_of(MistralConfig(**SIZES, sliding_window=16))  # type: ignore[arg-type]
    assert cost.step_flops(narrow, 16) == cost.step_flops(wide, 16) < cost.step_flops(wide, 17)
    assert cost.step_flops(narrow, 400) == cost.step_flops(narrow, 16)
    call = Call(300, 100)
    ratio = cost.memory(wide, call)["keys and values"] / cost.memory(narrow, call)["keys and values"]
    assert ratio == 400 / 16


@pytest.mark.parametrize("given", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_call_without_tokens_is_none(given):
    with pytest.raises(ProfileError, match="each must be at least 1"):
        Call(*given)


@pytest.mark.parametrize("given", [(0.0, 0.5), (0.5, 1.5)])
def test_what_is_reached_is_a_share(given):
    with pytest.raises(ProfileError, match="above 0 and at most 1"):
        Reached(*given)


def test_prices_name_models_of_the_table_and_say_where_they_stood():
    known = {row.model.split(" (")[0] for row in paper.bfcl_v2_table5()}
    found = cost.prices()
    assert len({price.model for price in found}) == len(found) >= 5
    for price in found:
        assert price.model in known and 0 < price.input < price.output
        assert price.source.startswith("https://") and (price.seen == "" or price.seen.startswith("2024-"))
    dear = cost.Price("one", 5.0, 15.0, "", "")
    assert dear.of(1_000_000, 0) == 5.0 and dear.of(0, 200_000) == 3.0


def test_the_table_has_a_cost_only_with_a_price():
    rows = cost.table(["xLAM-1b-fc-r", "xLAM-8x7b-r"], Call(600, 50), (1, 16), H100)
    assert [row["at a time"] for row in rows] == [1, 16, 1, 16]
    assert all(row["cost of 1,000 calls"] is None for row in rows)
    priced = cost.table(["xLAM-1b-fc-r"], Call(600, 50), (1,), H100, price=3600.0)
    assert priced[0]["cost of 1,000 calls"] == pytest.approx(1000 * rows[0]["device seconds a call"])


def test_at_the_break_even_price_a_call_costs_what_the_hosted_one_does():
    call, name = Call(600, 50), "GPT-4o-2024-05-13"
    rows = cost.table(["xLAM-1b-fc-r", "xLAM-8x22b-r"], call, (1, 4), H100)
    even = cost.break_even(rows, [name], call)
    assert [(row["model"], row["at a time"]) for row in even] == [
        (row["model"], row["at a time"]) for row in rows
    ]
    money = next(price for price in cost.prices() if price.model == name).of(600, 50)
    assert money == pytest.approx(0.00375)
    for row in even:
        served = serve(row["model"], Call(600, 50, row["at a time"]), H100)
        assert served.cost(row[name]) == pytest.approx(money)
    with pytest.raises(ProfileError, match="hosted model 'GPT-0' has no price; choose from GPT-4o"):
        cost.break_even(rows, ["GPT-0"], call)


# ------------------------------------------------------------------------------------------ measurement


def test_the_formula_is_compared_with_measured_calls(tmp_path, monkeypatch, capsys):
    tiny = {latency.SMALL: (1, 3), latency.MIXTURE: (1,)}
    monkeypatch.setattr(latency, "SHAPES", tiny)
    monkeypatch.setattr(latency, "PROMPT", 20)
    monkeypatch.setattr(latency, "ANSWER", 3)
    monkeypatch.setattr(latency, "FILE", tmp_path / "latency.json")
    monkeypatch.setattr(latency, "matrix_rate", lambda **_: 1e11)
    monkeypatch.setattr(latency, "memory_bandwidth", lambda: 1e10)

    def measure(name, batches, prompt, answer, rounds):
        measured = {"prefill": 0.5, "seconds": 1.5, "peak": 10**9}
        return [{"batch": b, "prompt": prompt, "answer": answer, "measured": measured} for b in batches]

    monkeypatch.setattr(latency, "measure", measure)
    latency.main(["1"])
    found = read_json(tmp_path / "latency.json")
    assert [(row["shape"], row["calls_at_a_time"]) for row in found["rows"]] == [
        (latency.SMALL, 1), (latency.SMALL, 3), (latency.MIXTURE, 1),
    ]  # fmt: skip
    assert [row["calls_ratio"] for row in found["rows"]] == [1.0, 3.0, 1.0]
    first = found["rows"][0]
    assert first["decode_seconds"] == 1.0 and first["peak_GB"] == 1.0
    assert first["measured_over_expected"] == pytest.approx(1.5 / first["expected_seconds"], abs=0.01)
    assert first["expected_decode_seconds"] == pytest.approx(2 * 4 * first["parameters"] / 1e10, rel=0.02)
    assert "10.0 GB/s" in capsys.readouterr().out


def test_random_weights_answer_as_many_tokens_as_are_asked_for(monkeypatch):
    monkeypatch.setattr(latency, "configuration", lambda _: MIXTURE)
    model = latency._model(latency._random(MIXTURE))
    reference = latency._shallow(MIXTURE)
    assert reference.num_hidden_layers == 1
    first, whole = latency.timed(model, 2, 30, 5, 1)
    assert first > 0 and whole > 0
    assert len(model.encode([{"role": "user", "content": "3 30"}])) == 30
    frequencies = [b for name, b in model.model.named_buffers() if name.endswith("inv_freq")]
    assert frequencies and all(float(b.max()) == 1.0 for b in frequencies)
    with pytest.raises(TrainingError, match="larger context"):
        latency.timed(model, 1, MIXTURE.max_position_embeddings, 5, 1)


def test_the_measuring_process_prints_a_row_a_batch(monkeypatch, capsys):
    given = {"name": "any", "batches": [1, 2], "prompt": 12, "answer": 3, "rounds": 1}
    monkeypatch.setattr(latency, "configuration", lambda _: MIXTURE)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(given)))
    latency._here()
    rows = json.loads(capsys.readouterr().out)
    assert [(row["batch"], row["prompt"], row["answer"]) for row in rows] == [(1, 12, 3), (2, 12, 3)]
    assert all(row["measured"]["prefill"] > 0 and row["measured"]["seconds"] > 0 for row in rows)


def test_a_measuring_process_that_fails_says_why(monkeypatch):
    failed = SimpleNamespace(returncode=-9, stderr="")
    monkeypatch.setattr(latency.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(TrainingError, match=r"SmolLM2-135M-Instruct: .* failed \(exit status -9\)"):
        latency.measure(latency.SMALL, (1,), 8, 2, 1)


def test_memory_is_read_at_some_speed():
    assert latency.memory_bandwidth(1 << 16, 1) > 1e6


@pytest.mark.skipif(not latency.FILE.exists(), reason="not measured yet")
def test_the_books_figures_are_a_run_of_the_named_command():
    found = read_json(latency.FILE)
    assert found["command"].startswith("python -m xlam_lib bench latency")
    assert {row["shape"] for row in found["rows"]} == set(latency.SHAPES)
    for row in found["rows"]:
        assert row["parameters"] == shape_of(latency.configuration(row["shape"])).total
        assert row["seconds"] > row["prefill_seconds"] > 0
        assert row["measured_over_expected"] == pytest.approx(
            row["seconds"] / row["expected_seconds"], abs=2e-3
        )
    assert json.dumps(found)
    assert models.find("xLAM-1b-fc-r").name in latency.SHAPES
