"""Verified samples as a data set to hand on: the shape of xlam-function-calling-60k (report, section 5).

:data:`FILE` is one JSON list of ``{"id", "query", "tools", "answers"}``, the last two as JSON text, so that
code written for that data set reads it unchanged. Beside it stand ``provenance.jsonl`` (for each id the
sample's own id and its ``meta``), ``left_out.jsonl`` (a ``Reject`` for each sample that is not in the list)
and ``README.md``, the data card.

**The dialect.** A parameter has a ``description``, a ``type`` in Python's words with ``, optional`` where it
may be left out, and perhaps a ``default``. What those words do not say of a schema (``enum``, ``format``, the
``properties`` of an object, the ``items`` of a list whose annotation does not say all) stands beside them
under its JSON Schema name, as in the unified format. ``unify("xlam_60k", FILE)`` gives the same tools, calls
and query, except that

* a required parameter keeps no ``default``: to that reader, what has one may be left out;
* a ``default`` that is not of its declared type is left out (null is kept, it says "none"), and so is an
  empty text where several types are declared;
* ``null`` among several types becomes ``nullable``; the order of several types is no property of theirs;
* a missing ``required`` or ``description`` is read as false and as no words;
* thought, observation, the user's next words, instructions and few-shot examples have no place, and the
  blanks around a query go.

Each of these is counted in :attr:`Release.lost`, by records. Every row is read back before it is written;
one whose calls would come back otherwise is left out.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from xlam_lib import contamination, dedup
from xlam_lib.errors import ArtifactError
from xlam_lib.exports.hub import HUB_LICENCES, SIZES
from xlam_lib.formats import dump_json
from xlam_lib.records import atomic_file, read_json, read_jsonl, write_text
from xlam_lib.schema import Reject, Tool, Trajectory, type_matches, validate
from xlam_lib.sources import xlam_60k
from xlam_lib.sources.base import Unfit
from xlam_lib.synthesis.samples import STYLES
from xlam_lib.tally import by_frequency

FILE = "xlam_function_calling.json"
NEAR_DUPLICATE = 0.8  # Jaccard similarity of two queries with the same calls
_NAMES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None",
          "array": "List", "object": "Dict"}  # fmt: skip
_OWN = ("type", "description", "default", "required")
_LONGEST = 100  # characters of an annotation; beyond them it says List or Dict, and the schema the rest
_NO_CALLS = b'"answers":"[]"}'
_CACHED = 16_384  # tools
_encode = msgspec.json.Encoder(order="deterministic").encode


class Release(msgspec.Struct, frozen=True):
    """What was written, counted; ``read`` is ``written`` and all of ``left_out`` together.

    Attributes
    ----------
    paths
        The files by name.
    read, written
        Samples given, and records in the list.
    left_out
        Stage to reason to number of samples.
    lost
        What the dialect cannot say, to the number of written records that had it.
    styles
        Query style to category to records; ``not recorded`` where ``meta`` does not say.
    generators
        ``meta["generator"]`` to records; ``not named`` where there is none, as with templates.
    apis, asked
        Different functions on offer, masks taken off, and different functions that queries are about.
    irrelevant, masked, noisy, executed
        Records without calls; with renamed tools; with misspelled or lower-case prose; with calls that were
        executed.
    contamination
        What the samples share with the benchmarks.
    """

    paths: dict[str, Path]
    read: int
    written: int
    left_out: dict[str, dict[str, int]]
    lost: dict[str, int]
    styles: dict[str, dict[str, int]]
    generators: dict[str, int]
    apis: int
    asked: int
    irrelevant: int
    masked: int
    noisy: int
    executed: int
    contamination: contamination.Report


# The dialect ----------------------------------------------------------------------------------------------


def annotation(schema: Mapping[str, Any]) -> str:
    """The type of a JSON Schema as a Python annotation: ``List[float]``, ``Dict[str, int]``, ``Any``."""
    declared = schema.get("type") or []
    names: list[str] = list(dict.fromkeys(declared)) if isinstance(declared, list) else [declared]
    if not names:
        return "Any"
    if len(names) > 1:
        names = [name for name in names if name != "null"]
    if len(names) > 1:
        return f"Union[{', '.join(_NAMES[name] for name in names)}]"
    items, values = schema.get("items"), schema.get("additionalProperties")
    text = inner = ""
    if names[0] == "array" and isinstance(items, dict) and items.get("type"):
        text = f"List[{(inner := annotation(items))}]"
    elif names[0] == "object" and isinstance(values, dict) and values.get("type"):
        text = f"Dict[str, {(inner := annotation(values))}]"
    return text if inner and len(text) <= _LONGEST else _NAMES[names[0]]


def tool_row(tool: Tool) -> dict[str, Any]:
    """A tool in the data set's dialect: ``{name, description, parameters}``, the parameters flat."""
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": {name: _parameter(schema) for name, schema in tool.parameters.items()},
    }


def _parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required") is True
    text = annotation(schema)
    said, _ = xlam_60k.annotation_schema(text)
    native: dict[str, Any] = {
        "description": str(schema.get("description") or ""),
        "type": text if required else f"{text}, optional",
    }
    if "default" in schema and not required:
        default = schema["default"]
        if default is None or type_matches(default, schema):
            native["default"] = default
    for key, value in schema.items():
        if key not in _OWN and (key not in said or _encode(said[key]) != _encode(value)):
            native[key] = value
    kinds = schema.get("type")
    if isinstance(kinds, list) and len(kinds) > 1 and "null" in kinds:
        native["nullable"] = True
    return native


def _losses(tool: Tool, read: Tool) -> frozenset[str]:
    """What reading a tool back does not give; the phrases of :attr:`Release.lost`."""
    lost = set()
    for name, schema in tool.parameters.items():
        want, got = _plain(schema), _plain(read.parameters[name])
        for key in want.keys() | got.keys():
            if key in want and key in got and _encode(want[key]) == _encode(got[key]):
                continue
            if key == "default":
                required = schema.get("required") is True
                lost.add("default of a required parameter" if required else "default of another type")
            elif key in ("type", "nullable"):
                lost.add("null among a parameter's types")
            else:
                lost.add(f"a parameter's {key}")
    return frozenset(lost)


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema with what may be left unsaid filled in, and its types in order."""
    plain = {"required": False, **schema}
    plain["description"] = str(schema.get("description") or "")
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = sorted(set(kinds) - ({"integer"} if "number" in kinds else set()))
        plain["type"] = kinds[0] if len(kinds) == 1 else kinds
    if not plain.get("type"):
        plain.pop("type", None)
    return plain


class _Unwritable(Exception):
    """A sample that the shape cannot hold: reason and detail of its ``Reject``."""


class _Row(NamedTuple):
    """A sample as it will be written: two JSON objects without the id, its calls, and what is lost."""

    trajectory: Trajectory
    position: int
    body: bytes
    origin: bytes
    calls: str
    lost: frozenset[str]


class _Writer:
    """Turns trajectories into rows; each different tool is written and read back once."""

    def __init__(self) -> None:
        self.tools: dict[bytes, tuple[str, frozenset[str]]] = {}

    def tool(self, tool: Tool) -> tuple[str, frozenset[str]]:
        key = msgspec.json.encode(tool)
        known = self.tools.get(key)
        if known is None:
            text = dump_json(tool_row(tool))
            (read,) = xlam_60k.tools_of(f"[{text}]")
            known = text, _losses(tool, read)
            if len(self.tools) >= _CACHED:
                self.tools.clear()
            self.tools[key] = known
        return known

    def row(self, trajectory: Trajectory, position: int) -> _Row:
        if faults := "; ".join(validate(trajectory)):
            raise _Unwritable("breaks the unified format", faults)
        if len(trajectory.steps) != 1:
            raise _Unwritable("not one step", f"{len(trajectory.steps)} steps")
        step = trajectory.steps[0]
        try:
            tools = [self.tool(tool) for tool in trajectory.tools]
            calls = _encode(step.tool_calls)
            body = {
                "query": trajectory.query.strip(),
                "tools": f"[{', '.join(text for text, _ in tools)}]",
                "answers": dump_json([{"name": c.name, "arguments": c.arguments} for c in step.tool_calls]),
            }
            row = msgspec.json.encode(body)
            origin = {"trajectory": trajectory.unique_trajectory_id, "meta": trajectory.meta}
            told = msgspec.json.encode(origin)
            read = xlam_60k.trajectory_of(dict(body))
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            raise _Unwritable("cannot be written as JSON", str(error)) from None
        except Unfit as fault:
            raise _Unwritable("would not be read back", f"{fault.reason}: {fault.detail}") from None
        if _encode(read.steps[0].tool_calls) != calls:
            raise _Unwritable("calls would be read back otherwise", body["answers"])
        lost = frozenset().union(*(lost for _, lost in tools)) | {
            what
            for what, value in (
                ("thought", step.thought),
                ("observation", step.next_observation),
                ("the user's next words", step.user_input),
                ("task or format instruction", trajectory.task_instruction or trajectory.format_instruction),
                ("few-shot examples", trajectory.few_shot_examples),
                ("blanks around the query", trajectory.query != body["query"]),
            )
            if value
        }
        return _Row(trajectory, position, row, told, calls.decode(), lost)


# Writing --------------------------------------------------------------------------------------------------


def release(
    source: str | Path | Iterable[Trajectory],
    out: str | Path,
    *,
    benchmarks: Sequence[contamination.Benchmark] | None = None,
    near_duplicates: float | None = NEAR_DUPLICATE,
    shuffle: int | None = None,
    name: str = "Verified function-calling pairs",
    licence: str = "Apache-2.0",
    judge: str = "",
    command: str = "",
) -> Release:
    """Write the data set to the folder ``out``: the same bytes for the same samples and settings.

    A sample is left out if it shares a query with a benchmark (:mod:`xlam_lib.contamination`), if it cannot
    be written, or if an earlier one has the same calls and the same or nearly the same query.

    Parameters
    ----------
    source
        A folder that :func:`~xlam_lib.synthesis.synthesize` wrote, or verified trajectories. They are read
        once; memory grows with the queries, as they are compared, and with 8 bytes a record.
    benchmarks
        What to keep apart from; None is BFCL.
    near_duplicates
        Similarity from which two queries of the same calls are near-duplicates (:mod:`xlam_lib.dedup`);
        None leaves out only those that are equal but for case, blanks and punctuation.
    shuffle
        The seed of a random order; None keeps the order of the samples.
    name, licence
        The card's heading, and the licence it states.
    judge, command
        For the card, as neither stands in the folder: who made the semantic check, and the command (or the
        call) that made the samples.

    Raises
    ------
    ArtifactError
        The folder holds no ``verified.jsonl``, nothing is left to write, or ``out`` cannot be written.
    SchemaError
        A line of ``verified.jsonl`` is not a trajectory.
    ProfileError
        ``benchmarks`` is empty or the similarity is not above 0 and at most 1.
    AssetError
        BFCL is wanted and not there.
    """
    out, funnel = Path(out), None
    if isinstance(source, (str, Path)):
        if (path := Path(source) / "funnel.json").is_file():
            funnel = read_json(path, dict[str, Any])
        source = read_jsonl(Path(source) / "verified.jsonl", Trajectory)
    report = contamination.Report()
    kept = contamination.clean(source, [contamination.bfcl()] if benchmarks is None else benchmarks, report)
    paths = {file: out / file for file in (FILE, "provenance.jsonl", "left_out.jsonl", "README.md")}
    tally = _Tally()
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryFile(dir=out)  # noqa: SIM115
    except OSError as error:
        raise ArtifactError(
            f"{out}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error
    with scratch:
        places = []
        with atomic_file(paths["left_out.jsonl"]) as left_out:
            for item in _distinct(_rows(kept), near_duplicates):
                tally.add(item)
                if isinstance(item, Reject):
                    left_out.write(msgspec.json.encode(item) + b"\n")
                    continue
                places.append(scratch.tell())
                scratch.write(item.body + b"\n" + item.origin + b"\n")
        if not places:
            raise ArtifactError(f"{out}: nothing to write; {tally.why()}")
        if shuffle is not None:
            random.Random(f"{shuffle}/release").shuffle(places)
        example = b""
        with atomic_file(paths[FILE]) as rows, atomic_file(paths["provenance.jsonl"]) as origins:
            for number, place in enumerate(places):
                scratch.seek(place)
                head = b'{"id":%d,' % number
                line = head + scratch.readline()[1:-1]
                rows.write((b",\n" if number else b"[\n") + line)
                origins.write(head + scratch.readline()[1:])
                if not example or line.endswith(_NO_CALLS) < example.endswith(_NO_CALLS):
                    example = line  # the first with calls
            rows.write(b"\n]\n")
    result = tally.release(paths, report)
    told = (near_duplicates, shuffle, name, licence, judge, command)
    write_text(paths["README.md"], _card(result, msgspec.json.decode(example), funnel, *told))
    return result


def _rows(kept: Iterable[Trajectory | Reject]) -> Iterator[_Row | Reject]:
    writer = _Writer()
    for position, item in enumerate(kept):
        if isinstance(item, Reject):
            yield item
            continue
        try:
            yield writer.row(item, position)
        except _Unwritable as fault:
            yield _reject(item, position, *fault.args, stage="release")


def _distinct(items: Iterable[_Row | Reject], threshold: float | None) -> Iterator[_Row | Reject]:
    """The items in order, a ``Reject`` for each row that repeats an earlier one."""
    waiting: deque[_Row | Reject] = deque()  # the comparison reads ahead

    def texts() -> Iterator[tuple[str, str]]:
        for item in items:
            waiting.append(item)
            if isinstance(item, _Row):
                yield item.calls, item.trajectory.query

    ids: list[str] = []
    equal: dict[bytes, int] = {}
    near = (None for _ in texts()) if threshold is None else dedup.near_duplicates(texts(), threshold)
    for place, found in enumerate(near):
        while isinstance(row := waiting.popleft(), Reject):
            yield row
        ids.append(row.trajectory.unique_trajectory_id)
        same = equal.setdefault(_mark(row), place)
        if same != place:
            yield _reject(row.trajectory, row.position, "same query and calls", ids[same])
        elif found is not None:
            yield _reject(row.trajectory, row.position, "near-duplicate query, same calls", ids[found])
        else:
            yield row
    yield from waiting


def _mark(row: _Row) -> bytes:
    text = f"{row.calls}\n{dedup.normalise(row.trajectory.query)}"
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _reject(
    trajectory: Trajectory, position: int, reason: str, detail: str, stage: str = "duplicate"
) -> Reject:
    record = {"id": trajectory.unique_trajectory_id}
    return Reject(trajectory.source, position, reason, detail, stage, record)


# Counting -------------------------------------------------------------------------------------------------


class _Tally:
    """Counts what is written and what is left out, one item at a time."""

    def __init__(self) -> None:
        self.read = 0
        self.counts: Counter[str] = Counter()
        self.left_out: dict[str, Counter[str]] = {}
        self.lost: Counter[str] = Counter()
        self.styles: dict[str, Counter[str]] = {}
        self.generators: Counter[str] = Counter()
        self.apis: set[str] = set()
        self.asked: set[str] = set()

    def add(self, item: _Row | Reject) -> None:
        self.read += 1
        if isinstance(item, Reject):
            self.left_out.setdefault(item.stage, Counter())[item.reason] += 1
            return
        meta = item.trajectory.meta
        calls = item.trajectory.steps[0].tool_calls
        names = meta.get("names") or {}
        self.lost.update(item.lost)
        style, category = (str(meta.get(key) or "not recorded") for key in ("style", "category"))
        self.styles.setdefault(style, Counter())[category] += 1
        self.generators[str(meta.get("generator") or "not named")] += 1
        self.apis.update(names.get(tool.name, tool.name) for tool in item.trajectory.tools)
        self.asked.update(meta.get("functions") or (names.get(call.name, call.name) for call in calls))
        self.counts.update(
            written=1,
            irrelevant=not calls,
            masked=bool(meta.get("masked")),
            noisy=bool(meta.get("noisy")),
            executed=bool(item.trajectory.steps[0].next_observation),
        )

    def why(self) -> str:
        told = [f"{reason}: {n}" for reasons in self.left_out.values() for reason, n in reasons.items()]
        return f"of {self.read} samples none stays ({', '.join(told)})" if told else "no sample was given"

    def release(self, paths: dict[str, Path], report: contamination.Report) -> Release:
        order = {style: place for place, style in enumerate(STYLES)}
        return Release(
            paths=paths,
            read=self.read,
            written=self.counts["written"],
            left_out={stage: by_frequency(self.left_out[stage]) for stage in sorted(self.left_out)},
            lost=by_frequency(self.lost),
            styles={
                style: by_frequency(self.styles[style])
                for style in sorted(self.styles, key=lambda style: (order.get(style, len(order)), style))
            },
            generators=by_frequency(self.generators),
            apis=len(self.apis),
            asked=len(self.asked),
            irrelevant=self.counts["irrelevant"],
            masked=self.counts["masked"],
            noisy=self.counts["noisy"],
            executed=self.counts["executed"],
            contamination=report,
        )


# The card -------------------------------------------------------------------------------------------------


def _card(
    result: Release,
    example: dict[str, Any],
    funnel: dict[str, Any] | None,
    near_duplicates: float | None,
    shuffle: int | None,
    name: str,
    licence: str,
    judge: str,
    command: str,
) -> str:
    known = HUB_LICENCES.get(licence.lower())
    front = {
        "pretty_name": name,
        "license": known or "other",
        **({} if known else {"license_name": licence, "license_link": "README.md#licence-and-limits"}),
        "language": ["en"],
        "task_categories": ["text-generation", "question-answering"],
        "tags": ["function-calling", "tool-use", "agent", "synthetic"],
        "size_categories": [next((size for limit, size in SIZES if result.written < limit), "1M<n<10M")],
        "configs": [{"config_name": "dataset", "data_files": [{"split": "train", "path": FILE}]}],
    }
    total = result.written
    generators = [
        {"generator": generator, "records": count, "share": _share(count, total)}
        for generator, count in result.generators.items()
    ]
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---

# {name}

{total:,} pairs of a query and the function calls that answer it, synthesized and verified in the way of
APIGen. The fields are those of xlam-function-calling-60k; nothing else is of that data set.

```python
from datasets import load_dataset

data = load_dataset("json", data_files="{FILE}", split="train")
```

`tools` and `answers` are JSON text; `json.loads` makes lists of them.

## Who wrote it

{_table(generators)}
{_NOT_NAMED if "not named" in result.generators else ""}
{_made(command)}

## What was checked

{_checks(result, judge)}

{_funnel(funnel)}

## What it holds

{_shares(result)}

{_styles(result)}

The records stand {"in the order in which they were made" if shuffle is None else "in random order"}.

## What was left out for this release

{result.read:,} verified samples were read, and {result.read - total:,} are not in the list. They were
compared with the benchmarks first, then written and read back, then compared with one another:
{_similarity(near_duplicates)}
`left_out.jsonl` names each that was left out.

{_table(_flat(result.left_out, "stage"))}

### Benchmarks

A sample is left out if its query is one of a benchmark's, nearly repeats one, or shares 13 words in a row
with one (8 to 12 words if the benchmark's query is no longer). A paraphrase in other words is not found.
Tools in common are counted and kept: *same tool* has a benchmark's name and parameter names, *same name* the
name.

{_table(result.contamination.rows())}

## Fields

| field | type | content |
| --- | --- | --- |
| `id` | integer | the record's number in this file, from 0; `provenance.jsonl` says which sample it is |
| `query` | text | what the user asks |
| `tools` | JSON text | the functions on offer: `name`, `description`, `parameters` |
| `answers` | JSON text | the calls: `name`, `arguments`; `[]` where the functions on offer cannot answer |

A parameter has a `description`, a `type` in Python's words with `, optional` where it may be left out, and
perhaps a `default`. What a type cannot say stands beside it under its JSON Schema name: `enum`, `items`,
`properties` and the like; of `properties`, each says itself whether it is `required`.

````json
{json.dumps(example, ensure_ascii=False, indent=2)}
````

Records that had what these fields cannot say:

{_table([{"not kept": what, "records": count} for what, count in result.lost.items()])}

## Licence and limits

The licence is {licence}; whoever keeps to it may use the data. Where a language model wrote queries, that
model's own terms on its output apply as well.

- That a pair passed the checks is no proof that it is right: nobody has read all of these pairs.
- Queries that come from templates are less varied than people's, however many there are.
- The number of functions, more than that of records, bounds what a model can learn about tools it has not
  seen.
- Each record is one turn. Results of calls and follow-up questions are not part of it.
"""


_NOT_NAMED = """
A record that names no generator was made from the hand-written templates of `xlam_lib.synthesis`, which leave
the field empty, or by a source that gave no name.
"""


def _made(command: str) -> str:
    return (
        f"How the samples were made:\n\n```\n{command}\n```" if command else "The command was not recorded."
    )


def _checks(result: Release, judge: str) -> str:
    return f"""\
In this order; what fails one check does not come to the next:

1. **Format**: the answer is JSON of the right form, and each call names a function on offer and fits its
   parameters.
2. **Execution**: each call is carried out and returns a result. Records with calls:
   {result.written - result.irrelevant:,}; with such results: {result.executed:,}.
3. **Semantics**: the calls are what the query asks for. Judge: {judge or "not recorded"}.
4. **Duplicates**: a query that was verified before, letter by letter, is turned away."""


def _funnel(funnel: dict[str, Any] | None) -> str:
    if funnel is None:
        return "How many samples failed each check was not recorded."
    rows = [
        {key: _share(value) if key == "pass_rate" else value for key, value in row.items()}
        for row in funnel.get("rows", [])
    ]
    return (
        f"Where the samples ended, before this release:\n\n{_table(rows)}\n\n"
        f"Why they failed:\n\n{_table(_flat(funnel.get('reasons', {}), 'check'))}"
    )


def _shares(result: Release) -> str:
    rows = [
        {"records": what, "number": count, "share": _share(count, result.written)}
        for what, count in (
            ("without calls (irrelevant)", result.irrelevant),
            ("with masked tools (names changed)", result.masked),
            ("with noisy prose (misspelled or lower case)", result.noisy),
        )
    ]
    return (
        f"{result.apis:,} different functions are on offer (masked ones counted by their own names), and\n"
        f"the queries are about {result.asked:,} different functions.\n\n{_table(rows)}"
    )


def _styles(result: Release) -> str:
    whole: Counter[str] = Counter()
    for told in result.styles.values():
        whole.update(told)
    rows = [
        {
            "category": category,
            **{style: told.get(category, 0) for style, told in result.styles.items()},
            "all": count,
            "share": _share(count, result.written),
        }
        for category, count in by_frequency(whole).items()
    ]
    sums = {style: sum(told.values()) for style, told in result.styles.items()}
    rows.append({"category": "all", **sums, "all": result.written, "share": _share(1)})
    return f"Categories and query styles:\n\n{_table(rows)}"


def _similarity(near_duplicates: float | None) -> str:
    words = "the same words" if near_duplicates is None else "the same or nearly the same words"
    how = "" if near_duplicates is None else f" (Jaccard similarity of at least {near_duplicates})"
    return f"the same calls, asked for in {words} but for case and punctuation,\nstand once{how}."


def _flat(counts: Mapping[str, Mapping[str, int]], first: str) -> list[dict[str, Any]]:
    return [
        {first: stage, "reason": reason, "samples": count}
        for stage, told in counts.items()
        for reason, count in told.items()
    ]


def _share(part: float, whole: int = 1) -> str:
    return f"{part / whole:.1%}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "None."
    ruler = ["---:" if isinstance(cell, int) else "---" for cell in rows[0].values()]
    lines = [list(rows[0]), ruler, *([_cell(cell) for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")
