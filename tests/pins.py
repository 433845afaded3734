"""What the extras install: the closure of a distribution's dependencies, read from the installed metadata.

``python tests/pins.py > constraints.txt`` writes the pins of the environment it runs in.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# Wheels that only a CUDA build of torch asks for; torch itself pins each of them exactly.
OF_CUDA_TORCH = re.compile(r"^(nvidia-|cuda-|triton$)")

HEADER = """\
# The versions that were tested together, the whole closure of `pip install -e .[all]`.
# Written by `make pins`; used by `make setup` and environment.yml. torch carries no build tag on
# purpose: the same pin is the CPU build or the CUDA build, whichever the package index offers.
"""


def closure(name: str, extras: frozenset[str] = frozenset()) -> dict[str, str]:
    """Map each installed distribution that ``name[extras]`` needs, itself left out, to its version.

    Local version tags (``+cpu``) are cut off. Raises ``PackageNotFoundError`` for a missing one.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    found: dict[str, str] = {}

    def visit(name: str, extras: frozenset[str]) -> None:
        key = (canonicalize_name(name), extras)
        if key in seen:
            return
        seen.add(key)
        distribution = importlib.metadata.distribution(name)
        found[key[0]] = Version(distribution.version).public
        for line in distribution.requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
                visit(requirement.name, frozenset(requirement.extras))

    visit(name, extras)
    found.pop(canonicalize_name(name))
    return {key: found[key] for key in sorted(found) if not OF_CUDA_TORCH.match(key)}


def read_pins(path: Path) -> dict[str, str]:
    """Read ``name==version`` lines; comments and blank lines are skipped, anything else is an error."""
    pins: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
        assert match, f"{path}, line {number}: {line!r} is not name==version; run `make pins`"
        pins[canonicalize_name(match[1])] = match[2]
    return pins


if __name__ == "__main__":
    print(
        HEADER
        + "\n".join(
            f"{name}=={version}" for name, version in closure("xlam-book", frozenset({"all"})).items()
        )
    )
