"""Packed attention: what each example gets in a row with others is what it gets alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AttentionMaskInterface,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from xlam_lib.errors import TrainingError
from xlam_lib.train import attention

SHAPES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
KINDS: dict[str, Any] = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "mistral with a window": (MistralForCausalLM, MistralConfig, {"sliding_window": 6}),
    "mistral without": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "mixtral": (MixtralForCausalLM, MixtralConfig, {"num_local_experts": 4, "num_experts_per_tok": 2}),
}
# A wrong mask moves logits by tenths; the order of additions, which differs by processor, by millionths.
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def make(kind: str, install: bool = True) -> Any:
    maker, config, more = KINDS[kind]
    torch.manual_seed(0)
    # Weights larger than usual, so that attention is far from uniform and a wrong mask shows.
    model = maker(config(**SHAPES, **more, initializer_range=0.3))
    if install:
        attention.install(model)
    return model


@pytest.fixture(scope="module", params=list(KINDS))
def models(request):
    """A stock model and the same with packed attention."""
    stock = make(request.param, install=False)
    ours = copy.deepcopy(stock)
    attention.install(ours)
    return stock, ours


def rows_of(*lengths: int, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(1, 97, (length,), generator=draw) for length in lengths]


def pair(prompt: int, *answers: int) -> list[torch.Tensor]:
    begin, *ends = rows_of(prompt, *answers)
    return [torch.cat((begin, end)) for end in ends]


def weigh(logits: torch.Tensor) -> torch.Tensor:
    """A number that depends on each logit in its own way."""
    return (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum()


def outcome(model, run):
    """Logits of each row, and the gradients of all parameters."""
    model.zero_grad()
    logits = run(model)
    torch.stack([weigh(one) for one in logits]).sum().backward()
    return [one.detach() for one in logits], [p.grad.clone() for p in model.parameters()]


def alone(rows):
    return lambda model: [model(input_ids=row[None], use_cache=False).logits[0] for row in rows]


def together(rows, share=False):
    packed = attention.pack(rows, share=share)

    def run(model):
        logits = model(**packed.inputs, use_cache=False).logits[0]
        return [logits[packed.places(number)] for number in range(len(rows))]

    return run


def assert_same(first, second):
    for one, two in zip(first[0], second[0], strict=True):
        torch.testing.assert_close(two, one, **CLOSE)
    for one, two in zip(first[1], second[1], strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=float(one.abs().max()) * 1e-5)


def test_a_packed_row_gives_each_example_its_own_logits_and_gradients(models):
    stock, ours = models
    rows = rows_of(11, 1, 5, 17)
    assert_same(outcome(stock, alone(rows)), outcome(ours, together(rows)))


def test_a_shared_beginning_gives_the_same_logits_and_gradients(models):
    stock, ours = models
    # A prompt longer than the window with two answers, one of them again with another end, and a stranger
    # that has a few tokens in common with the first.
    first, second = pair(9, 4, 7)
    third = torch.cat((second[:12], rows_of(3, seed=5)[0]))
    stranger = torch.cat((first[:3], rows_of(6, seed=6)[0]))
    rows = [first, *rows_of(8, seed=7), second, third, stranger, first]
    packed = attention.pack(rows)
    assert packed.inputs["input_ids"].shape[1] == 13 + 8 + 7 + 3 + 6 + 1
    assert_same(outcome(stock, alone(rows)), outcome(ours, together(rows, share=True)))


def test_a_neighbours_tokens_change_nothing(models):
    _, ours = models
    rows = rows_of(11, 7, 12)
    others = [rows[0], (rows[1] + 1) % 97, rows[2]]
    with torch.no_grad():
        before, after = (together(one)(ours) for one in (rows, others))
    # Experts are given tokens of all examples at once, and a product's last bit depends on how many.
    apart = 1e-6 if isinstance(ours, MixtralForCausalLM) else 0
    for number in (0, 2):
        torch.testing.assert_close(after[number], before[number], rtol=apart, atol=apart)
    assert not torch.allclose(before[1], after[1])


def test_plain_concatenation_does_let_neighbours_through():
    """The control: without the layout, the same tokens in one row do see one another."""
    stock = make("llama", install=False)
    rows = rows_of(11, 7)
    with torch.no_grad():
        joined = stock(input_ids=torch.cat(rows)[None]).logits[0]
        first, second = alone(rows)(stock)
    torch.testing.assert_close(joined[:11], first, **CLOSE)
    assert not torch.allclose(joined[11:], second, atol=0.1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_run_as_with_sdpa(models, side):
    ids = torch.stack(rows_of(12, 12))
    mask = torch.ones_like(ids)
    mask[0, slice(0, 4) if side == "left" else slice(8, None)] = 0
    with torch.no_grad():
        one, two = (model(input_ids=ids, attention_mask=mask, use_cache=False).logits for model in models)
    assert torch.equal(one[mask.bool()], two[mask.bool()])


def test_positions_that_restart_without_a_layout_are_kept_apart_as_with_sdpa(models):
    stock, ours = models
    rows = rows_of(7, 5)
    given = {
        "input_ids": torch.cat(rows)[None],
        "position_ids": torch.cat([torch.arange(7), torch.arange(5)])[None],
        "use_cache": False,
    }
    with torch.no_grad():
        assert torch.equal(stock(**given).logits, ours(**given).logits)


def test_generation_runs_as_with_sdpa(models):
    ids = torch.stack(rows_of(6, 6))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    one, two = (
        model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=3,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        for model in models
    )
    assert torch.equal(one, two)


def test_gradient_checkpointing_recomputes_with_the_layout(models):
    _, ours = models
    rows = pair(9, 4, 7)
    expected = outcome(ours, together(rows, share=True))
    ours.activation_checkpointing_enable()
    ours.train()
    try:
        assert_same(expected, outcome(ours, together(rows, share=True)))
    finally:
        ours.activation_checkpointing_disable()
        ours.eval()


def test_no_mask_of_length_by_length_is_built(models, monkeypatch):
    _, ours = models
    seen = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watch(query, *args, attn_mask=None, **kwargs):
        seen.append((query.shape[2], attn_mask))
        return plain(query, *args, attn_mask=attn_mask, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watch)

    def refuse(*args, **kwargs):
        raise AssertionError("a mask was asked for")

    monkeypatch.setitem(AttentionMaskInterface._global_mapping, attention.NAME, refuse)
    with torch.no_grad():
        together(rows_of(11, 5))(ours)
    assert [length for length, _ in seen] == [11, 5] * 2
    window = getattr(ours.config, "sliding_window", None)
    for length, mask in seen:  # a band only where a segment is longer than the window
        assert (mask is not None) == (window is not None and length > window)


def test_install_reaches_a_model_inside_peft_and_leaves_no_trace_in_a_checkpoint(tmp_path):
    from peft import LoraConfig, get_peft_model

    stock = make("llama", install=False)
    model: Any = get_peft_model(
        copy.deepcopy(stock), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    attention.install(model)
    attention.install(model)
    assert attention.installed(model)
    assert not attention.installed(stock)
    rows = rows_of(5, 6)
    with torch.no_grad():  # a fresh adapter changes nothing
        for one, two in zip(alone(rows)(stock), together(rows)(model), strict=True):
            torch.testing.assert_close(two, one, **CLOSE)
    model.get_base_model().save_pretrained(tmp_path)
    assert attention.NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


def test_a_copy_of_a_model_keeps_packed_attention():
    ours = make("llama")
    rows = rows_of(5, 6)
    with torch.no_grad():
        first, second = (together(rows)(model) for model in (ours, copy.deepcopy(ours)))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)


def test_models_that_cannot_be_packed_are_refused():
    neo = GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=9, hidden_size=8, num_layers=1, num_heads=2, attention_types=[[["global"], 1]]
        )
    )
    with pytest.raises(TrainingError, match=r"gpt_neo does not take .* without packing"):
        attention.install(neo)
    mamba = MambaForCausalLM(
        MambaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, state_size=4, expand=1)
    )
    with pytest.raises(TrainingError, match=r"mamba has layers .* one packed example into the next"):
        attention.install(mamba)


def test_a_layout_for_more_than_one_row_is_refused():
    ours = make("llama")
    given = attention.pack(rows_of(5, 6)).inputs
    with pytest.raises(TrainingError, match="got 2 rows"):
        ours(**given | {"input_ids": given["input_ids"].expand(2, -1)}, use_cache=False)


def test_scores_that_an_architecture_changes_are_refused():
    q = torch.zeros(1, 2, 3, 4)
    bounds = torch.tensor([0, 3], dtype=torch.int32)
    with pytest.raises(TrainingError, match="softcap"):
        attention.attend(torch.nn.Identity(), q, q, q, None, cu_seq_lens_q=bounds, softcap=30.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=7))
def test_packing_keeps_every_token_its_position_and_what_precedes_it(given):
    rows = [torch.tensor(row) for row in given]
    for share in (False, True):
        packed = attention.pack(rows, share=share)
        ids, positions = packed.inputs["input_ids"][0], packed.inputs["position_ids"][0]
        bounds = packed.inputs["cu_seq_lens_q"].tolist()
        prefixes = packed.inputs.get("prefixes", ((),) * len(rows))
        assert len(bounds) == len(rows) + 1
        assert bounds[-1] == len(ids) == len(positions)
        for number, row in enumerate(rows):
            places = packed.places(number)
            assert torch.equal(ids[places], row)
            assert torch.equal(positions[places], torch.arange(len(row)))
            assert packed.spans[number] == (
                *prefixes[number],
                (bounds[number], bounds[number + 1] - bounds[number]),
            )
            assert all(begin in bounds[:-1] for begin, _ in prefixes[number])
        if not share:
            assert len(ids) == sum(map(len, rows))


def test_the_shorter_way_is_taken_where_flash_attention_is_missing_or_wrong(monkeypatch):
    """The self-check, run here on the plain computation: it passes when right and warns when not."""
    arguments = (torch.device("cpu"), torch.bfloat16, 4, 2, 16)

    def plain(query, key, value, bounds, longest, window, scaling):
        q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
        return attention._segments(q, k, v, torch.diff(bounds).tolist(), None, window, scaling)[0]

    def leaky(query, key, value, bounds, longest, window, scaling):
        return plain(query, key, value, bounds[[0, -1]], longest, window, scaling)

    def unwindowed(query, key, value, bounds, longest, window, scaling):
        return plain(query, key, value, bounds, longest, None, scaling)

    def missing(*args):
        raise RuntimeError("no kernel for this device")

    for stand_in, windowed, agrees in (
        (plain, False, True),
        (plain, True, True),
        (leaky, False, False),
        (unwindowed, True, False),
        (missing, False, False),
    ):
        attention._flash_agrees.cache_clear()
        monkeypatch.setattr(attention, "_varlen", stand_in)
        if agrees:
            assert attention._flash_agrees(*arguments, windowed)
        else:
            with pytest.warns(UserWarning, match="attended to one by one"):
                assert not attention._flash_agrees(*arguments, windowed)
    attention._flash_agrees.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_flash_attention_on_a_gpu_gives_the_same(models):
    stock, ours = (copy.deepcopy(model).to("cuda", torch.bfloat16) for model in models)
    attention.install(ours)
    rows = [row.cuda() for row in rows_of(40, 1, 23)]
    packed = attention.pack([row.cpu() for row in rows])
    inputs = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in packed.inputs.items()}
    with torch.no_grad():
        logits = ours(**inputs, use_cache=False).logits[0]
        expected = torch.cat(alone(rows)(stock))
    assert (logits - expected).norm() / expected.norm() < 0.03
