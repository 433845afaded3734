"""How well the semantic check finds planted errors of meaning, against a judge that lets everything pass.

``python -m xlam_lib bench semantic [cases] [seed]``. The rules are tried twice: knowing what the generator
knows (exact), and knowing the query's text alone (blind), as for a pair that a model wrote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import msgspec

from xlam_lib.bench.verify import table
from xlam_lib.generation import Generation, Message
from xlam_lib.synthesis.semantic import RuleJudge, SemanticJudge
from xlam_lib.synthesis.semantic_model import ModelJudge
from xlam_lib.synthesis.trial import trial


class _Agreeable:
    """A model that lets everything pass: the baseline, whose recall is 0."""

    name = "passes everything"

    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        return [Generation('{"thought": "fine", "pass": "yes"}', 0, 0, "stop") for _ in chats]


def main(arguments: list[str]) -> None:
    """Arguments: cases (4000), seed (0). Prints a table for each judge, then all of it as JSON."""
    count = int(arguments[0]) if arguments else 4000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    judges: list[tuple[str, SemanticJudge, bool]] = [
        ("baseline", ModelJudge(_Agreeable()), True),
        ("exact", RuleJudge(), False),
        ("blind", RuleJudge(), True),
    ]
    found = {}
    for label, judge, blind in judges:
        started = time.time()
        result = trial(judge, count, seed, blind=blind)
        seconds = time.time() - started
        print(f"{label} ({judge.name}): {count} cases, {seconds:.0f} s, left out {result.left_out}")
        print(f"\n{table(result.rows())}\n")
        for reason, number in sorted(result.reasons.items(), key=lambda item: -item[1]):
            print(f"false alarms: {number} x {reason}")
            for example in result.examples[reason]:
                print(f"    {example}")
        print()
        found[label] = msgspec.to_builtins(result)
    print(json.dumps(found))
