"""The planner: formulas against torch's own FLOP counter, traced steps, and a step that really ran."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, MixtralConfig

from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.models import SERIES, count_parameters
from xlam_lib.train import peaks, planner
from xlam_lib.train.planner import DEVICES, Cluster, Recipe

SIZES: dict[str, Any] = dict(
    vocab_size=500,
    hidden_size=64,
    intermediate_size=160,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    sliding_window=None,
)
CONFIGS = {
    "llama": LlamaConfig(**{key: value for key, value in SIZES.items() if key != "sliding_window"}),
    "mistral": MistralConfig(**SIZES),
    "mixtral": MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2),
}
SMALL = Recipe(precision="bf16", micro_tokens=512, length=128, rank=8, recompute=False)
H100 = Cluster(DEVICES["H100-SXM-80GB"], 8)


def _counted(config: Any, backward: bool, method: str = "full") -> int:
    """FLOPs that torch counts in a step that scores every position, the experts one after the other."""
    from peft import LoraConfig, get_peft_model
    from torch.utils.flop_counter import FlopCounterMode

    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager"
    )
    if method == "lora":
        model = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear"))  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        out = model(input_ids=torch.zeros(4, 128, dtype=torch.long)).logits
        if backward:
            out.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["llama", "mistral", "mixtral"])
def test_forward_flops_are_what_torch_counts(name):
    """Eager attention multiplies the whole square of positions; ours counts the lower half."""
    flops = planner.flops_per_token(CONFIGS[name], replace(SMALL, labelled=1.0))
    square = flops.attention * 128 / planner.attended(128)
    assert _counted(CONFIGS[name], False) == pytest.approx(
        512 * (flops.linear + square + flops.head), rel=1e-9
    )


@pytest.mark.parametrize(("method", "tolerance"), [("full", 1e-9), ("lora", 0.1)])
def test_training_flops_are_what_torch_counts(method, tolerance):
    """The eager backward does not compute the scores again: 3 forward passes of attention, not 3.5.

    With LoRA the first layer's input needs no gradient, which is a small part that ours leaves in.
    """
    config = LlamaConfig(**{**CONFIGS["llama"].to_dict(), "num_hidden_layers": 4})
    flops = planner.flops_per_token(config, replace(SMALL, labelled=1.0, method=method))
    square = flops.attention * 128 / planner.attended(128)
    expected = 512 * (flops.model - 3.5 * flops.attention + 3 * square)
    assert _counted(config, True, method) == pytest.approx(expected, rel=tolerance)


def test_recomputation_and_the_reference_add_a_forward_pass_each():
    flops = {
        key: planner.flops_per_token("xLAM-7b-r", Recipe(**given))
        for key, given in {
            "plain": dict(recompute=False),
            "again": dict(recompute=True),
            "dpo": dict(recompute=False, objective="dpo"),
            "lora": dict(recompute=False, method="lora"),
        }.items()
    }
    plain = flops["plain"]
    assert plain.executed == plain.model
    assert flops["again"].executed - plain.executed == pytest.approx(plain.linear + plain.attention)
    assert flops["dpo"].executed - plain.executed == pytest.approx(
        plain.linear + plain.attention + plain.head
    )
    assert 0.66 < flops["lora"].executed / plain.executed < 0.72


def test_positions_seen():
    assert planner.attended(4) == (1 + 2 + 3 + 4) / 4
    assert planner.attended(4, window=2) == (1 + 2 + 2 + 2) / 4
    assert planner.attended(4, window=100) == planner.attended(4)


@pytest.mark.parametrize("name", ["xLAM-1b-fc-r", "xLAM-8x7b-r", "SmolLM2-135M-Instruct"])
def test_parameters_agree_with_the_series(name):
    shape, count = planner.shape_of(name), count_parameters(SERIES[name])
    assert (shape.total, shape.active_total) == (count.total, count.active)
    assert shape.embedding + shape.head == count.embedding
    assert shape.tied == (name == "SmolLM2-135M-Instruct")


def test_a_mixture_is_multiplied_with_its_chosen_experts_only():
    four, two = (
        planner.flops_per_token(
            MixtralConfig(**SIZES, num_local_experts=experts, num_experts_per_tok=2), SMALL
        ).linear
        for experts in (4, 2)
    )
    assert four - two == 2 * 2 * 64 * 2  # only the router grew: layers x 2 FLOPs x hidden x experts


@pytest.mark.parametrize("modules", ["all-linear", "attention"])
@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_adapters_are_as_many_as_peft_makes(name, modules):
    recipe = replace(SMALL, method="lora", modules=modules)
    model = peaks._build(CONFIGS[name], recipe, "meta")
    made = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert planner.adapter_parameters(planner.shape_of(CONFIGS[name]), recipe) == made


@pytest.mark.parametrize(
    ("name", "method", "precision", "recompute"),
    [
        ("llama", "full", "fp32", False),
        ("llama", "full", "mixed", True),
        ("llama", "lora", "fp32", False),
        ("mistral", "full", "mixed", False),
        ("mistral", "lora", "mixed", True),
        ("mixtral", "full", "bf16", False),
        ("mixtral", "full", "bf16", True),
        ("mixtral", "lora", "mixed", True),
    ],
)
def test_estimated_memory_is_the_traced_steps(name, method, precision, recompute):
    recipe = replace(SMALL, method=method, precision=precision, recompute=recompute)
    estimated = max(sum(parts.values()) for parts in planner.memory(CONFIGS[name], recipe).values())
    assert estimated == pytest.approx(peaks.trace_peak(CONFIGS[name], recipe), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_a_sharded_step_takes_what_was_estimated(name):
    recipe = replace(SMALL, precision="mixed", sharding="fsdp", recompute=True)
    estimated = max(sum(parts.values()) for parts in planner.memory(CONFIGS[name], recipe, 4).values())
    assert estimated == pytest.approx(peaks.trace_peak(CONFIGS[name], recipe, 4), rel=0.15)


@pytest.mark.slow
def test_experts_are_shared_out_whole():
    """FSDP2 cuts the fused experts by expert: on more devices than experts some hold none, others one."""
    recipe = replace(SMALL, precision="mixed", sharding="fsdp", recompute=True)
    config, shape = CONFIGS["mixtral"], planner.shape_of(CONFIGS["mixtral"])
    few, many = (planner.memory(config, recipe, devices)["forward"]["weights"] for devices in (4, 8))
    experts = 4 * shape.layers * shape.expert
    assert many == pytest.approx((few - experts / 4) / 2 + experts / 4)
    estimated = max(sum(parts.values()) for parts in planner.memory(config, recipe, 8).values())
    assert estimated == pytest.approx(peaks.trace_peak(config, recipe, 8), rel=0.15)


@pytest.mark.slow
def test_a_process_that_trains_takes_what_was_traced():
    config = LlamaConfig(**{**CONFIGS["llama"].to_dict(), "hidden_size": 256, "intermediate_size": 768})
    recipe = replace(SMALL, precision="fp32", micro_tokens=2048)
    measured = peaks.measure_peak(config, recipe)
    assert measured == pytest.approx(peaks.trace_peak(config, recipe), rel=0.4)  # small beside the noise


def test_attention_keeps_nothing_that_grows_with_the_square_of_the_length():
    short, long = (peaks.trace_peak(CONFIGS["llama"], replace(SMALL, length=size)) for size in (64, 512))
    assert long == pytest.approx(short, rel=0.01)


def test_sharding_divides_what_is_held_and_adds_what_is_gathered():
    one, eight = (
        planner.memory("xLAM-7b-r", Recipe(sharding="fsdp"), devices)["bottom layer"] for devices in (1, 8)
    )
    for part in ("weights", "optimizer states", "gradients"):
        assert eight[part] == pytest.approx(one[part] / 8)
    shape = planner.shape_of("xLAM-7b-r")
    assert one["weights"] == 4 * shape.total
    assert eight["weight copies"] == one["weight copies"] >= 2 * (2 * shape.layer + shape.embedding)


def test_an_estimate_adds_up():
    recipe = Recipe(sharding="fsdp", accumulation=4, total_tokens=1e9)
    found = planner.estimate("xLAM-7b-r", recipe, replace(H100, price=2.0), utilisation=0.5)
    assert tuple(found.parts) == planner.PARTS
    assert found.total == pytest.approx(sum(found.parts.values())) and found.fits
    assert found.step_seconds == max(found.compute_seconds, found.communication_seconds or 0)
    expected = found.flops.executed * 8192 * 4 / (989.4e12 * 0.5)
    assert found.compute_seconds == pytest.approx(expected)
    assert found.tokens_per_second * found.step_seconds == pytest.approx(8192 * 4 * 8)
    assert found.device_hours == pytest.approx(found.days * 24 * 8)
    assert found.cost == pytest.approx(2 * found.device_hours)
    assert found.steps == -(-1_000_000_000 // (8192 * 4 * 8))
    assert found.utilisation_source == "given"


def test_what_is_not_known_is_none_and_not_invented():
    found = planner.estimate("xLAM-7b-r", Recipe(sharding="fsdp"), replace(H100, nodes=2))
    assert found.cost is None and found.communication_seconds is None
    fast = replace(H100.device, between=50.0)
    known = planner.estimate("xLAM-7b-r", Recipe(sharding="fsdp"), replace(H100, device=fast, nodes=2))
    assert known.communication_seconds and known.communication_seconds > 0
    one = planner.estimate("xLAM-1b-fc-r", Recipe(), Cluster(H100.device))
    assert one.communication_seconds == 0


def test_utilisation_is_the_measured_one_where_there_is_one(tmp_path, monkeypatch):
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(planner, "GPU_FILE", path)
    recipe, h200 = Recipe(), Cluster(DEVICES["H200-SXM-141GB"])
    assumed = planner.estimate("xLAM-1b-fc-r", recipe, h200)
    assert (assumed.utilisation, assumed.utilisation_source) == (planner.ASSUMED_UTILISATION, "assumed")
    row = {"model": "xLAM-1b-fc-r", "method": "full", "utilisation": 0.47, "tokens_per_second": 1.0}
    path.write_text(json.dumps({"device": "NVIDIA H200", "rows": [row]}))
    measured = planner.estimate("xLAM-1b-fc-r", recipe, h200)
    assert (measured.utilisation, measured.utilisation_source) == (0.47, "measured")
    for model, method, cluster in (
        ("xLAM-7b-fc-r", "full", h200),
        ("xLAM-1b-fc-r", "lora", h200),
        ("xLAM-1b-fc-r", "full", H100),
    ):
        other = planner.estimate(model, replace(recipe, method=method), cluster)  # type: ignore[arg-type]
        assert other.utilisation_source == "assumed"


def test_the_series_as_a_table():
    names = ["xLAM-1b-fc-r", "xLAM-7b-r", "xLAM-8x22b-r"]
    rows = planner.table(H100, models=names)
    assert [row["model"] for row in rows] == names
    assert [row["method"] for row in rows] == ["full", "full", "lora"]
    fewest = [row["fewest devices"] for row in rows]
    assert fewest[0] == 1 and 1 < fewest[1] <= 8 and fewest == sorted(fewest)
    days = [row["days"] for row in rows]
    assert days == sorted(days)
    assert all(row["fits"] == (row["fewest devices"] <= 8) for row in rows)
    assert all(sum(row["parts"].values()) == pytest.approx(row["GB a device"]) for row in rows)
    assert planner.fewest_devices("xLAM-8x22b-r", Recipe(), H100, most=8) is None


def test_bad_input_is_named():
    with pytest.raises(TrainingError, match=r"device 'V100' is unknown; choose one of .*L4-24GB"):
        planner.find_device("V100")
    with pytest.raises(TrainingError, match="method 'top-2' is unknown; choose full or lora"):
        Recipe(method="top-2")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="micro_tokens is 0"):
        Recipe(micro_tokens=0)
    with pytest.raises(TrainingError, match="labelled is 2"):
        Recipe(labelled=2)
    with pytest.raises(TrainingError, match="utilisation is 40"):
        planner.estimate("xLAM-1b-fc-r", Recipe(), H100, utilisation=40)
    with pytest.raises(TrainingError, match="no device"):
        Cluster(H100.device, 0)
    with pytest.raises(TrainingError, match="sharding='none'"):
        peaks.trace_peak("xLAM-1b-fc-r", Recipe(method="lora", sharding="fsdp"), 8)
    with pytest.raises(TrainingError, match="sharding='none'"):
        peaks.measure_peak("xLAM-1b-fc-r", Recipe(sharding="fsdp"))
    with pytest.raises(TrainingError, match="precision='bf16'"):
        peaks.trace_peak(CONFIGS["mixtral"], Recipe())
    with pytest.raises(ProfileError, match="not of the series"):
        planner.estimate("xLAM-9b", Recipe(), H100)
