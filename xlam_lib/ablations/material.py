"""What the arms of the ablations are made of: records of a run, and probes that no arm trains on.

Everything is brought into one form first: one step (where a question is about single requests), no thoughts,
no instructions of the source's own. So arms differ in what their question is about and in nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec

from xlam_lib import contamination, mixture
from xlam_lib.ablations.layouts import LAYOUTS, SOURCE_LAYOUTS, write
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.formats import ParseError
from xlam_lib.mixture import Example
from xlam_lib.prompts import render_prompt
from xlam_lib.records import read_jsonl
from xlam_lib.schema import Step, Trajectory
from xlam_lib.tally import place

SYNTHETIC, SOURCES, BFCL, OWN_LAYOUT = "synthetic", "sources", "BFCL", "own layout"
SPARE = 8  # synthetic records kept for each example of an arm: seeds draw different ones, and lengths differ
_TEMPLATE = 32  # tokens that a chat template adds to prompt and answer, at most (SmolLM2's adds 31)
_AROUND = 40  # tokens that a planted error or another style may add to a record
FEW, SEVERAL = "at most one argument a call", "several arguments in a call"


@dataclass(frozen=True)
class Settings:
    """What all arms have in common.

    Attributes
    ----------
    count
        Examples of an arm.
    wrong_share
        The share of wrong records where an arm is to hold some.
    style
        The concatenation style that every arm is asked in.
    formats
        The output formats that augmentation draws from; ``json``, which is asked for, among them.
    max_tokens
        No example of any arm is longer.
    """

    count: int
    wrong_share: float
    style: str
    formats: tuple[str, ...]
    max_tokens: int

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.wrong_share < 1:
            raise ProfileError(
                f"ablations: {self.count} examples with {self.wrong_share} of them wrong; "
                "give at least 1 example and a share from 0 to below 1"
            )
        if self.formats and "json" not in self.formats:
            raise ProfileError(
                f"ablations: the formats {', '.join(self.formats)} leave out json, which every arm is asked "
                "for; add it"
            )

    @property
    def limit(self) -> int:
        """Tokens of the longest prompt with its answer, before the chat template adds its own."""
        return self.max_tokens - _TEMPLATE


@dataclass(frozen=True)
class Probe:
    """Examples that no arm trains on; an arm's answers to them are what is compared.

    ``groups[id]`` is what a table by category shows: an API category, a source or a category of BFCL.
    """

    name: str
    examples: list[Example]
    groups: dict[str, str]


@dataclass(frozen=True)
class Material:
    """The pools that arms draw from, and the probes.

    Attributes
    ----------
    settings
        What all arms have in common.
    count_tokens
        How many tokens a text has.
    records
        Unified records of one request, sources' own and as they came, without repairs.
    synthetic
        Verified synthetic records of the run.
    sources
        Verified examples of the sources, every step that calls.
    probes
        By name: :data:`SYNTHETIC`, :data:`SOURCES`, :data:`BFCL`, and :data:`OWN_LAYOUT`, the synthetic one
        in the sources' own layouts.
    questions
        The questions of BFCL whose official answers are its probe, in the same order.
    left_out
        What was read and is in no pool, by reason.
    """

    settings: Settings
    count_tokens: Callable[[str], int]
    records: list[Trajectory]
    synthetic: list[Trajectory]
    sources: list[Example]
    probes: dict[str, Probe]
    questions: list[bfcl.Question]
    left_out: Counter[str] = field(default_factory=Counter)

    def examples(self, records: Iterable[Trajectory]) -> list[Example]:
        """Records as examples in the form that every arm is asked in (a record's own draws prevail)."""
        return list(mixture.make_examples(records, length="brief", style=self.settings.style))

    def tokens(self, example: Example) -> int:
        """Tokens of prompt and answer, without the chat template's."""
        return self.count_tokens(example.prompt) + self.count_tokens(example.answer)


def gather(
    artifacts: Mapping[str, Path],
    settings: Settings,
    count_tokens: Callable[[str], int],
    *,
    held_out: int,
    questions: Mapping[str, int] | int,
    seed: int,
) -> Material:
    """Read a run's ``unified``, ``verified`` and ``synthetic`` folders and set the probes aside.

    Nothing of BFCL may be in a pool: what shares a query with it is left out and counted
    (:mod:`xlam_lib.contamination`).

    Parameters
    ----------
    count_tokens
        How many tokens a text has, for the model that is trained.
    held_out
        Synthetic records of the probe, of all API categories alike; of the sources half as many, and at most
        a quarter of what each has.
    questions
        Questions of BFCL by category; those longer than ``max_tokens`` with their answer are not asked.
    seed
        Of the probes: the same for all arms and all of their seeds.

    Raises
    ------
    ProfileError
        Too few synthetic records are short enough.
    """
    left_out: Counter[str] = Counter()
    limit = settings.limit
    count_tokens = lru_cache(maxsize=1 << 14)(count_tokens)
    material = Material(settings, count_tokens, [], [], [], {}, [], left_out)
    aside = contamination.bfcl()

    def clean(records: Iterable[Trajectory], what: str) -> Iterable[Trajectory]:
        for outcome in contamination.clean(records, [aside]):
            if isinstance(outcome, Trajectory):
                yield outcome
            else:
                left_out[f"{what}: a query of BFCL"] += 1

    def fits(record: Trajectory, what: str) -> bool:
        """Whether every arm can hold a record; if not, it is counted."""
        try:
            texts = [(e.prompt, e.answer) for e in material.examples([record])]
            texts += [write(record, layout) for layout in LAYOUTS]
        except ParseError:
            left_out[f"{what}: calls that a layout cannot write"] += 1
            return False
        if all(count_tokens(prompt) + count_tokens(answer) <= limit - _AROUND for prompt, answer in texts):
            return True
        left_out[f"{what}: longer than the limit"] += 1
        return False

    # Sources, verified: whole records are held out, and those of one record with it.
    verified = [plain(t) for t in clean(_calling(_read(artifacts["verified"])), "verified")]
    made = list(mixture.make_examples(verified, length="brief", steps="calls", style=settings.style))
    made, over = mixture.fits(made, count_tokens, limit - _AROUND)
    left_out["verified: longer than the limit"] += len(over)
    kept, probe = [], []
    pools = mixture.by_pool(made)
    wanted = -(-(held_out // 2) // len(pools)) if pools else 0
    for pool in pools.values():
        rest, held = mixture.hold_out(pool, min(wanted, len(pool) // 4), seed)
        kept, probe = kept + rest, probe + held
    material.sources.extend(kept)
    probe = sorted(probe, key=lambda e: place(seed, e.id))[: held_out // 2]
    asked = {_record(example) for example in probe}
    material.probes[SOURCES] = Probe(SOURCES, probe, {e.id: e.source for e in probe})

    # Sources, as they came: single requests, without those that were held out.
    for record in clean(_single(_read(artifacts["unified"])), "unified"):
        if record.unique_trajectory_id in asked:
            left_out["unified: held out"] += 1
        elif fits(record, "unified"):
            material.records.append(record)

    # Synthetic records, in an order that the seed and their ids decide, until there are enough.
    every = list(read_jsonl(artifacts["synthetic"] / "verified.jsonl", Trajectory))
    every.sort(key=lambda t: place(seed, t.unique_trajectory_id))
    enough = held_out + SPARE * settings.count
    for record in clean(map(_one_step, every), "synthetic"):
        if len(material.synthetic) == enough:
            break
        if fits(record, "synthetic"):
            material.synthetic.append(record)
    least = held_out + 2 * settings.count
    if len(material.synthetic) < least:
        raise ProfileError(
            f"ablations: {len(material.synthetic)} synthetic records have at most {limit - _AROUND} tokens "
            f"and {least} are needed; raise synthetic_count or max_tokens, or lower ablation_examples"
        )
    chosen = _by_category(material.synthetic, held_out)
    names = {t.unique_trajectory_id for t in chosen}
    material.synthetic[:] = [t for t in material.synthetic if t.unique_trajectory_id not in names]
    categories = {f"{t.unique_trajectory_id}#1": str(t.meta["category"]) for t in chosen}
    material.probes[SYNTHETIC] = Probe(SYNTHETIC, material.examples(chosen), categories)
    raw = [in_layout(t, layout_of(t, seed)) for t in chosen]
    material.probes[OWN_LAYOUT] = Probe(OWN_LAYOUT, raw, categories)

    for question in bfcl.sample(bfcl.questions(list(questions) if isinstance(questions, Mapping) else None),
                                questions, seed):  # fmt: skip
        example = _official(question, settings.style)
        if material.tokens(example) > 2 * limit:
            left_out["BFCL: longer than twice the limit"] += 1
            continue
        material.questions.append(question)
        bfcl_probe = material.probes.setdefault(BFCL, Probe(BFCL, [], {}))
        bfcl_probe.examples.append(example)
        bfcl_probe.groups[question.id] = question.category
    return material


def plain(record: Trajectory) -> Trajectory:
    """A record without thoughts, instructions of its own, few-shot examples and drawn styles or formats."""
    meta = {key: value for key, value in record.meta.items() if key not in ("prompt", "format")}
    steps = [msgspec.structs.replace(step, thought="") for step in record.steps]
    return msgspec.structs.replace(
        record, task_instruction="", format_instruction="", few_shot_examples=[], steps=steps, meta=meta
    )


def _one_step(record: Trajectory) -> Trajectory:
    """A record's first request and the calls that answer it, in plain form."""
    calls = record.steps[0].tool_calls
    return msgspec.structs.replace(plain(record), steps=[Step(1, tool_calls=calls)])


def layout_of(record: Trajectory, seed: int) -> str:
    """The layout of a record's source; for a record that stands in, one drawn for its id."""
    own = SOURCE_LAYOUTS.get(record.source)
    names = list(LAYOUTS)
    return own or names[place(seed, f"layout/{record.unique_trajectory_id}")[0] % len(names)]


def in_layout(record: Trajectory, layout: str) -> Example:
    """A one-step record as an example in a layout, under the id that it has in the unified format."""
    prompt, answer = write(record, layout)
    tools = [tool.name for tool in record.tools]
    identity, style = f"{record.unique_trajectory_id}#1", str(record.meta.get("style", "step"))
    return Example(identity, record.source, style, prompt, answer, tools, layout, mixture.licence(record))


def arguments_of(example: Example) -> str:
    """:data:`FEW` where the order of arguments has no say in the answer, else :data:`SEVERAL`."""
    calls = bfcl.read_answer(example.answer)
    return FEW if all(len(call.arguments) <= 1 for call in calls) else SEVERAL


def _record(example: Example) -> str:
    return example.id.rsplit("#", 1)[0]


def _read(folder: Path) -> Iterable[Trajectory]:
    """The records of a folder that may be trained on, without augmented copies and instruction data."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.name == "rejected.jsonl":
            continue
        for record in read_jsonl(path, Trajectory):
            is_copy = "augmented_from" in record.meta
            is_talk = record.meta.get("kind") == mixture.INSTRUCTION
            if not is_copy and not is_talk and mixture.not_trainable(record) is None:
                yield record


def _calling(records: Iterable[Trajectory]) -> Iterable[Trajectory]:
    return (record for record in records if any(step.tool_calls for step in record.steps))


def _single(records: Iterable[Trajectory]) -> Iterable[Trajectory]:
    """The records of :data:`SOURCE_LAYOUTS` that begin with calls, or are one step without any."""
    for record in records:
        if record.source in SOURCE_LAYOUTS and (record.steps[0].tool_calls or len(record.steps) == 1):
            yield _one_step(record)


def _by_category(records: Sequence[Trajectory], count: int) -> list[Trajectory]:
    """``count`` records, as many of each API category as of any other, in their order."""
    taken: Counter[str] = Counter()
    turns = []
    for record in records:
        category = str(record.meta["category"])
        turns.append((taken[category], len(turns), record))
        taken[category] += 1
    return [record for _, _, record in sorted(turns, key=lambda turn: turn[:2])[:count]]


def _official(question: bfcl.Question, style: str) -> Example:
    """A question of BFCL with its official answer, to measure how likely a model finds it."""
    asked = bfcl.trajectory(question)
    return Example(
        id=question.id,
        source="bfcl",
        style=question.category,
        prompt=render_prompt(asked, style, length="brief"),
        answer=oracle(question),
        tools=[tool.name for tool in question.tools],
        format="json",
    )
