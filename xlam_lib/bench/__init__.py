"""Measurements, each a ratio against a named baseline in the same run: ``python -m xlam_lib bench NAME``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from xlam_lib.errors import ProfileError


def names() -> list[str]:
    """The measurements there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def main(name: str, arguments: Sequence[str] = ()) -> None:
    """Run one measurement and print what it found.

    Raises
    ------
    ProfileError
        There is no measurement of that name.
    """
    if name not in names():
        raise ProfileError(f"bench {name!r} is unknown; choose one of {', '.join(names())}")
    importlib.import_module(f"xlam_lib.bench.{name}").main(list(arguments))
