"""The arms of the four ablations: what each is made of, and what it is compared with.

A question is a chain of arms in which each differs from the one before in one thing. All arms of a question
have the same number of examples, and their tokens come out even (:func:`budget` counts them): layouts are
dealt, and replacements chosen, so that no arm reads more than another. A seed draws the records of all arms
alike, so arms are compared with the same records under them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from xlam_lib.ablations.layouts import LAYOUTS, SOURCE_LAYOUTS
from xlam_lib.ablations.material import Material, in_layout, layout_of
from xlam_lib.augment import LEVELS, augment
from xlam_lib.errors import ProfileError
from xlam_lib.mixture import Example
from xlam_lib.prompts import STYLES
from xlam_lib.schema import Trajectory
from xlam_lib.synthesis.checks import parse_answer
from xlam_lib.synthesis.corrupt import REFUSABLE, SEMANTIC_KINDS, plant
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import check_all
from xlam_lib.synthesis.samples import Sample
from xlam_lib.tally import place
from xlam_lib.verify import ERRORS, LOW_QUALITY, check, judge
from xlam_lib.verify.planted import plant as plant_error

REWORDINGS = 20  # of the task instruction, to draw from
ORDER = ("parameters", "arguments")  # levels of augmentation: in the tools' lists, and in the calls
# Errors whose call cannot be executed. A slip of the first two is found by our format check, before anything
# is run; APIGen counts type errors and missing arguments among the failed executions.
CANNOT_RUN = ("missing required", "wrong type", "bad value", *REFUSABLE)
# Errors of meaning: the calls run, and are not what was asked. "wrong query" needs the template's own notes.
NOT_ASKED = tuple(kind for kind in SEMANTIC_KINDS if kind != "wrong query")
_COPIES = 12  # of a record, when its first augmented copy is too long
_TRIES = 6  # kinds of error tried on a record before the next is taken
_WINDOW = 400  # candidates among which the one that keeps the tokens even is chosen
_STEP_ERRORS = tuple(error for error in ERRORS if error != LOW_QUALITY)


@dataclass(frozen=True)
class Arm:
    """One way to make the training data.

    Attributes
    ----------
    name
        Its key in :data:`ARMS`.
    question
        The key in :data:`QUESTIONS` that it answers.
    against
        The arms it is compared with, the nearest first; none for a question's baseline.
    differs
        What distinguishes it from the nearest, in one line.
    build
        ``build(material, seed)`` gives its examples, before they are shuffled.
    """

    name: str
    question: str
    against: tuple[str, ...]
    differs: str
    build: Callable[[Material, int], list[Example]]


QUESTIONS: dict[str, str] = {
    "format": "Does one format help, and do augmentation and cleaning on top of it?",
    "checks": "What do samples cost that fail a check of the synthesis?",
    "origin": "Are synthetic samples as good as the sources' records?",
    "order": "Does it help to shuffle the order of parameters?",
}


# Question 1: format, augmentation, cleaning -----------------------------------------------------------------


def drawn(material: Material, seed: int) -> tuple[list[Trajectory], list[Trajectory]]:
    """The records of question 1 with the seed's errors in them, and clean ones to replace records with.

    Sources' own records come first; where they are too few, synthetic ones stand in. Of all of them,
    ``wrong_share`` are wrong: those that verification finds fault with as they come, and beyond them records
    into which one error of the verifier's classes is planted.
    """
    count = material.settings.count
    own = sorted(material.records, key=lambda t: place(seed, t.unique_trajectory_id))
    stand_ins = sorted(material.synthetic, key=lambda t: place(seed, t.unique_trajectory_id))
    chosen = own[:count] + stand_ins[: max(count - len(own), 0)]
    spare = own[count:] + stand_ins[max(count - len(own), 0) :]
    wrong = sum(bool(check(record)) for record in chosen)
    result = []
    for record in sorted(chosen, key=lambda t: place(seed + 1, t.unique_trajectory_id)):
        if wrong < round(material.settings.wrong_share * count) and not check(record):
            planted = _with_error(record, seed)
            wrong += planted is not record
            record = planted
        result.append(record)
    return result, spare


def _with_error(record: Trajectory, seed: int) -> Trajectory:
    errors = list(_STEP_ERRORS)
    random.Random(f"{seed}/{record.unique_trajectory_id}/error").shuffle(errors)
    made = (plant_error(record, error, seed) for error in errors)
    return next((planted.trajectory for planted in made if planted is not None), record)


def raw(material: Material, seed: int) -> list[Example]:
    """The records in their sources' layouts; those of records that stand in keep the tokens even."""
    records, _ = drawn(material, seed)
    written: dict[str, Example] = {}
    ahead = 0
    # Stand-ins last: their layouts make up for what the sources' own layouts add or spare.
    for record in sorted(records, key=lambda t: t.source not in SOURCE_LAYOUTS):
        unified = material.tokens(material.examples([record])[0])
        first = layout_of(record, seed)
        names = [first] if record.source in SOURCE_LAYOUTS else [first, *(n for n in LAYOUTS if n != first)]
        options = [in_layout(record, name) for name in names]
        short = [e for e in options if material.tokens(e) <= material.settings.limit] or options
        example = min(short, key=lambda e: abs(ahead + material.tokens(e) - unified))
        ahead += material.tokens(example) - unified
        written[record.unique_trajectory_id] = example
    return [written[record.unique_trajectory_id] for record in records]


def unified(material: Material, seed: int) -> list[Example]:
    """The same records in the unified format."""
    return material.examples(drawn(material, seed)[0])


def augmented(material: Material, seed: int) -> list[Example]:
    """The same records, each as one augmented copy."""
    return _augmented(material, seed, drawn(material, seed)[0])


def _augmented(material: Material, seed: int, records: Iterable[Trajectory]) -> list[Example]:
    """One copy of each record: the first of its copies that is short enough, so that none is lost.

    Styles are dealt in turns, not drawn: of a hundred records a draw would make one arm longer by chance.
    """
    examples = []
    for place_of, record in enumerate(records):
        styles = (tuple(STYLES)[place_of % len(STYLES)],)
        options: list[Example] = []
        for copies in (1, _COPIES):
            made = augment(
                record, seed, copies, LEVELS, styles, material.settings.formats, REWORDINGS, "brief"
            )
            options = material.examples(made)
            options.sort(key=lambda e: material.tokens(e) > material.settings.limit)
            if material.tokens(options[0]) <= material.settings.limit:
                break
        examples.append(options[0])
    return examples


def cleaned(material: Material, seed: int) -> list[Example]:
    """The same copies of verified records: mended, or replaced by right ones where that cannot be done."""
    records, spare = drawn(material, seed)
    spare = [record for record in spare if not check(record)]
    kept, owed = [], 0
    for record in records:
        outcome = judge(record).outcome
        if isinstance(outcome, Trajectory):
            kept.append(outcome)
            continue
        if not spare:
            raise ProfileError(
                "ablations: no right records are left to replace the wrong ones; raise synthetic_count"
            )
        lengths = [material.tokens(material.examples([other])[0]) for other in spare[:_WINDOW]]
        owed += material.tokens(material.examples([record])[0])
        best = min(range(len(lengths)), key=lambda n: abs(owed - lengths[n]))
        owed -= lengths[best]
        kept.append(spare.pop(best))
    return _augmented(material, seed, kept)


# Questions 2 to 4: checks, origin, order --------------------------------------------------------------------


def sources(material: Material, seed: int) -> list[Example]:
    """The sources' verified examples; where they are fewer than asked for, they are read again."""
    if not material.sources:
        raise ProfileError(
            "ablations: no source has a verified example that is short enough; raise max_tokens"
        )
    order = sorted(material.sources, key=lambda e: place(seed, e.id))
    times, rest = divmod(material.settings.count, len(order))
    return order * times + order[:rest]


def _verified(material: Material, seed: int) -> list[Trajectory]:
    """Verified synthetic records whose tokens come out as those of the sources' examples."""
    targets = [material.tokens(example) for example in sources(material, seed)]
    order = sorted(material.synthetic, key=lambda t: place(seed, t.unique_trajectory_id))
    window = [(t, material.tokens(material.examples([t])[0])) for t in order[:_WINDOW]]
    waiting = iter(order[_WINDOW:])
    chosen, owed = [], 0
    for target in targets:
        owed += target
        best = min(range(len(window)), key=lambda n: abs(owed - window[n][1]))
        record, tokens = window.pop(best)
        owed -= tokens
        chosen.append(record)
        following = next(waiting, None)
        if following is not None:
            window.append((following, material.tokens(material.examples([following])[0])))
    return chosen


def verified(material: Material, seed: int) -> list[Example]:
    """Synthetic samples that passed all checks."""
    return material.examples(_verified(material, seed))


def failed_execution(material: Material, seed: int) -> list[Example]:
    """The same samples, a share of them with calls that cannot be executed."""
    return material.examples(_with_failed(material, seed)[0])


def failed_semantic(material: Material, seed: int) -> list[Example]:
    """The same samples, the same share of them with calls that run and are not what was asked."""
    return material.examples(_with_failed(material, seed)[1])


def _with_failed(material: Material, seed: int) -> tuple[list[Trajectory], list[Trajectory]]:
    """The verified records twice, ``wrong_share`` of them with an error that a check has found.

    In both the same records are wrong: those for which an error of either kind was found.
    """
    records = _verified(material, seed)
    wanted = round(material.settings.wrong_share * len(records))
    order = sorted(records, key=lambda t: place(seed + 1, t.unique_trajectory_id))
    order = [t for t in order if t.steps[0].tool_calls]
    with LIBRARY.open() as executor:

        def failing(kinds: Sequence[str], stages: Sequence[str]) -> dict[str, Trajectory]:
            tried: list[tuple[Trajectory, Sample]] = []
            for record in order:
                rng = random.Random(f"{seed}/{record.unique_trajectory_id}/{stages[-1]}")
                for kind in rng.sample(list(kinds), min(_TRIES, len(kinds))):
                    planted = plant(sample_of(record), kind, rng, LIBRARY.functions)
                    if planted.planted:
                        tried.append((record, planted))
            found: dict[str, Trajectory] = {}
            outcomes = check_all([sample for _, sample in tried], executor)
            for (record, sample), (_, fault, _) in zip(tried, outcomes, strict=True):
                if fault is not None and fault.stage in stages:
                    steps = [msgspec.structs.replace(record.steps[0], tool_calls=parse_answer(sample.answer))]
                    changed = msgspec.structs.replace(
                        record, steps=steps, meta=record.meta | {"planted": sample.planted}
                    )
                    if material.tokens(material.examples([changed])[0]) <= material.settings.limit:
                        found.setdefault(record.unique_trajectory_id, changed)
            return found

        kinds = (failing(CANNOT_RUN, ("format", "execution")), failing(NOT_ASKED, ("semantic",)))
    both = [t.unique_trajectory_id for t in order if all(t.unique_trajectory_id in kind for kind in kinds)]
    if len(both) < wanted:
        raise ProfileError(
            f"ablations: {len(both)} of {len(records)} samples can be made to fail both checks and {wanted} "
            "are needed; lower ablation_wrong_share"
        )
    wrong = set(both[:wanted])
    first, second = (
        [kind[t.unique_trajectory_id] if t.unique_trajectory_id in wrong else t for t in records]
        for kind in kinds
    )
    return first, second


def sample_of(record: Trajectory) -> Sample:
    """A verified synthetic record as the sample it was, without what only its generator knew."""
    step, meta = record.steps[0], record.meta
    answers = [{"name": call.name, "arguments": call.arguments} for call in step.tool_calls]
    return Sample(
        index=0,
        style=meta["style"],
        category=meta["category"],
        functions=meta["functions"],
        query=record.query,
        tools=record.tools,
        answer=msgspec.json.encode({"query": record.query, "answers": answers}).decode(),
        names=meta.get("names", {}),
        parameters=meta.get("parameters", {}),
    )


def shuffled(material: Material, seed: int) -> list[Example]:
    """The same samples with their parameters and arguments in a drawn order."""
    copies = [augment(t, seed, 1, ORDER, (), ())[0] for t in _verified(material, seed)]
    return material.examples(copies)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("raw", "format", (), "each source in its own layout, errors included", raw),
        Arm("unified", "format", ("raw",), "the same records in one format", unified),
        Arm("augmented", "format", ("unified", "raw"), "the same, orders, styles and words drawn", augmented),
        Arm("cleaned", "format", ("augmented", "raw"), "the same, wrong records mended or replaced", cleaned),
        Arm("verified", "checks", (), "synthetic samples that passed every check", verified),
        Arm("failed execution", "checks", ("verified",), "some answers cannot run", failed_execution),
        Arm("failed semantic", "checks", ("verified",), "some answers mean something else", failed_semantic),
        Arm("sources", "origin", ("verified",), "the sources' verified records instead", sources),
        Arm("shuffled", "order", ("verified",), "parameters and arguments in a drawn order", shuffled),
    )
}  # fmt: skip


def chosen(names: Sequence[str]) -> list[Arm]:
    """The arms of those names, in their usual order; all where none is named.

    Raises
    ------
    ProfileError
        A name is unknown.
    """
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise ProfileError(f"arm {unknown[0]!r} is unknown; choose from {', '.join(ARMS)}")
    return [arm for name, arm in ARMS.items() if not names or name in names]


def build(arm: Arm, material: Material, seed: int) -> list[Example]:
    """An arm's examples in training order: all arms of a seed are shuffled alike.

    Raises
    ------
    ProfileError
        The run has too little for the arm, or an example is longer than ``max_tokens``.
    """
    examples = arm.build(material, seed)
    order = list(range(len(examples)))
    random.Random(f"{seed}/order").shuffle(order)
    longest = max(examples, key=material.tokens)
    if material.tokens(longest) > material.settings.limit:
        raise ProfileError(
            f"arm {arm.name}: example {longest.id} has {material.tokens(longest)} tokens, too many for "
            f"max_tokens={material.settings.max_tokens}; raise it, so that every arm has as many examples"
        )
    return [examples[number] for number in order]
