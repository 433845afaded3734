"""What a training step reads: tokenized rows, packed without padding, labelled on the answer alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xlam_lib.errors import TrainingError
from xlam_lib.mixture import Example

IGNORE = -100
Batch = dict[str, Any]


def tokenize(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Token ids of a chat and its labels.

    The prompt is encoded exactly as it is for generation, then the answer and the end-of-text token
    follow; so the model is trained on the context it will see. Labels are ``IGNORE`` on the prompt.

    Raises
    ------
    TrainingError
        The answer is empty, or the tokenizer has no chat template.
    """
    if not answer.strip():
        raise TrainingError(
            f"no answer to learn; its prompt begins {prompt[:80]!r}; leave it out, or give it an answer"
        )
    try:
        head = list(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
            )
        )
    except ValueError as error:
        if getattr(tokenizer, "chat_template", None):
            raise
        raise TrainingError(
            "the tokenizer has no chat template, so nobody can say where the answer begins; name a model of "
            "xlam_lib.models.SERIES, or set tokenizer.chat_template"
        ) from error
    tail = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return head + tail, [IGNORE] * len(head) + tail


@dataclass(frozen=True)
class Rows:
    """Tokenized examples.

    Attributes
    ----------
    dataset
        A ``datasets.Dataset`` with ``input_ids`` (int32) and ``start``, where the labelled answer begins.
    lengths, answers
        Tokens of each row, and those of them that carry a label.
    sources
        The source of each row: what the schedule interleaves.
    ids
        The examples' own ids.
    over_long
        Examples left out for their length.
    """

    dataset: Any
    lengths: list[int]
    answers: list[int]
    sources: list[str]
    ids: list[str]
    over_long: int

    def __len__(self) -> int:
        return len(self.lengths)


def encode(tokenizer: Any, examples: Sequence[Example], max_tokens: int) -> Rows:
    """Tokenize; examples of more than ``max_tokens`` are left out and counted, an answer is never cut.

    Raises
    ------
    TrainingError
        An example has no answer, or none is left.
    """
    from datasets import Dataset, Features, List, Value

    columns: dict[str, list[Any]] = {"input_ids": [], "start": []}
    sources, names = [], []
    over = 0
    for example in examples:
        try:
            ids, labels = tokenize(tokenizer, example.prompt, example.answer)
        except TrainingError as error:
            raise TrainingError(f"example {example.id}: {error}") from None
        if len(ids) > max_tokens:
            over += 1
            continue
        columns["input_ids"].append(np.asarray(ids, dtype=np.int32))
        columns["start"].append(sum(label == IGNORE for label in labels))
        sources.append(example.source)
        names.append(example.id)
    if not sources:
        raise TrainingError(
            f"no example to train on: {len(examples)} given, "
            f"{over} of them longer than max_tokens={max_tokens}; "
            "raise max_tokens or mix other data"
        )
    features = Features({"input_ids": List(Value("int32")), "start": Value("int32")})
    lengths = [len(row) for row in columns["input_ids"]]
    answers = [length - start for length, start in zip(lengths, columns["start"], strict=True)]
    return Rows(
        Dataset.from_dict(columns, features=features).with_format("numpy"),
        lengths,
        answers,
        sources,
        names,
        over,
    )


def packed(rows: Sequence[tuple[np.ndarray, int]], pad: int) -> Batch:
    """Rows laid end to end, without padding and apart from one another.

    Returns ``input_ids``, ``labels`` and ``position_ids`` of shape (1, T), and where each row begins and
    ends under the names of transformers' flash attention: ``cu_seq_lens_q`` and ``cu_seq_lens_k`` of shape
    (rows + 1,), ``max_length_q`` and ``max_length_k``. :mod:`xlam_lib.train.attention` keeps the rows apart.
    No rows give one token without a label, for a process whose stream has ended before the others'.
    """
    rows = rows or [(np.array([pad], dtype=np.int64), 1)]
    lengths = [len(ids) for ids, _ in rows]
    ids = np.concatenate([row for row, _ in rows]).astype(np.int64)
    labels = np.full(len(ids), IGNORE, dtype=np.int64)
    begin = 0
    for (_, start), length in zip(rows, lengths, strict=True):
        # The first token of a row has no label ever: the token before it belongs to a neighbour.
        first = begin + max(start, 1)
        labels[first : begin + length] = ids[first : begin + length]
        begin += length
    bounds = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    return {
        "input_ids": torch.from_numpy(ids)[None],
        "labels": torch.from_numpy(labels)[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def padded(rows: Sequence[tuple[np.ndarray, int]], pad: int) -> Batch:
    """Rows under one another, padded on the right: for models whose attention cannot be packed."""
    rows = rows or [(np.array([pad], dtype=np.int64), 1)]
    width = max(len(ids) for ids, _ in rows)
    batch = {
        "input_ids": torch.full((len(rows), width), pad),
        "attention_mask": torch.zeros((len(rows), width), dtype=torch.long),
        "labels": torch.full((len(rows), width), IGNORE),
    }
    for number, (ids, start) in enumerate(rows):
        values = torch.from_numpy(ids.astype(np.int64))
        batch["input_ids"][number, : len(ids)] = values
        batch["attention_mask"][number, : len(ids)] = 1
        batch["labels"][number, max(start, 1) : len(ids)] = values[max(start, 1) :]
    return batch


def loader(count: int, read: Callable[[int], Batch], pin: bool) -> torch.utils.data.DataLoader[Any]:
    """A loader of ``count`` planned micro-batches; ``read(k)`` makes the k-th.

    Each process makes its own loader from its own part of the plan; Accelerate does not share it out a
    second time, because it never sees it.
    """

    class Planned(torch.utils.data.Dataset[Batch]):
        def __len__(self) -> int:
            return count

        def __getitem__(self, number: int) -> Batch:
            return read(number)

    # A list as the batch sampler: resuming then skips micro-batches without making them.
    return torch.utils.data.DataLoader(
        Planned(),
        batch_sampler=[[number] for number in range(count)],
        collate_fn=lambda items: items[0],
        pin_memory=pin,
    )
