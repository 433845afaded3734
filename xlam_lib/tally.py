"""Counts in the order in which tables show them, and draws that depend on ids alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping


def by_frequency(names: Iterable[str] | Mapping[str, int]) -> dict[str, int]:
    """How often each name occurs, the most frequent first and equal ones by name; counts pass as they are."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def place(seed: int, identity: str) -> bytes:
    """Where an id stands in a draw: the first ``n`` by this key are a sample.

    It depends on the seed and the id alone: neither on the order of the others nor on which there are, and a
    larger sample contains a smaller one.
    """
    return hashlib.sha256(f"{seed}/{identity}".encode()).digest()
