"""One record that every chapter looks at: somebody asks about meteor showers, and one call answers.

It is a record of our own ToolAlpaca sample, so every run with the default sources holds it. The functions
give a chapter rows for a table, or a :class:`~xlam_lib.explore.Panel`; none of them fails where a run was
made of other records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xlam_lib.errors import ArtifactError
from xlam_lib.explore import Panel, columns, pre, rows, shown, trajectory_html
from xlam_lib.formats import get_format
from xlam_lib.records import read_json, read_jsonl
from xlam_lib.schema import Step, ToolCall, Trajectory

if TYPE_CHECKING:
    from xlam_lib.evaluate.bfcl import Question
    from xlam_lib.inference import LocalModel
    from xlam_lib.mixture import Example
    from xlam_lib.preferences import Pair

SOURCE = "toolalpaca"
ID = "toolalpaca/train_data/2/1"
ABSENT = f"The running example, {ID} of our own samples, is not among this run's records."
EXCHANGED = "the numbers are exchanged"


@cache
def record() -> Trajectory:
    """The running example as chapter 1 unifies it, whatever data a run was made of.

    Raises
    ------
    ArtifactError
        The shipped samples do not hold it any more.
    """
    from xlam_lib.sources import unify

    for outcome in unify(SOURCE):
        if isinstance(outcome, Trajectory) and outcome.unique_trajectory_id == ID:
            return outcome
    raise ArtifactError(f"{ID}: not among the shipped samples of {SOURCE}; name another in {__name__}.ID")


def of_run(folder: Path) -> list[Trajectory]:
    """The running example and its augmented copies, as far as an artifact of a run holds them.

    A full data set has a record of the same id, which is another one: the query decides.
    """
    path = folder / f"{SOURCE}.jsonl"
    if not path.exists():
        return []
    wanted = record().query
    return [
        found
        for found in read_jsonl(path, Trajectory)
        if found.unique_trajectory_id.split("~")[0] == ID and found.query == wanted
    ]


def wrong_calls() -> dict[str, list[ToolCall]]:
    """Ways to answer it wrongly, from the plain to the subtle: the last has the right tool, arguments of the
    right types, and only values that the user said."""
    (call,) = record().steps[0].tool_calls
    right = call.arguments
    wrong: dict[str, dict[str, Any]] = {
        "the year is left out": {"minRate": right["minRate"]},
        "an argument is invented": right | {"sky": "northern"},
        "a number is written as text": right | {"minRate": str(right["minRate"])},
        "another year": right | {"year": right["year"] - 1},
        EXCHANGED: {"year": right["minRate"], "minRate": right["year"]},
    }
    return {name: [ToolCall(call.name, arguments)] for name, arguments in wrong.items()}


def with_calls(calls: Sequence[ToolCall]) -> Trajectory:
    """A copy that makes other calls; what came back to the right one is left out, as nobody knows it."""
    return msgspec.structs.replace(record(), steps=[Step(1, tool_calls=list(calls))])


def answer_text(calls: Sequence[ToolCall]) -> str:
    """Calls as a model answers with them."""
    return get_format("json").render(list(calls), "")


# Data: chapters 1 to 5 --------------------------------------------------------------------------------------


def native_and_unified() -> Panel:
    """Chapter 1: the record as its data set writes it, beside the unified one."""
    from xlam_lib.sources import SAMPLES

    _, file, api, place = ID.split("/")
    document = read_json(SAMPLES / SOURCE / f"{file}.json")[int(api)]
    (called,) = record().steps[0].tool_calls
    native = rows(
        [
            (
                "Instances",
                pre(json.dumps(document["Instances"][int(place)], ensure_ascii=False, indent=1), 900),
            ),
            ("Function_Description", pre(document["Function_Description"][called.name])),
        ]
    )
    return Panel(columns({"native": native, "unified": trajectory_html(record())}), repr(record()))


def moved(folder: Path, length: str = "full") -> Panel:
    """Chapter 2: the record and its augmented copies in a run, with marks on what has changed its place."""
    from xlam_lib.prompts import DEFAULT_STYLE, SECTIONS
    from xlam_lib.rephrase import instruction_of

    versions = of_run(folder)
    if not versions:
        return _absent()

    def told(version: Trajectory) -> dict[str, list[str]]:
        drawn = version.meta.get("prompt") or {}
        (call,) = version.steps[0].tool_calls
        tool = next(tool for tool in version.tools if tool.name == call.name)
        return {
            "instruction": [instruction_of(version, length)],
            "style": [drawn.get("style", DEFAULT_STYLE)],
            "sections": list(drawn.get("sections", SECTIONS)),
            "tools": [tool.name for tool in version.tools],
            f"parameters of {tool.name}": list(tool.parameters),
            "arguments of the call": list(call.arguments),
        }

    original = told(versions[0])

    def marked(name: str, values: list[str]) -> str:
        before = original[name]
        return ", ".join(
            shown(value) if place < len(before) and before[place] == value else f"<mark>{shown(value)}</mark>"
            for place, value in enumerate(values)
        )

    shows = {
        version.unique_trajectory_id: rows(
            (name, marked(name, values)) for name, values in told(version).items()
        )
        for version in versions
    }
    return Panel(columns(shows), "\n".join(f"{v.unique_trajectory_id}: {told(v)}" for v in versions))


def verified(folder: Path) -> list[dict[str, str]]:
    """Chapter 3: what the verifier says of the record, and of copies with a planted error."""
    from xlam_lib.verify import check, repair

    if not of_run(folder):
        return [{"": ABSENT}]
    versions = {"as it is": record()} | {name: with_calls(calls) for name, calls in wrong_calls().items()}
    found = []
    for name, version in versions.items():
        findings = check(version)
        found.append(
            {
                "the record": name,
                "its call": ", ".join(map(_call, version.steps[0].tool_calls)),
                "the verifier says": "; ".join(f"{f.error} at {f.path}" for f in findings) or "nothing",
                "after repair": "; ".join(f.error for f in check(repair(version)[0])) or "nothing",
            }
        )
    return found


def checked(verified_samples: Path) -> list[dict[str, str]]:
    """Chapter 4: the three checks on the record, on its wrong copies and on a synthetic sample of its kind.

    The semantic check goes by the query's text alone, as for a sample that a model wrote.
    """
    from xlam_lib.synthesis.checks import format_check
    from xlam_lib.synthesis.samples import Sample
    from xlam_lib.synthesis.semantic_rules import blind_check

    versions = {"the running example": record()}
    versions |= {name: with_calls(calls) for name, calls in wrong_calls().items()}
    if alike := like_sample(verified_samples):
        versions[f"{alike.unique_trajectory_id}: {alike.query}"] = alike
    found = []
    for name, version in versions.items():
        calls = version.steps[0].tool_calls
        answer = json.dumps({"query": version.query, "answers": msgspec.to_builtins(calls)})
        fault = format_check(Sample(0, "multiple", "", [], version.query, version.tools, answer))
        if fault:
            run, third = "not reached", "not reached"
        else:
            run = version.steps[0].next_observation[:60] if version is alike else "no such function here"
            meant = blind_check(version.query, version.tools, calls)
            third = meant.reason if meant else "passes"
        found.append(
            {
                "sample": name,
                "call": ", ".join(map(_call, calls)),
                "format": fault.reason if fault else "passes",
                "execution": run,
                "semantic": third,
            }
        )
    return found


def like_sample(path: Path) -> Trajectory | None:
    """A verified synthetic sample of the example's kind: several tools under their own names, one call of
    two arguments."""
    return next(
        (
            t
            for t in read_jsonl(path, Trajectory)
            if t.meta.get("style") == "multiple"
            and not t.meta.get("masked")
            and len(t.steps[0].tool_calls) == 1
            and len(t.steps[0].tool_calls[0].arguments) == 2
        ),
        None,
    )


def examples(versions: Iterable[Trajectory], style: str) -> list[Example]:
    """The supervised examples that chapter 5 makes of versions of the record: one of each, its call."""
    from xlam_lib.mixture import make_examples

    return list(make_examples(versions, length="brief", steps="calls", style=style))


def prompt_and_answer(example: Example) -> Panel:
    """Chapter 5: an example as the model reads it, and the answer it is to give."""
    body = rows([("prompt", pre(example.prompt, 3000)), ("answer", pre(example.answer))])
    return Panel(body, f"{example.prompt}\n\n>>> {example.answer}")


def became(made: Sequence[Example], places: Mapping[str, Iterable[Example]]) -> list[dict[str, str]]:
    """Chapter 5: what became of each example: the first of ``places`` (in words) that holds it."""
    if not made:
        return [{"": ABSENT}]
    ids = {name: {example.id for example in held} for name, held in places.items()}
    return [
        {
            "example": example.id,
            "became": next(
                (name for name, held in ids.items() if example.id in held),
                "in no pool: too long, or repeated",
            ),
        }
        for example in made
    ]


# Models: chapters 6 to 11 -----------------------------------------------------------------------------------


def tokens(tokenizer: Any, ids: Sequence[int], labels: Sequence[int], ignore: int = -100) -> Panel:
    """Chapter 6: the tokens of an example, underlined one by one; those that the loss counts are marked.

    Tokens that hold parts of one character stand together.
    """
    pieces: list[str] = []
    held: list[int] = []
    for place, token in enumerate(ids):
        held.append(token)
        text = tokenizer.decode(held)
        if "\N{REPLACEMENT CHARACTER}" in text and len(held) < 4 and place + 1 < len(ids):
            continue
        tag = "i" if labels[place] == ignore else "mark"
        pieces.append(f"<{tag}>{shown(text)}</{tag}>")
        held = []
    counted = sum(label != ignore for label in labels)
    note = f"{counted} of {len(ids)} tokens count"
    return Panel(f'<p>{note}: those that are marked.</p><pre class="tokens">{"".join(pieces)}</pre>', note)


def judged(example: Example, texts: Mapping[str, str]) -> list[dict[str, str]]:
    """What models write to the example's prompt, each with the verdict of :mod:`xlam_lib.preferences`."""
    from xlam_lib.preferences import judge

    return [
        {"model": name, "writes": " ".join(text.split())[:160], "verdict": judge(example, text)}
        for name, text in texts.items()
    ]


def preference(style: str) -> Pair:
    """Chapter 7: the pair of the right answer and the one in which the numbers are exchanged."""
    from xlam_lib.preferences import PLANTED, Pair, pair_of

    (example,) = examples([record()], style)
    pair = pair_of(example, answer_text(wrong_calls()[EXCHANGED]), PLANTED, EXCHANGED)
    assert isinstance(pair, Pair), f"{pair}: the planted answer is not wrong"
    return pair


def log_likelihoods(model: LocalModel, pair: Pair) -> dict[str, float]:
    """How likely a model finds both sides of a pair: the log-probability of the answer, in nats.

    The prompt, which both share, is computed once.
    """
    import torch

    from xlam_lib.train.data import IGNORE, tokenize

    found = {}
    with torch.inference_mode():
        read: Any = None
        for side in ("chosen", "rejected"):
            ids, labels = tokenize(model.tokenizer, pair.prompt, getattr(pair, side))
            start = next(place for place, label in enumerate(labels) if label != IGNORE)
            tensor = torch.tensor([ids], device=model.model.device)
            # The last token of the prompt is read again, since it predicts the first of the answer.
            if read is None:
                read = model.model(tensor[:, : start - 1], use_cache=True, logits_to_keep=1).past_key_values
            logits = (
                model.model(tensor[:, start - 1 : -1], past_key_values=read, use_cache=True).logits[0].float()
            )
            read.crop(start - len(ids))
            found[side] = float(logits.log_softmax(-1).gather(1, tensor[0, start:, None]).sum())
    return found


def margins(likely: Mapping[str, Mapping[str, float]], beta: float) -> list[dict[str, str]]:
    """Chapter 7: for each model the log-likelihoods of both sides, their difference, and the margin of the
    rewards (nats) against the first model, which is DPO's reference."""
    base = next(iter(likely.values()))
    start = base["chosen"] - base["rejected"]
    return [
        {
            "model": name,
            "right answer (nats)": f"{of['chosen']:.2f}",
            "numbers exchanged (nats)": f"{of['rejected']:.2f}",
            "difference": f"{of['chosen'] - of['rejected']:+.2f}",
            "margin of the rewards": f"{beta * (of['chosen'] - of['rejected'] - start):+.3f}",
        }
        for name, of in likely.items()
    ]


def like_question(questions: Iterable[Question]) -> Question | None:
    """Chapter 8: the benchmark question most like the example: several tools, one call, two arguments."""

    def distance(question: Question) -> tuple[int, str]:
        (answer,) = question.possible_answer
        arguments = next(iter(answer.values()))
        return abs(len(arguments) - 2) + abs(len(question.tools) - len(record().tools)), question.id

    alike = [q for q in questions if q.category == "multiple" and len(q.possible_answer) == 1]
    return min(alike, key=distance, default=None)


def as_agent(style: str) -> Panel:
    """Chapter 9: the prompt of an agent's first step, and what the second adds to it."""
    from xlam_lib.agents.prompting import Unified
    from xlam_lib.environments.core import Task

    told = record()
    task = Task("running/example", told.query, told.tools)
    way = Unified("json", style, "brief")
    first, second = (way.chat(task, told.steps[:count])[0]["content"] for count in (0, 1))
    kept = set(first.split("\n\n"))
    added = "\n\n".join(part for part in second.split("\n\n") if part not in kept)
    body = rows(
        [
            ("step 1 reads", pre(first, 3000)),
            ("step 1 is to write", pre(answer_text(told.steps[0].tool_calls))),
            ("step 2 reads besides", pre(added, 900)),
            ("step 2 is to write", pre(answer_text([]))),
        ]
    )
    return Panel(body, second)


def diagnosed() -> list[dict[str, str]]:
    """Chapter 11: the kinds of mistakes in wrong answers to the example."""
    from xlam_lib.diagnose import diagnose

    told = record()
    right = told.steps[0].tool_calls
    texts = {"the right one": answer_text(right)}
    texts |= {name: answer_text(calls) for name, calls in wrong_calls().items()}
    texts["cut off"] = answer_text(right)[:60]
    return [
        {
            "answer": name,
            "mistakes": "; ".join(mistake.short for mistake in diagnose(text, told.tools, told.query, right))
            or "none",
        }
        for name, text in texts.items()
    ]


def _call(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def _absent() -> Panel:
    return Panel(f"<p>{shown(ABSENT)}</p>", ABSENT)
