"""The executable API library: our own functions by theme; services are small tables or steady numbers.

``LIBRARY`` is the registry with everything in it, in a fixed order.
"""

from xlam_lib.synthesis.library import (
    calendar_and_places,
    commerce,
    data,
    finance,
    games_and_wellbeing,
    graphs_and_codes,
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
    "calendar_and_places",
    "commerce",
    "data",
    "finance",
    "games_and_wellbeing",
    "graphs_and_codes",
    "leisure",
    "math",
    "science",
    "society",
    "technology",
    "travel",
]
