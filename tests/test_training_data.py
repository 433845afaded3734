"""Tokenized rows: labels on the answers alone, in every prompt style, packed and padded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import prompts
from xlam_lib.errors import TrainingError
from xlam_lib.formats import FORMATS
from xlam_lib.mixture import Example
from xlam_lib.schema import Step, Trajectory
from xlam_lib.synthesis import synthesize
from xlam_lib.train import common, data

ROWS = st.lists(
    st.tuples(
        st.lists(st.integers(5, 200), min_size=1, max_size=7), st.lists(st.integers(5, 200), min_size=1)
    ),
    min_size=0,
    max_size=5,
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return common.load(tiny_model)[1]


def dialogue() -> Trajectory:
    """Three steps: a call, a call that needs the first's result, and a refusal of a follow-up."""
    record = synthesize(4, seed=3, styles={"simple": 1.0}, irrelevant=0.0).verified[0]
    call = record.steps[0].tool_calls[0]
    steps = [
        Step(1, thought="First I look.", tool_calls=[call], next_observation='{"found": 3}'),
        Step(
            2, thought="Now the other.", tool_calls=[call], next_observation="[]", user_input="And the rest?"
        ),
        Step(3, thought="Nothing fits that.", tool_calls=[]),
    ]
    return Trajectory("own/dialogue", "own", tools=record.tools, query=record.query, steps=steps)


@pytest.mark.parametrize("style", sorted(prompts.STYLES))
@pytest.mark.parametrize("format", sorted(FORMATS))
def test_token_by_token_the_answer_alone_is_labelled_in_every_style_format_and_turn(tokenizer, style, format):
    turns = list(prompts.examples(dialogue(), style, format=format))
    assert len(turns) == 3 and "And the rest?" in turns[2][0]  # later turns hold the earlier ones
    for prompt, answer in turns:
        ids, labels = data.tokenize(tokenizer, prompt, answer)
        context = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        # The context is token by token what the model is given when it generates, and carries no label;
        assert ids[: len(context)] == list(context)
        assert set(labels[: len(context)]) == {data.IGNORE}
        # what follows is the answer with its end, every token its own label.
        assert labels[len(context) :] == ids[len(context) :]
        assert tokenizer.decode(labels[len(context) :]) == answer + tokenizer.eos_token
        assert labels[-1] == tokenizer.eos_token_id


@given(rows=ROWS)
@settings(max_examples=200, deadline=None)
def test_packed_and_padded_rows_carry_the_same_tokens_and_labels(rows):
    made = [(np.array(head + tail), len(head)) for head, tail in rows]
    one, many = data.packed(made, 2), data.padded(made, 2)
    assert one["input_ids"].shape == one["labels"].shape == one["position_ids"].shape
    bounds = one["cu_seq_lens_q"].tolist()
    assert bounds[-1] == one["input_ids"].shape[1] and len(bounds) == max(len(rows), 1) + 1
    assert one["max_length_q"] == max((len(h) + len(t) for h, t in rows), default=1)
    for number, (head, tail) in enumerate(rows):
        begin, end = bounds[number], bounds[number + 1]
        assert one["input_ids"][0, begin:end].tolist() == head + tail
        assert one["position_ids"][0, begin:end].tolist() == list(range(end - begin))
        labels = [data.IGNORE] * len(head) + tail
        assert one["labels"][0, begin:end].tolist() == labels
        assert many["input_ids"][number, : end - begin].tolist() == head + tail
        assert many["labels"][number].tolist() == labels + [data.IGNORE] * (
            many["labels"].shape[1] - len(labels)
        )
        assert many["attention_mask"][number].sum() == end - begin
    if not rows:
        assert one["labels"].tolist() == many["labels"].tolist() == [[data.IGNORE]]


def test_the_first_token_of_a_row_never_carries_a_label():
    """Packed, its label would be predicted from a neighbour's last token."""
    rows = [(np.array([7, 8, 9]), 0), (np.array([5, 6]), 0)]
    assert data.packed(rows, 2)["labels"].tolist() == [[-100, 8, 9, -100, 6]]
    assert data.padded(rows, 2)["labels"].tolist() == [[-100, 8, 9], [-100, 6, -100]]


def test_encode_counts_what_is_too_long_and_cuts_nothing(tokenizer):
    fits = Example("own/1#1", "own", "simple", "Query: one", "[]", [])
    long = Example("own/2#1", "other", "simple", "word " * 400, "[]", [])
    rows = data.encode(tokenizer, [fits, long, fits], 100)
    assert (len(rows), rows.over_long, rows.sources, rows.ids) == (2, 1, ["own"] * 2, ["own/1#1"] * 2)
    ids, labels = data.tokenize(tokenizer, fits.prompt, fits.answer)
    assert rows.dataset[1]["input_ids"].tolist() == ids and rows.lengths == [len(ids)] * 2
    assert rows.answers == [sum(label != data.IGNORE for label in labels)] * 2
    assert rows.dataset[0]["start"] == len(ids) - rows.answers[0]


def test_what_cannot_be_learned_is_named(tokenizer):
    with pytest.raises(TrainingError, match=r"example own/e#1: no answer to learn.*begins 'prompt'"):
        data.encode(tokenizer, [Example("own/e#1", "own", "simple", "prompt", " \n", [])], 100)
    with pytest.raises(TrainingError, match="1 of them longer than max_tokens=3; raise max_tokens"):
        data.encode(tokenizer, [Example("own/e#1", "own", "simple", "prompt", "[]", [])], 3)

    class Plain:
        chat_template = None

        def apply_chat_template(self, *_, **__):
            raise ValueError("no template")

    with pytest.raises(TrainingError, match="no chat template"):
        data.tokenize(Plain(), "prompt", "[]")


def test_the_loader_makes_what_is_planned_and_skips_without_making():
    from accelerate import skip_first_batches

    made = []

    def read(number: int) -> dict[str, int]:
        made.append(number)
        return {"number": number}

    loader = data.loader(5, read, pin=False)
    assert [batch["number"] for batch in loader] == [0, 1, 2, 3, 4] and len(loader) == 5
    made.clear()
    assert [batch["number"] for batch in skip_first_batches(loader, 3)] == [3, 4]
    assert made == [3, 4]
