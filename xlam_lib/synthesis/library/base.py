"""The registry that all themes add to, and helpers for tables that stand in for a service."""

from __future__ import annotations

import hashlib
import os
import time

from xlam_lib.synthesis.registry import Registry

LIBRARY = Registry("xlam_lib.synthesis.library:LIBRARY", name="the book's library")
api = LIBRARY.api


def steady(low: float, high: float, *key: object, digits: int = 0) -> float:
    """A number from ``low`` to ``high`` that depends only on ``key``: a stand-in for a service's answer."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    share = int.from_bytes(digest[:6], "big") / (1 << 48)
    value = low + share * (high - low)
    return round(value, digits) if digits else round(value)


def pick(pool: list[str] | tuple[str, ...], *key: object) -> str:
    """An entry of ``pool`` that depends only on ``key``."""
    return pool[int(steady(0, len(pool) - 1, *key))]


def known(name: str, table: dict[str, object] | list[str], what: str) -> str:
    """``name`` as the table spells it, or a ``ValueError`` as a service would answer."""
    for entry in table:
        if entry.lower() == name.lower():
            return entry
    raise ValueError(f"unknown {what}: {name!r}")


@api("Tools", "fault.stall", hidden=True)
def _stall(**_: object) -> None:
    """Stand in for a service that never answers."""
    time.sleep(3600)


@api("Tools", "fault.crash", hidden=True)
def _crash(**_: object) -> None:
    """Stand in for a service that takes its process down."""
    os._exit(7)
