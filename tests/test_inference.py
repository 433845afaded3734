"""Generation: the same tokens as transformers' own, whatever the batch; answers kept batch by batch."""

from __future__ import annotations

import json

import pytest
import torch

from xlam_lib import generation
from xlam_lib.constrained import answer_schema
from xlam_lib.errors import XlamError
from xlam_lib.formats import get_format
from xlam_lib.inference import Generation, LocalModel, best_dtype, generate
from xlam_lib.schema import Tool


@pytest.fixture(scope="module")
def model(tiny_model) -> LocalModel:
    return LocalModel.load(tiny_model, "tiny")


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


CHATS = [chat("word " * n + f"number {n}") for n in (1, 30, 4, 12, 2, 7)]


def test_greedy_tokens_equal_transformers_own(model, monkeypatch):
    monkeypatch.setattr(model, "stop_at_json", False)
    found = generate(CHATS, model, max_new_tokens=12, batch_size=4)
    for chat_, answer in zip(CHATS, found, strict=True):
        ids = torch.tensor([model.encode(chat_)])
        with torch.no_grad():
            whole = model.model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        expected = model.tokenizer.decode(whole, skip_special_tokens=True).strip()
        assert answer.text == expected and answer.prompt_tokens == ids.shape[1]


def test_a_batch_goes_on_from_what_the_last_one_read(tiny_model, monkeypatch):
    """The same tokens as without; only what is new is read, and only if all that is kept fits."""
    text = "word " * 60
    rounds = [
        [chat(text + "and then"), chat("Another, shorter one."), chat("tools: " * 50)],
        [chat(text + "and then it went on"), chat(text + "and then"), chat("New."), chat("tools: " * 49)],
        [chat(text + "and then it went on"), chat("word " * 80)],
    ]
    plain, keeping, small = (LocalModel.load(tiny_model, stop_at_json=False, keep=n) for n in (0, 4096, 100))
    for one in (plain, keeping, small):
        one.model.float()
    read = []
    forward = keeping.model.model.forward

    def counting(*args, **inputs):
        read.append(inputs["input_ids"].shape[1])
        return forward(*args, **inputs)

    monkeypatch.setattr(keeping.model.model, "forward", counting)
    for number, chats in enumerate(rounds):
        read.clear()
        expected = plain.generate(chats, 12)
        assert keeping.generate(chats, 12) == expected
        assert small.generate(chats, 12) == expected
        assert 0 < sum(len(one.tokens) for one in small._kept) <= 100
        tokens = sum(answer.prompt_tokens for answer in expected)
        news = sum(size for size in read if size > 1)
        assert news < tokens / 3 if number else news > tokens / 2
    prompts = [one.tokens for one in keeping._kept]
    assert 2 < len(prompts) < sum(map(len, rounds)) and not plain._kept
    assert not any(a is not b and a[: len(b) - 1] == b[:-1] for a in prompts for b in prompts)


def test_rows_that_stop_leave_the_others_unchanged(model, monkeypatch):
    """Rows end at different steps when a token they produce becomes the stop; the rest must not notice."""
    monkeypatch.setattr(model, "stop_at_json", False)
    prompts = [model.encode(c) for c in CHATS]
    tokens = [model._decode([prompt], 16)[0][0] for prompt in prompts]
    stop = tokens[0][3]
    monkeypatch.setattr(model.model.config, "eos_token_id", stop)
    cut = [row[: row.index(stop)] if stop in row else row for row in tokens]
    together = model._decode(prompts, 16)
    assert [row for row, _ in together] == cut
    assert together[0][1] == "stop" and len({len(row) for row, _ in together}) > 1


def test_generation_stops_at_the_end_of_the_json(tiny_model):
    model = LocalModel.load(tiny_model, "scripted")  # its own copy, because its head is replaced
    wanted = model.tokenizer('{"a": [1]} and more', add_special_tokens=False)["input_ids"]
    script = iter(wanted)
    vocabulary = len(model.tokenizer)

    class Scripted(torch.nn.Module):
        def forward(self, hidden):
            logits = torch.zeros(hidden.shape[0], vocabulary)
            logits[:, next(script)] = 1
            return logits

    model.model.lm_head = Scripted()
    (answer,) = model.generate([chat("x")], 12)
    assert (answer.text, answer.finish) == ('{"a": [1]}', "json")


def test_a_prompt_beyond_the_context_is_reported_not_cut(model):
    short, long = generate([chat("hi"), chat("word " * 600)], model, max_new_tokens=4)
    assert long.finish == "context" and long.text == "" and long.prompt_tokens > 512
    assert short.finish != "context"


class Counting:
    name = "counting"

    def __init__(self, fail_after: int = 10**9) -> None:
        self.calls, self.fail_after = 0, fail_after

    def generate(self, chats, max_new_tokens):
        if self.calls == self.fail_after:
            raise KeyboardInterrupt
        self.calls += 1
        return [Generation(c[0]["content"].upper(), 1, 1, "stop") for c in chats]


def test_an_interrupted_call_goes_on_where_it_stopped(tmp_path):
    cache = tmp_path / "answers.jsonl"
    chats = [chat(f"text {n}") for n in range(10)]
    with pytest.raises(KeyboardInterrupt):
        generate(chats, Counting(fail_after=3), batch_size=2, cache=cache)
    with cache.open("ab") as file:
        file.write(b'{"key": "torn')  # killed in the middle of a line
    rest = Counting()
    answers = generate(chats, rest, batch_size=2, cache=cache)
    assert rest.calls == 2 and [a.text for a in answers] == [f"TEXT {n}" for n in range(10)]
    nothing = Counting()
    assert generate(chats, nothing, batch_size=2, cache=cache) == answers and nothing.calls == 0
    other = Counting()
    other.name = "another model"
    generate(chats, other, batch_size=2, cache=cache)
    assert other.calls == 5


def test_progress_counts_every_chat_and_bad_sizes_are_refused():
    seen = []
    generate(
        [chat("a")] * 5, Counting(), batch_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert generate([], Counting()) == []
    with pytest.raises(XlamError, match="at least 1"):
        generate([chat("a")], Counting(), batch_size=0)


def test_chats_that_begin_alike_are_answered_together():
    """Groups with a common beginning stay whole and go by their longest; the rest by length."""
    texts = ["x" * 40, "tools: A B C; first", "y" * 15, "tools: A B C; second one", "tools: A B C; third"]
    batches = list(generation._batches([chat(text) for text in texts], 3, 10_000))
    assert batches == [[2, 1, 3], [4, 0]]
    assert [len(batch) for batch in generation._batches([chat("a" * 30)] * 9, 9, 100)] == [2, 2, 2, 2, 1]


def test_schemas_are_for_back_ends_that_keep_them():
    with pytest.raises(XlamError, match="counting: cannot hold answers to a schema"):
        generate([chat("a")], Counting(), schemas=["{}"])


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_answers_are_held_to_their_schemas_and_the_others_are_free(tiny_model, temperature):
    pytest.importorskip("llguidance")
    tools = [Tool("turn", "", {"left": {"type": "boolean", "required": True}}), Tool("halt")]
    schema = json.dumps(answer_schema(tools))
    model = LocalModel.load(tiny_model, "held", temperature=temperature)
    held = generate(CHATS, model, max_new_tokens=60, schemas=[schema] * len(CHATS))
    whole = [answer for answer in held if answer.finish != "length"]
    assert whole or temperature is None
    for answer in whole:
        for call in get_format("json").parse(answer.text).calls:
            assert (call.name, call.arguments) in [
                ("turn", {"left": True}), ("turn", {"left": False}), ("halt", {}),
            ]  # fmt: skip
    if temperature is None:
        free = generate(CHATS, model, max_new_tokens=8)
        mixed = generate(CHATS, model, max_new_tokens=8, schemas=[schema, *[None] * 5])
        assert mixed[1:] == free[1:] and mixed[0] != free[0]
        assert mixed[0].text.startswith('{"tool_calls": [')


def test_a_window_of_attention_is_kept(tmp_path):
    """Mistral before version 0.2 attends to the last tokens only; so do prompts longer than that here."""
    from tests.tiny import make_series

    folder = make_series(tmp_path / "mistral", "xLAM-7b-r")
    model = LocalModel.load(folder, "windowed", stop_at_json=False)
    model.model.config.sliding_window = 9
    for layer in model.model.model.layers:
        layer.self_attn.sliding_window = 9
    prompts = [model.encode(chat("word " * n)) for n in (3, 40)]
    found = [row for row, _ in model._decode(prompts, 8)]
    for prompt, row in zip(prompts, found, strict=True):
        ids = list(prompt)
        for _ in range(8):
            with torch.inference_mode():
                logits = model.model(torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
        assert row == ids[len(prompt) :]


def test_cpus_without_bfloat16_use_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert best_dtype("cpu") == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert best_dtype("cpu") == torch.bfloat16
