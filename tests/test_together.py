"""Jobs side by side: the same answers as one after the other, in fewer and larger batches."""

from __future__ import annotations

import threading

import pytest

from xlam_lib.errors import XlamError
from xlam_lib.generation import Generation, generate
from xlam_lib.inference import LocalModel
from xlam_lib.together import together


class Echo:
    """Answers a chat with its own words; keeps what it was asked together."""

    name, constrains = "echo", True

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def generate(self, chats, max_new_tokens, schemas=None):
        texts = [chat[-1]["content"] for chat in chats]
        self.batches.append(sorted(texts))
        held = schemas or [None] * len(chats)
        return [
            Generation(f"{text}, {schema}, {max_new_tokens}", len(text), 1, "stop")
            for text, schema in zip(texts, held, strict=True)
        ]


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def asker(name: str, rounds: int, limit: int = 8, schema: str | None = None):
    """A job that asks two things a round, and answers with all it was told."""

    def job(backend):
        told = []
        for number in range(rounds):
            chats = [chat(f"{name}{number}{part}") for part in "xy"]
            schemas = [schema, None] if schema else None
            told += [a.text for a in generate(chats, backend, max_new_tokens=limit, schemas=schemas)]
        return told

    return job


def test_every_job_gets_its_own_answers_in_common_batches():
    jobs = [asker("a", 3), asker("b", 0), asker("c", 1, schema="{}"), asker("d", 2, limit=5)]
    model, seen = Echo(), []
    found = together(model, jobs, progress=lambda *counts: seen.append(counts))
    assert found == [job(Echo()) for job in jobs]
    assert model.batches == [
        ["d0x", "d0y"], ["a0x", "a0y", "c0x", "c0y"], ["d1x", "d1y"], ["a1x", "a1y"], ["a2x", "a2y"],
    ]  # fmt: skip
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert together(model, []) == []


def test_batches_keep_to_their_size():
    model = Echo()
    together(model, [asker(name, 1) for name in "abc"], batch_size=4)
    assert [len(batch) for batch in model.batches] == [4, 2]


def test_a_job_that_fails_stops_the_others_and_leaves_no_thread():
    done = []

    def failing(backend):
        generate([chat("f")], backend, max_new_tokens=8)
        raise ValueError("no such task")

    def patient(backend):
        try:
            return asker("p", 5)(backend)
        finally:
            done.append(True)

    model, before = Echo(), threading.active_count()
    with pytest.raises(ValueError, match="no such task"):
        together(model, [patient, failing, patient])
    assert len(model.batches) == 1 and done == [True, True]
    assert threading.active_count() == before


def test_a_model_that_fails_is_the_error_of_all():
    class Broken(Echo):
        def generate(self, chats, max_new_tokens, schemas=None):
            raise XlamError("out of memory")

    with pytest.raises(XlamError, match="out of memory"):
        together(Broken(), [asker("a", 1), asker("b", 2)])


def test_with_a_model_the_answers_are_those_of_one_after_the_other(tiny_model):
    model = LocalModel.load(tiny_model, "tiny", stop_at_json=False)
    model.model.float()
    jobs = [asker("one ", 2), asker("two ", 1), asker("three ", 3)]
    assert together(model, jobs) == [job(model) for job in jobs]
