"""Generators behind one interface: templates (the offline default) or any model that answers chats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from xlam_lib.schema import Trajectory
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import Usage


class Generator(Protocol):
    """Anything that writes samples: sample ``i`` is the same whoever asks for it and in which company.

    Attributes: ``name`` for tables and data cards; ``round_size``, how many samples are asked for before what
    was verified returns to the seeds; ``usage``, what a model was asked so far.
    """

    @property
    def name(self) -> str: ...

    @property
    def round_size(self) -> int: ...

    @property
    def usage(self) -> Usage: ...

    def samples(self, start: int, count: int, seeds: Sequence[Trajectory]) -> Iterator[Sample]:
        """Exactly ``count`` samples, unchecked, from index ``start`` on; ``seeds`` are verified examples."""
        ...
