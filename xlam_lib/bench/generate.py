"""Decoding speed: all of BFCL v2 by our loop, against ``model.generate`` of transformers.

``python -m xlam_lib bench generate [tokens] [model folder] [part]`` answers every question (or every
``part``-th) and writes speeds to ``xlam_lib/data/decoding_speed.json``, where chapter 8 reads them. The
baseline is ``model.generate`` as it is called by default, one chat at a time, on every 40th of those
questions of each category; its seconds for all of them are extrapolated by category, and the figure's name
says so. Batches of eight, padded, in the questions' order, stand beside it. Our answers are scored, too.
Long: two hours with a fine-tuned model on two cores; answers are kept in a temporary folder, so an
interrupted call goes on.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from xlam_lib import __version__, assets
from xlam_lib.evaluate import bfcl
from xlam_lib.inference import Generation, LocalModel, Message, generate
from xlam_lib.prompts import messages
from xlam_lib.records import hash_folder, read_json, write_json
from xlam_lib.runs import hardware

FILE = Path(__file__).parents[1] / "data" / "decoding_speed.json"
BATCH = 64  # chats a batch of ours
EVERY = 40  # the baseline answers one question in so many
PADDED = 8  # chats a batch of the second baseline
BASELINE = "model.generate, one chat at a time"
"""What transformers does when nothing about batching is said."""


def main(arguments: list[str]) -> None:
    """Arguments: tokens (128), a model's folder (the embedded one), a part (1: all)."""
    limit = int(arguments[0]) if arguments else 128
    folder = Path(arguments[1]) if len(arguments) > 1 else assets.model_folder()
    part = int(arguments[2]) if len(arguments) > 2 else 1
    questions = _each(bfcl.questions(), part)
    chats = [messages(bfcl.trajectory(q), "plain", length="brief") for q in questions]
    model = LocalModel.load(folder)

    work = Path(tempfile.gettempdir()) / f"xlam-decoding-{hash_folder(folder)[:12]}-{limit}-{part}"
    ours, seconds = _timed(model, chats, limit, work)
    rows = [_row("this project", len(chats), seconds, ours)]
    print(json.dumps(rows[0]), flush=True)

    chosen = _each(questions, EVERY)
    place = {question.id: number for number, question in enumerate(questions)}
    some = [place[question.id] for question in chosen]
    given = [chats[i] for i in some]
    whole = Counter(question.category for question in questions)
    share = Counter(question.category for question in chosen)
    texts: dict[str, list[str]] = {}
    plain = LocalModel.load(folder)  # its attention is as transformers has it
    for name, size in ((BASELINE, 1), (f"model.generate, padded batches of {PADDED}", PADDED)):
        spent, answers = _plain(plain, given, limit, size, lambda done: print(f"{done} of {len(some)}"))
        texts[name] = [text for text, _ in answers]
        by_category: dict[str, float] = defaultdict(float)
        for question, each in zip(chosen, spent, strict=True):
            by_category[question.category] += each
        total = sum(by_category[name] / share[name] * whole[name] for name in share)
        counted = [Generation(text, 0, tokens, "") for text, tokens in answers]
        rows.append(_row(f"{name} (extrapolated)", len(chats), total, counted, len(some)))
        print(json.dumps(rows[-1]), flush=True)
    equal = [theirs.startswith(ours[i].text) for i, theirs in zip(some, texts[BASELINE], strict=True)]
    for row in rows:
        row["ratio"] = round(row["seconds"] / rows[0]["seconds"], 2)
    result = {
        "command": f"python -m xlam_lib bench generate {limit} {folder.name} {part}",
        "version": __version__,
        "hardware": hardware(),
        "model": folder.name,
        "model_sha256": hash_folder(folder),
        "tokens": limit,
        "prompt_tokens": sum(answer.prompt_tokens for answer in ours),
        "compared": len(some),
        "equal_answers": sum(equal),
        "accuracy": accuracy(questions, ours),
        "rows": rows,
    }
    write_json(FILE, result)
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}))


def accuracy(questions: Sequence[bfcl.Question], answers: Sequence[Generation]) -> dict[str, Any]:
    """Right answers and questions of each category, and v2's overall in per cent (None without a column)."""
    raw = {question.id: answer.text for question, answer in zip(questions, answers, strict=True)}
    score = bfcl.score(raw, questions=questions)
    return {
        "right": {name: [rate.correct, rate.count] for name, rate in score.categories.items()},
        "strict": {name: [rate.correct, rate.count] for name, rate in score.strict.items()},
        "overall": None if score.overall_v2 is None else round(100 * score.overall_v2, 2),
    }


def _each(questions: Sequence[bfcl.Question], part: int) -> list[bfcl.Question]:
    """Every ``part``-th question of each category, and at least one."""
    seen: Counter[str] = Counter()
    kept = []
    for question in questions:
        if seen[question.category] % part == 0:
            kept.append(question)
        seen[question.category] += 1
    return kept


def _row(
    name: str, count: int, seconds: float, answers: Sequence[Generation], measured: int | None = None
) -> dict[str, Any]:
    tokens = sum(answer.tokens for answer in answers) * count / len(answers)
    return {
        "name": name,
        "questions": count,
        "measured": measured if measured is not None else count,
        "seconds": round(seconds, 3),
        "seconds_a_question": round(seconds / count, 3),
        "answer_tokens": round(tokens),
        "answer_tokens_a_second": round(tokens / seconds, 1),
    }


def _timed(
    model: LocalModel, chats: Sequence[Sequence[Message]], limit: int, work: Path
) -> tuple[list[Generation], float]:
    """Answers and the seconds they took, those of interrupted calls before this one included."""
    work.mkdir(parents=True, exist_ok=True)
    clock, cache = work / "seconds.json", work / "answers.jsonl"
    before = read_json(clock)["seconds"] if clock.exists() else 0.0
    kept = cache.stat().st_size if cache.exists() else 0
    started, spent = time.time(), 0.0

    def note(done: int, total: int) -> None:
        nonlocal spent
        if cache.exists() and cache.stat().st_size > kept:  # reading answers that are kept costs nothing
            spent = time.time() - started
            write_json(clock, {"seconds": before + spent})
        print(f"{done} of {total}, {before + spent:.0f} s", flush=True)

    answers = generate(
        chats,
        model,
        max_new_tokens=limit,
        batch_size=BATCH,
        cache=cache,
        progress=note,
    )
    return answers, before + spent


def _plain(
    model: LocalModel,
    chats: Sequence[Sequence[Message]],
    limit: int,
    size: int,
    tell: Callable[[int], None],
) -> tuple[list[float], list[tuple[str, int]]]:
    """``model.generate`` on chats in their order: seconds of each (its share of a batch's), text, tokens."""
    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    spent, answers = [], []
    for begin in range(0, len(chats), size):
        batch = [
            tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, tokenize=False)
            for chat in chats[begin : begin + size]
        ]
        started = time.perf_counter()
        inputs = tokenizer(batch, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = inputs.to(model.model.device)
        with torch.inference_mode():
            out = model.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        each = (time.perf_counter() - started) / len(batch)
        for row in out[:, inputs["input_ids"].shape[1] :]:
            text = tokenizer.decode(row, skip_special_tokens=True).strip()
            spent.append(each)
            answers.append((text, int((row != tokenizer.pad_token_id).sum())))
        tell(begin + len(batch))
    return spent, answers
