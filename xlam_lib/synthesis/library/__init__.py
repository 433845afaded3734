"""The executable API library: our own functions by theme; services are small tables or steady numbers.

``LIBRARY`` is the registry with everything in it, in a fixed order.
"""

from xlam_lib.synthesis.library import (
    commerce,
    data,
    finance,
    leisure,
    math,
    science,
    society,
    technology,
    travel,
)
from xlam_lib.synthesis.library.base import LIBRARY

__all__ = [
    "LIBRARY",
    "commerce",
    "data",
    "finance",
    "leisure",
    "math",
    "science",
    "society",
    "technology",
    "travel",
]
