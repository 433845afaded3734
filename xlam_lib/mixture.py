"""The training mixture (xLAM report, section 3.5): records become prompts, pools are mixed by weight.

The report's function-calling models take half of their data from synthesis and half from everything else;
its general models add 20-30% general instruction data. :data:`RECIPES` holds such shares as data,
:func:`weights` spreads them over the pools at hand, and :func:`mix` draws a fixed number of examples: each
pool gives its share without repeating an example (unless told that it may), and a pool too small for its
share is counted as short and the others fill its place. :func:`card` writes down what was drawn.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib import instruct, markdown
from xlam_lib.dedup import near_duplicates
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.prompts import answer_format, examples
from xlam_lib.records import hash_file, hash_folder
from xlam_lib.schema import Reject, Trajectory
from xlam_lib.sources import SOURCES
from xlam_lib.tally import place

INSTRUCTION = instruct.KIND  # meta["kind"]; also the pool group, style and format of such data
# APIGen's data, and what was made of them; any other source that calls tools is agent data.
SYNTHETIC_SOURCES = frozenset({"synthetic", "xlam_60k", "hammer"})
INSTRUCTION_SOURCES = frozenset({"dialogstudio", "data_provenance"})
GROUPS: tuple[str, ...] = ("agent", "synthetic", INSTRUCTION)


class Example(msgspec.Struct, forbid_unknown_fields=True):
    """One supervised example: a prompt as one user message, and the answer the model is to give.

    Attributes: ``id`` (the trajectory's, with ``#step``), ``source``, ``style`` (``simple``,
    ``parallel``, ... for synthetic ones, ``step`` for agents' steps, ``instruction``), ``prompt``,
    ``answer``, the names of the ``tools`` on offer, the ``format`` of the answer (a name in
    :data:`xlam_lib.formats.FORMATS`, or ``instruction`` for an answer in its source's own words), and the
    ``licence`` of the record (:func:`licence`).
    """

    id: str
    source: str
    style: str
    prompt: str
    answer: str
    tools: list[str]
    format: str = ""
    licence: str = ""


class Mixture(msgspec.Struct):
    """What :func:`mix` drew: the ``examples`` in training order and the ``table`` of its pools.

    ``table[pool]`` holds ``available``, ``asked`` (by weight), ``taken`` and ``short``.
    """

    examples: list[Example]
    table: dict[str, dict[str, int]]


MAY_TRAIN = "may train"


def not_trainable(trajectory: Trajectory) -> str | None:
    """Why a record is not for training, or ``None`` if it is.

    Only the split ``train`` is trained on, and what was synthesized here, which has none. A ``test`` split is
    what evaluations of that source rely on, ``validation`` is theirs to tune on, and a record of an
    ``unknown`` split may belong to either. A task without an answer has nothing to learn from, and an attempt
    that ends with giving up (``meta["outcome"]``) has the wrong thing.
    """
    split = trajectory.meta.get("split", "train")
    if split != "train":
        return f"{split} split"
    if not trajectory.steps:
        return "task without an answer"
    return "gave up" if trajectory.meta.get("outcome") == "give_up_and_restart" else None


def trainable(trajectories: Iterable[Trajectory]) -> tuple[list[Trajectory], Counter[str]]:
    """The trajectories that may be trained on, and the reasons of :func:`not_trainable` for the others."""
    kept, out = [], Counter()
    for trajectory in trajectories:
        reason = not_trainable(trajectory)
        if reason is None:
            kept.append(trajectory)
        else:
            out[reason] += 1
    return kept, out


def reasons_by_source(outcomes: Iterable[Trajectory | Reject]) -> dict[str, Counter[str]]:
    """Source to what became of its records: :data:`MAY_TRAIN`, or the reason against them, counted.

    A trajectory is looked at with :func:`not_trainable`; a ``Reject`` brings its own reason.
    """
    found: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        reason = outcome.reason if isinstance(outcome, Reject) else not_trainable(outcome)
        found.setdefault(outcome.source, Counter())[reason or MAY_TRAIN] += 1
    return found


def instructions_filtered(
    trajectories: Iterable[Trajectory], **settings: Any
) -> Iterator[Trajectory | Reject]:
    """Each trajectory in order, general instruction data only where the report's filters keep it.

    What :func:`xlam_lib.instruct.filter_instructions` (which takes ``settings``) turns away is a ``Reject``
    with its place among all trajectories; agent and synthetic records pass as they are.
    """
    # Of the instruction data there is little beside the rest; they are judged together, then put back.
    everything = list(trajectories)
    judged = instruct.filter_instructions((t for t in everything if _is_instruction(t)), **settings)
    for position, trajectory in enumerate(everything):
        outcome = next(judged) if _is_instruction(trajectory) else trajectory
        if isinstance(outcome, Reject):
            outcome.position = position
        yield outcome


def _is_instruction(trajectory: Trajectory) -> bool:
    return trajectory.meta.get("kind") == INSTRUCTION


def licence(trajectory: Trajectory) -> str:
    """The licence that the record states (``meta["licence"]``), else its source's; empty if neither does."""
    stated = trajectory.meta.get("licence")
    if stated is None:
        stated = _origin_of(trajectory.source)["licence"]
    return "; ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")


def make_examples(
    trajectories: Iterable[Trajectory], length: str = "brief", steps: str = "all", style: str = "brackets"
) -> Iterator[Example]:
    """Yield the supervised examples of each trajectory: one a step that calls tools or declines to.

    General instruction data (``meta["kind"]``) keep the form of their source; see :mod:`xlam_lib.instruct`.

    Parameters
    ----------
    length
        ``full`` or ``brief`` instructions in the prompt.
    style
        The concatenation style of records for which the augmentation drew none.
    steps
        ``all``, or ``calls`` for the steps that make a call (and the whole of one-step records, whose
        empty call list is an answer in its own right).
    """
    if steps not in ("all", "calls"):
        raise ProfileError(f"steps {steps!r} is unknown; choose all or calls")
    for trajectory in trajectories:
        if _is_instruction(trajectory):
            yield from _instructions(trajectory)
            continue
        drawn = trajectory.meta.get("prompt") or {}
        if not isinstance(drawn, Mapping):  # not the augmentation's draw but the source's own prompt
            drawn, meta = {}, {key: value for key, value in trajectory.meta.items() if key != "prompt"}
            trajectory = msgspec.structs.replace(trajectory, meta=meta)
        fmt = answer_format(trajectory).name
        pairs = examples(trajectory, drawn.get("style", style), length=length)
        for step, (prompt, answer) in zip(trajectory.steps, pairs, strict=True):
            if steps == "calls" and not step.tool_calls and len(trajectory.steps) > 1:
                continue
            yield Example(
                id=f"{trajectory.unique_trajectory_id}#{step.step_id}",
                source=trajectory.source,
                style=str(trajectory.meta.get("style", "step")),
                prompt=prompt,
                answer=answer,
                tools=[tool.name for tool in trajectory.tools],
                format=fmt,
                licence=licence(trajectory),
            )


def _instructions(trajectory: Trajectory) -> Iterator[Example]:
    for number, (prompt, answer) in enumerate(instruct.examples(trajectory), 1):
        identity = f"{trajectory.unique_trajectory_id}#{number}"
        yield Example(
            identity, trajectory.source, INSTRUCTION, prompt, answer, [], INSTRUCTION, licence(trajectory)
        )


def without_near_duplicates(
    trajectories: Iterable[Trajectory], threshold: float = 0.8, *, seed: int = 0
) -> Iterator[Trajectory | Reject]:
    """Each trajectory that is new, in order; a ``Reject`` for each whose query nearly repeats another's.

    A record repeats another if all that the user says nearly repeats it and the same tools are called in the
    same order: what is asked alike and answered otherwise (another step of the task, another offer where
    nothing fits) teaches something of its own. Augmented copies (``id~1``, ``meta["augmented_from"]``) are
    one record with their original: never duplicates of one another, and kept or left out with it.

    Parameters
    ----------
    trajectories
        Read up to 512 ahead of what is yielded.
    threshold, seed
        As for :func:`xlam_lib.dedup.near_duplicates`.

    Raises
    ------
    ProfileError
        The threshold is not above 0 and at most 1.
    """
    waiting: deque[Trajectory] = deque()
    origins: list[str | None] = []  # of each record, while it is kept

    def texts() -> Iterator[tuple[str, str]]:
        for trajectory in trajectories:
            waiting.append(trajectory)
            yield _called_tools(trajectory), instruct.user_text(trajectory)

    for position, earlier in enumerate(near_duplicates(texts(), threshold, seed=seed)):
        trajectory = waiting.popleft()
        own = _origin(trajectory)
        origins.append(own if earlier is None else None)
        if earlier is None or origins[earlier] == own:
            yield trajectory
            continue
        identity = trajectory.unique_trajectory_id
        detail = f"{identity}: nearly repeats {origins[earlier]}"
        yield Reject(
            trajectory.source, position, "near-duplicate query", detail, "mix", record={"id": identity}
        )


def _called_tools(trajectory: Trajectory) -> str:
    """The names of the tools called, a line a step; calls of one step sorted, as copies may shuffle them."""
    steps = (sorted(call.name for call in step.tool_calls) for step in trajectory.steps)
    return "\n".join("\t".join(names) for names in steps if names)


def _origin(trajectory: Trajectory) -> str:
    origin = trajectory.meta.get("augmented_from")
    return origin if isinstance(origin, str) else trajectory.unique_trajectory_id


def unique(examples: Iterable[Example]) -> tuple[list[Example], int]:
    """The examples without those whose prompt and answer stood before, and how many those were."""
    seen: set[bytes] = set()
    kept = []
    total = 0
    for example in examples:
        total += 1
        key = hashlib.sha256(f"{example.prompt}\0{example.answer}".encode()).digest()
        if key not in seen:
            seen.add(key)
            kept.append(example)
    return kept, total - len(kept)


def fits(
    examples: Iterable[Example], count_tokens: Callable[[str], int], limit: int
) -> tuple[list[Example], list[str]]:
    """The examples of at most ``limit`` tokens (prompt and answer), and the ids of the longer ones."""
    kept, over = [], []
    for example in examples:
        if count_tokens(example.prompt) + count_tokens(example.answer) <= limit:
            kept.append(example)
        else:
            over.append(example.id)
    return kept, over


def hold_out(examples: Sequence[Example], count: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Split off ``count`` examples by a draw that depends on the ids alone; the rest keeps its order.

    Examples of one trajectory stay on one side.
    """
    order = sorted({_trajectory(e) for e in examples}, key=lambda identity: place(seed, identity))
    by_trajectory = Counter(_trajectory(e) for e in examples)
    held, number = set(), 0
    for identity in order:
        if number >= count:
            break
        held.add(identity)
        number += by_trajectory[identity]
    return [e for e in examples if _trajectory(e) not in held], [
        e for e in examples if _trajectory(e) in held
    ]


class Reserve(msgspec.Struct):
    """What :func:`reserve` sets aside, and what is left of the ``pools``."""

    pools: dict[str, list[Example]]
    held_out: list[Example]
    prompts: list[Example]


def reserve(
    pools: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    held_out: int,
    prompts: int,
    seed: int,
) -> Reserve:
    """Set examples aside that the training will not see, from the pools in proportion to their weights.

    Whole trajectories are set aside, and those of their examples that are not needed are used nowhere.

    Parameters
    ----------
    held_out
        Examples for the loss on unseen data.
    prompts
        Prompts for the alignment. General instruction data are none: their answers have no calls by which an
        answer could be told right from wrong.
    seed
        Of the draw, with the examples' ids; no more than a quarter of a pool is set aside, so both lists may
        be shorter than asked.
    """
    room = {name: len(pool) // 4 for name, pool in pools.items()}
    calling = {n: 0.0 if group_of(n) == INSTRUCTION else weight for n, weight in weights.items()}
    first = _allot(held_out, weights, room)
    second = _allot(prompts, calling, {name: room[name] - first[name] for name in room})
    made = Reserve({}, [], [])
    for name, pool in pools.items():
        made.pools[name], aside = hold_out(pool, first[name] + second[name], seed)
        random.Random(f"{seed}/{name}/reserve").shuffle(aside)
        made.held_out += aside[: first[name]]
        made.prompts += aside[first[name] : first[name] + second[name]]
    random.Random(f"{seed}/held_out").shuffle(made.held_out)
    random.Random(f"{seed}/prompts").shuffle(made.prompts)
    return made


def _allot(count: int, weights: Mapping[str, float], room: Mapping[str, int]) -> dict[str, int]:
    """``count`` places by weight: one after another to the name that lacks most of its share and has room."""
    total = sum(weights[name] for name in room) or 1.0
    places = {name: min(int(count * weights[name] / total), room[name]) for name in room}
    for _ in range(count - sum(places.values())):
        able = [name for name in room if weights[name] and places[name] < room[name]]
        if not able:
            break
        places[max(able, key=lambda name: count * weights[name] / total - places[name])] += 1
    return places


def _trajectory(example: Example) -> str:
    """The trajectory an example came from; augmented copies (``id~1``) count as one."""
    return example.id.rsplit("#", 1)[0].rsplit("~", 1)[0]


# ---------------------------------------------------------------------------------------------- weights


class Recipe(msgspec.Struct, frozen=True):
    """The shares of a mixture.

    Attributes
    ----------
    parts
        Pairs of pool groups (of :data:`GROUPS`) and the share that these groups have together. A source may
        stand beside the groups: its pools then belong to this part and not to their group's.
    exponent
        Inside a part, a pool of n examples weighs n^exponent: 1 keeps the pools' sizes, 0 makes them equal,
        and between them a small pool is read more often than its size says.
    pools
        Weights of pools inside their part, instead of sizes; then every pool of that part must be named.
    basis
        Which shares are the report's and which are chosen here.
    """

    parts: tuple[tuple[tuple[str, ...], float], ...]
    exponent: float
    basis: str
    pools: Mapping[str, float] = {}


RECIPES: dict[str, Recipe] = {
    "fc": Recipe(
        ((("synthetic",), 0.5), (("agent", INSTRUCTION), 0.5)),
        0.5,
        "50% synthetic function calling, 50% everything else (report, section 3.5); the exponent is ours",
    ),
    "general": Recipe(
        (((INSTRUCTION,), 0.25), (("agent",), 0.375), (("synthetic",), 0.375)),
        0.5,
        "20-30% general instruction data (report, section 3.5), here 25%; that agent and synthetic data "
        "halve the rest, and the exponent, are ours",
    ),
    "laptop": Recipe(
        ((("synthetic",), 0.92), (("agent", INSTRUCTION, "xlam_60k", "hammer"), 0.08)),
        0.5,
        "ours: for a small model that sees a few hundred examples, most of them synthesized here",
        {
            "synthetic/simple": 0.29,
            "synthetic/multiple": 0.24,
            "synthetic/parallel": 0.18,
            "synthetic/parallel_multiple": 0.08,
            "synthetic/irrelevant": 0.21,
        },
    ),
}


def pool_of(example: Example) -> str:
    """The example's pool: its source; for the records synthesized here, ``synthetic/`` and the style."""
    return f"synthetic/{example.style}" if example.source == "synthetic" else example.source


def by_pool(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """The examples in their pools (:func:`pool_of`), pools sorted by name, examples in their order."""
    pools: dict[str, list[Example]] = {}
    for example in examples:
        pools.setdefault(pool_of(example), []).append(example)
    return dict(sorted(pools.items()))


def group_of(pool: str) -> str:
    """The group of a pool by the source its name starts with: agent, synthetic or instruction."""
    source = pool.split("/", 1)[0]
    if source in SYNTHETIC_SOURCES:
        return "synthetic"
    return INSTRUCTION if source in INSTRUCTION_SOURCES else "agent"


def weights(
    recipe: str | Recipe, pools: Mapping[str, Sized], overrides: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The weight of every pool, all together 1.

    Parameters
    ----------
    recipe
        A name in :data:`RECIPES` or a recipe of your own. A part without examples leaves its share to the
        others in proportion to theirs.
    pools
        The examples by pool name (:func:`by_pool`).
    overrides
        Pool name to its weight in the whole mixture; the other pools share what is left as before.

    Raises
    ------
    ProfileError
        The recipe is unknown, no pool has examples, a pool of a part with named pools is not named, or an
        override names no pool, is below 0, or leaves less than nothing to the others.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise ProfileError(f"recipe {recipe!r} is unknown; choose one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    overrides = overrides or {}
    unknown = sorted(set(overrides) - set(pools))
    if unknown:
        raise ProfileError(f"mixture weight for {unknown[0]!r}, but the pools are {', '.join(pools)}")
    fixed = sum(overrides.values())
    if any(weight < 0 for weight in overrides.values()) or fixed > 1 + 1e-9:
        raise ProfileError(f"mixture weights {dict(overrides)}: need weights from 0 to 1, together at most 1")
    result = dict.fromkeys(pools, 0.0)
    sizes = {name: len(pool) for name, pool in pools.items() if len(pool) and name not in overrides}
    members = {member for part, _ in recipe.parts for member in part}

    def member_of(pool: str) -> str:
        source = pool.split("/", 1)[0]
        return source if source in members else group_of(pool)

    for groups, share in recipe.parts:
        part = {name: size**recipe.exponent for name, size in sizes.items() if member_of(name) in groups}
        named = {name: weight for name, weight in recipe.pools.items() if member_of(name) in groups}
        if named:
            unnamed = [name for name in part if name not in named]
            if unnamed:
                raise ProfileError(
                    f"pool {unnamed[0]!r}: this part of the recipe names its pools ({', '.join(named)}) and "
                    "not this one; give it a weight with an override, or leave it out"
                )
            part = {name: named[name] for name in part}
        total = sum(part.values())
        result |= {name: share * weight / total for name, weight in part.items() if total}
    total = sum(result.values())
    if total:
        result = {name: (1 - fixed) * weight / total for name, weight in result.items()}
    result |= overrides
    total = sum(result.values())
    if not total:
        raise ProfileError(f"mixture of the pools {', '.join(pools) or 'none'}: none has an example to draw")
    return {name: weight / total for name, weight in result.items()}


# ----------------------------------------------------------------------------------------- mixture, card


def mix(
    pools: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    count: int,
    seed: int,
    *,
    repeats: int = 1,
) -> Mixture:
    """Draw ``count`` examples from the pools by weight, in a shuffled order.

    ``repeats`` is how often an example may stand in the mixture. By default once; a small pool reaches a
    large share (the report's half, say) when it is read several times.

    Raises
    ------
    ProfileError
        A weight names no pool, is negative, or all are zero; or ``count`` or ``repeats`` is not positive.
    """
    unknown = sorted(set(weights) - set(pools))
    if unknown:
        raise ProfileError(f"mixture weight for {unknown[0]!r}, but the pools are {', '.join(pools)}")
    if count < 1 or any(weight < 0 for weight in weights.values()) or not sum(weights.values()):
        raise ProfileError(
            f"mixture of {count} examples by weights {dict(weights)}: need a count and a weight above 0"
        )
    if repeats < 1:
        raise ProfileError(f"mixture: repeats is {repeats}; give 1 to draw each example once, or more")
    room = {name: repeats * len(pools[name]) for name in weights}
    asked = _allot(count, weights, dict.fromkeys(weights, count))
    taken = {name: min(asked[name], room[name]) for name in weights}
    for name in sorted(weights, key=lambda n: -weights[n]):  # the others fill a short pool's place
        if weights[name]:
            missing = count - sum(taken.values())
            taken[name] += min(missing, room[name] - taken[name])
    drawn: list[Example] = []
    for name in weights:
        times, rest = divmod(taken[name], len(pools[name]) or 1)
        drawn += [*pools[name]] * times
        drawn += random.Random(f"{seed}/{name}").sample(list(pools[name]), rest)
    random.Random(f"{seed}/order").shuffle(drawn)
    table = {
        name: {
            "available": len(pools[name]),
            "asked": asked[name],
            "taken": taken[name],
            "short": max(asked[name] - taken[name], 0),
        }
        for name in weights
    }
    return Mixture(drawn, table)


def by_group(mixture: Mixture, column: str = "taken") -> dict[str, int]:
    """A column of a mixture's table, added up for each of :data:`GROUPS`."""
    counts = dict.fromkeys(GROUPS, 0)
    for pool, row in mixture.table.items():
        counts[group_of(pool)] += row[column]
    return counts


def card(
    mixture: Mixture,
    lengths: Sequence[int],
    *,
    inputs: Mapping[str, str | Path] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """The data card of a mixture, as JSON data; :func:`card_text` makes it readable.

    Parameters
    ----------
    mixture
        What was drawn.
    lengths
        Tokens of each example, prompt and answer, in the mixture's order.
    inputs
        Name to a file or folder the mixture was made of; the card holds their SHA-256.
    facts
        What happened before the draw, such as ``left_out``, ``near_duplicates``, ``contamination``
        and ``splits``; JSON data, set down as they are.

    Raises
    ------
    ProfileError
        There are not as many lengths as examples.
    ArtifactError
        An input does not exist.
    """
    examples = mixture.examples
    if len(lengths) != len(examples):
        raise ProfileError(f"data card: {len(lengths)} lengths for {len(examples)} examples; count each one")
    by_source: dict[str, list[int]] = {}
    for example, length in zip(examples, lengths, strict=True):
        by_source.setdefault(example.source, []).append(length)
    by_source = dict(sorted(by_source.items()))
    licences = {
        source: _count(example.licence or "not stated" for example in examples if example.source == source)
        for source in by_source
    }
    digest = hashlib.sha256()
    for example in examples:
        digest.update(msgspec.json.encode(example) + b"\n")
    return {
        "examples": len(examples),
        "sha256": digest.hexdigest(),  # of the examples as JSON Lines
        "inputs": {name: _hash(Path(path)) for name, path in (inputs or {}).items()},
        "pools": mixture.table,
        "by_source": {source: len(of_source) for source, of_source in by_source.items()},
        "by_style": _count(example.style for example in examples),
        "by_format": _count(example.format for example in examples if example.format),
        "by_licence": _count(example.licence or "not stated" for example in examples),
        "sources": {source: _origin_of(source) | {"licences": licences[source]} for source in by_source},
        "tokens": _quantiles(lengths),
        "tokens_by_source": {source: _quantiles(of_source) for source, of_source in by_source.items()},
        **facts,
    }


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _hash(path: Path) -> str:
    if not path.exists():
        raise ArtifactError(f"{path}: no such file or folder; the data card needs it for its SHA-256")
    return hash_folder(path) if path.is_dir() else hash_file(path)


def _quantiles(lengths: Iterable[int]) -> dict[str, int]:
    ordered = sorted(lengths)

    def quantile(part: float) -> int:
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0

    parts = {f"p{round(100 * q)}": quantile(q) for q in (0.05, 0.5, 0.95, 1.0)}
    return {"total": sum(ordered), **parts}


def _origin_of(source: str) -> dict[str, str | None]:
    """Title, licence, home and revision of a source; one that is not in the table has only its name."""
    if source == "synthetic":
        return {
            "title": "synthesized by this project",
            "licence": "Apache-2.0",
            "home": None,
            "revision": None,
        }
    known = SOURCES.get(source)
    if known is None:
        return {"title": source, "licence": None, "home": None, "revision": None}
    return {
        "title": known.title,
        "licence": known.licence,
        "home": f"https://huggingface.co/datasets/{known.hub}" if known.hub else known.home,
        "revision": known.revision,
    }


def card_text(card: Mapping[str, Any]) -> str:
    """The data card as Markdown: the mixture, its sources, lengths, what was left out, and hashes."""
    total = card["examples"]
    lines = ["# Data card", "", f"{total:,} training examples, {card['tokens']['total']:,} tokens."]
    sources = [
        {
            "source": source,
            "examples": count,
            "share": f"{count / total:.1%}",
            **{
                key: value or "not stated"
                for key, value in card["sources"][source].items()
                if key != "licence"
            },
        }
        for source, count in card["by_source"].items()
    ]
    lines += ["", "## Sources and licences", "", *markdown.table(sources)]
    lines += ["", "## Pools", "", *markdown.table([{"pool": n, **row} for n, row in card["pools"].items()])]
    for key, title in (("by_style", "Styles"), ("by_format", "Output formats"), ("by_licence", "Licences")):
        rows = [{title.lower(): name, "examples": count} for name, count in card[key].items()]
        lines += ["", f"## {title}", "", *markdown.table(rows)]
    everything = {"all": card["tokens"], **card["tokens_by_source"]}
    lines += ["", "## Tokens (prompt and answer)", ""]
    lines += markdown.table([{"source": name, **row} for name, row in everything.items()])
    known = set(card) & {
        "examples", "sha256", "inputs", "pools", "by_source", "by_style", "by_format", "by_licence",
        "sources", "tokens", "tokens_by_source",
    }  # fmt: skip
    for key, value in card.items():
        if key not in known:
            lines += ["", f"## {key.replace('_', ' ').capitalize()}", "", *markdown.facts(value)]
    lines += ["", "## SHA-256", ""]
    hashes = {"the mixture as JSON Lines": card["sha256"], **card["inputs"]}
    lines += markdown.table([{"file": name, "sha256": digest} for name, digest in hashes.items()])
    return "\n".join(lines) + "\n"


def token_counter(model_folder: Any) -> Callable[[str], int]:
    """A function that counts a text's tokens with the checkpoint's ``tokenizer.json`` (no torch needed)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
