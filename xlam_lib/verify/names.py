"""When an unlisted name is a listed one misremembered.

The report has two overlapping errors for a name that is not in the list: *undefined* and *hallucinated*.
Ours are kept apart so: a name is **hallucinated** when it is near a listed one, and **undefined** when
nothing listed is like it. Near means

- the same letters and digits in order, whatever the case and the separators (``getWeather``,
  ``get_weather``, ``Get-Weather``), or
- the same words but one, which has a single slip behind its first letter: a letter more or less in a word
  of at least 4 letters (``unit``/``units``), or a wrong letter or two swapped in one of at least 5.

Two slips are not near, and neither are a first letter, a short word or a digit that differ: ``minimum`` and
``maximum``, ``get`` and ``set``, ``lat`` and ``lon``, ``page1`` and ``page2`` are different names on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+|\d+")


def words(name: str) -> list[str]:
    """A name's words in lower case: split at separators, digits and capitals."""
    return [word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", name))]


def one_slip(left: str, right: str) -> bool:
    """Whether two words differ by one slip behind the first letter, as the module says it."""
    if left == right or left[:1] != right[:1] or not (left.isalpha() and right.isalpha()):
        return False
    if len(left) > len(right):
        left, right = right, left
    first = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    if len(right) == len(left) + 1:
        return len(left) >= 4 and left[first:] == right[first + 1 :]
    if len(right) != len(left) or len(left) < 5:
        return False
    wrong = left[first + 1 :] == right[first + 1 :]
    swapped = (
        left[first : first + 2] == right[first : first + 2][::-1] and left[first + 2 :] == right[first + 2 :]
    )
    return wrong or swapped


def near_names(name: str, listed: Iterable[str]) -> list[str]:
    """The listed names that ``name`` may be a slip of, in their order; empty when it is undefined.

    Where some have the same letters, those with a slip are left out.
    """
    listed = list(listed)
    parts = words(name)
    if not parts:
        return []
    split = [(other, words(other)) for other in listed]
    same = [other for other, theirs in split if "".join(theirs) == "".join(parts)]
    return same or [other for other, theirs in split if _near(parts, theirs)]


def _near(left: list[str], right: list[str]) -> bool:
    if len(left) != len(right):
        return False
    different = [(a, b) for a, b in zip(left, right, strict=True) if a != b]
    return len(different) == 1 and one_slip(*different[0])
