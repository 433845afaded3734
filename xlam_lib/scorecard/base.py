"""Rows of the scorecard, what a run gives to them, and how figures are written in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from xlam_lib import runs
from xlam_lib.intervals import wilson
from xlam_lib.records import read_json

DATA = Path(__file__).parents[1] / "data"

State = Literal["reproduced", "stand-in", "unmeasured"]
STATES: dict[State, str] = {
    "reproduced": "done or measured here as the report describes it; whether the figures agree, the row says",
    "stand-in": "measured here with something smaller, or of our own, in the place of what the report used, "
    "so the two figures do not compare",
    "unmeasured": "not measured in this run; a command that would measure it stands below",
}


class Row(msgspec.Struct, frozen=True):
    """One table, figure or claim of the reports, and what stands here beside it.

    Attributes
    ----------
    what, section
        The item, and where the reports have it.
    published, mark
        The published figures, one a line, and how far they can be trusted: empty, ``secondhand``,
        ``disputed`` or ``measured again`` (then both measurements are among the lines).
    ours, made_on
        Our figures, one a line, with 95% intervals in brackets, and the scale and data they were made at;
        empty where unmeasured.
    why
        Why the two differ, or what is missing.
    chapters
        The notebooks that show both.
    state
        A name in :data:`STATES`.
    command
        What would measure an unmeasured row, or take a stand-in's place; empty if nothing has to.
    group
        The part of the scorecard.
    """

    what: str
    section: str
    published: tuple[str, ...]
    mark: str
    ours: tuple[str, ...]
    made_on: str
    why: str
    chapters: tuple[str, ...]
    state: State
    command: str
    group: str = ""


class Run:
    """What one run measured: nothing of a stage that its ``run.json`` does not list."""

    def __init__(self, manifest: Mapping[str, Any], artifacts: Path) -> None:
        self.manifest, self.artifacts = manifest, artifacts
        self.notebooks: Mapping[str, Any] = manifest.get("notebooks") or {}

    def measure(self, stage: str, key: str) -> Any:
        """What a stage measured under a name, or ``None``."""
        return (self.notebooks.get(stage, {}).get("measures") or {}).get(key)

    def parameter(self, key: str) -> Any:
        """A parameter of the run's profile, or ``None``."""
        return (self.manifest.get("parameters") or {}).get(key)

    def artifact(self, stage: str, name: str) -> Any:
        """A JSON file that a stage wrote, or ``None``."""
        file = self.artifacts / name
        return read_json(file) if stage in self.notebooks and file.exists() else None

    def command(self, stage: str) -> str:
        """What would run a stage of this run."""
        profile = self.manifest.get("profile")
        profile = profile if profile in runs.profiles() else "laptop"
        name = self.manifest.get("run_id") or profile
        chosen = "" if name == profile else f" --run-id {name}"
        return f"python -m xlam_lib run --profile {profile}{chosen} --only {stage}"

    def evening(self) -> Run:
        """The committed run of the profile ``evening``, which asks more; empty where there is none."""
        return Run(runs.longer_manifest(), runs.folder(runs.LONGER) / "artifacts")

    @property
    def machine(self) -> str:
        """Its hardware in a few words."""
        hardware = self.manifest.get("hardware") or {}
        gpus = hardware.get("gpus") or []
        return f"{len(gpus)} x {gpus[0]}" if gpus else f"{hardware.get('cores', '?')} CPU cores, no GPU"

    @property
    def model(self) -> str:
        """The model that its training starts from."""
        return str(self.parameter("model") or "model not recorded")


def make(
    what: str,
    section: str,
    published: Sequence[str],
    chapters: str | tuple[str, ...],
    *,
    ours: Sequence[str] | None,
    made_on: str = "",
    why: str = "",
    state: State = "stand-in",
    mark: str = "",
    here: str = "",
    scale: str = "",
    missing: str = "not in this run",
) -> Row:
    """A row, unmeasured if there is nothing of ``ours``.

    ``here`` is the command that makes our figure, ``scale`` the one that makes the report's; ``missing`` is
    said instead of ``why`` where there is no figure.
    """
    chapters = (chapters,) if isinstance(chapters, str) else chapters
    if not ours:
        return Row(
            what, section, tuple(published), mark, (), "", missing, chapters, "unmeasured", here or scale
        )
    return Row(what, section, tuple(published), mark, tuple(ours), made_on, why, chapters, state, scale)


def shipped(name: str) -> Any:
    """A measurement that ships in ``xlam_lib/data``, or ``None`` where it has not been made."""
    file = DATA / name
    return read_json(file) if file.exists() else None


def between(value: float, low: float, high: float, scale: float = 100, digits: int = 1) -> str:
    """A figure with its interval in brackets, fractions in per cent unless ``scale`` is 1."""
    return f"{scale * value:.{digits}f} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def rate(right: int, count: int) -> str:
    """A share with its Wilson interval, in per cent."""
    return f"{right:,} of {count:,}: {between(right / count, *wilson(right, count))} %"


def span(values: Iterable[float], digits: int = 2) -> str:
    """The least and the greatest of several figures."""
    found = sorted(values)
    return f"{found[0]:.{digits}f} to {found[-1]:.{digits}f}"
