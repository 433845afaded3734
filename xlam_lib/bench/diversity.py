"""How diverse the synthetic queries are beside queries that people wrote, by the same measures.

`python -m xlam_lib bench diversity [count]` compares the template generator with BFCL's questions (left out
where the benchmark is not there) and, where `XLAM_DATA` names a folder of real records, with Seal-Tools'
queries, which people checked. All sets are cut to the same number of queries and of tokens, because most
measures depend on both. Only counts and scores are printed, no record. With Seal-Tools they are
also written to `xlam_lib/data/diversity.json`, where chapter 4 reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from xlam_lib import sources
from xlam_lib.bench.verify import table
from xlam_lib.errors import AssetError
from xlam_lib.evaluate import bfcl
from xlam_lib.records import write_json
from xlam_lib.schema import Trajectory
from xlam_lib.synthesis import generate
from xlam_lib.synthesis.diversity import TOKENS, coverage, measure, tokens_of

FILE = Path(__file__).parents[1] / "data" / "diversity.json"
SAMPLES = 5000
"""How many samples the coverage is counted on, unless more queries are compared."""


def main(arguments: list[str]) -> None:
    """Argument: queries of each set (1000). Prints diversity and coverage as tables, then all as JSON."""
    wanted = int(arguments[0]) if arguments else 1000
    sets = references()
    samples = list(generate(max(wanted, SAMPLES)))
    queries = [sample.query for sample in samples]
    # A short run takes functions and templates in turns, so it is more diverse than as much of a longer one.
    sets = {"a synthetic run": queries[:wanted], f"{len(queries)} synthetic": queries, **sets}
    count = min(wanted, *map(len, sets.values()))
    cut = min(TOKENS, *(_tokens(queries, count) for queries in sets.values()))
    rows = [
        {"queries of": name, **msgspec.structs.asdict(measure(queries, sample=count, tokens=cut))}
        for name, queries in sets.items()
    ]
    covered = coverage(samples)
    print(f"{count} queries of each set, {cut} tokens\n\n{table(rows)}\n")
    print(f"{len(samples)} synthetic samples\n\n{table(covered)}\n")
    command = f"python -m xlam_lib bench diversity {wanted}"
    result = {"command": command, "diversity": rows, "coverage": covered}
    if "Seal-Tools" in sets:
        write_json(FILE, result)
    print(json.dumps(result))


def references() -> dict[str, list[str]]:
    """Queries of the sets that are there, by name, each once."""
    found: dict[str, list[str]] = {}
    try:
        found["BFCL"] = _once(question.query for question in bfcl.questions())
    except AssetError as error:
        print(f"without BFCL: {error}\n")
    folder = Path(os.environ.get("XLAM_DATA", "")) / "seal_tools"
    if os.environ.get("XLAM_DATA") and folder.is_dir():
        outcomes = sources.unify("seal_tools", folder)
        found["Seal-Tools"] = _once(out.query for out in outcomes if isinstance(out, Trajectory))
    else:
        print("without Seal-Tools: XLAM_DATA names no folder that has it\n")
    return found


def _once(queries: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(queries))


def _tokens(queries: list[str], count: int) -> int:
    """The fewest tokens that ``count`` of the queries can have."""
    return sum(sorted(len(tokens_of(query)) for query in queries)[:count])
