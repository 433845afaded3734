"""Planning an allotment garden: an example of a module that synthesis takes as it is, without templates."""

from __future__ import annotations

import datetime
import enum
import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NotRequired, TypedDict


class Soil(enum.Enum):
    """What a bed is filled with."""

    SAND = "sandy"
    LOAM = "loamy"
    CLAY = "clay"


Vegetable = Literal["tomato", "carrot", "lettuce", "leek", "pumpkin", "radish"]


@dataclass
class Bed:
    """A rectangular bed.

    Attributes:
        length: Length in metres.
        width: Width in metres.
        raised: Whether it stands on legs.
    """

    length: float
    width: float
    raised: bool = False


class Harvest(TypedDict):
    """One day's harvest.

    vegetable: What was harvested.
    kilograms: Weight in kilograms.
    note: Anything worth remembering.
    """

    vegetable: Vegetable
    kilograms: float
    note: NotRequired[str]


_SPACING = {"tomato": 0.5, "carrot": 0.05, "lettuce": 0.25, "leek": 0.15, "pumpkin": 1.2, "radish": 0.04}
_DAYS = {"tomato": 110, "carrot": 80, "lettuce": 55, "leek": 150, "pumpkin": 120, "radish": 28}
_FRIENDS = {"tomato": ["lettuce", "leek"], "carrot": ["leek", "radish"], "lettuce": ["radish", "tomato"]}


def count_plants(bed: Bed, vegetable: Vegetable, paths: int = 0) -> int:
    """Count how many plants of a vegetable fit into a bed.

    Args:
        bed: The bed and its size.
        vegetable: What is to be planted.
        paths (int): Footpaths across the bed, each 30 centimetres wide.

    Raises:
        ValueError: If the paths leave no soil.
    """
    length = bed.length - 0.3 * paths
    if length <= 0 or bed.width <= 0:
        raise ValueError("the paths leave no soil to plant in")
    spacing = _SPACING[vegetable]
    return math.floor(length / spacing) * math.floor(bed.width / spacing)


def harvest_date(vegetable: Vegetable, sown_on: datetime.date, greenhouse: bool = False) -> datetime.date:
    """Estimate when a vegetable can be harvested.

    Parameters
    ----------
    vegetable
        What was sown.
    sown_on
        Day of sowing.
    greenhouse
        Whether it grows under glass, which saves a fifth of the time.
    """
    return sown_on + datetime.timedelta(days=_DAYS[vegetable] * (0.8 if greenhouse else 1))


def find_companions(vegetable: Vegetable, limit: int = 3) -> list[str]:
    """Find good neighbours for a vegetable.

    :param vegetable: The vegetable that looks for company.
    :param limit: Most neighbours to return.
    :raises ValueError: if the limit is not positive
    """
    if limit < 1:
        raise ValueError("limit must be positive")
    return _FRIENDS.get(vegetable, [])[:limit]


def compute_watering(area: float, soil: Soil, forecast: list[float], mulched: bool = False) -> float:
    """Compute the litres of water that a bed needs over the coming days.

    area: Area of the bed in square metres.
    soil: Kind of soil.
    forecast: Expected rain for each day, in millimetres.
    mulched: Whether the soil is covered with mulch.
    """
    if area <= 0:
        raise ValueError("area must be positive")
    need = {Soil.SAND: 6.0, Soil.LOAM: 4.5, Soil.CLAY: 3.5}[soil] * (0.7 if mulched else 1)
    return round(sum(max(0.0, need - rain) for rain in forecast) * area, 1)


def rent_plot(
    member: str, email: str, start_date: datetime.date, end_date: datetime.date
) -> dict[str, object]:
    """Reserve an allotment plot for a member.

    Args:
        member: Full name of the member.
        email: Where the contract is sent.
        start_date: First day of the lease.
        end_date: Last day of the lease.
    """
    if end_date <= start_date:
        raise ValueError("the lease must end after it starts")
    days = (end_date - start_date).days
    return {"member": member, "email": email, "days": days, "rent": round(days * 0.35, 2)}


def summarize_harvest(harvests: list[Harvest]) -> dict[str, float]:
    """Summarize a list of harvests by vegetable.

    harvests: The harvests of the season.
    """
    totals: dict[str, float] = {}
    for harvest in harvests:
        totals[harvest["vegetable"]] = totals.get(harvest["vegetable"], 0) + harvest["kilograms"]
    return totals


def average_temperature(readings: list[float], unit: Literal["celsius", "fahrenheit"] = "celsius") -> float:
    """The mean of a week's temperature readings.

    Parameters
    ----------
    readings : list of float
        Temperatures, one a day.
    unit : {"celsius", "fahrenheit"}
        Unit of the answer; readings are in degrees Celsius.
    """
    mean = fmean(readings)
    return round(mean if unit == "celsius" else _fahrenheit(mean), 1)


async def order_seeds(
    vegetable: Vegetable, packets: int, *, organic: bool = True, deliver_to: str | None = None
) -> dict[str, object]:
    """Order packets of seeds for a vegetable.

    :param vegetable: What to sow.
    :param packets: Number of packets, at most 50.
    :param organic: Whether only organic seeds will do.
    :param deliver_to: City to deliver to; otherwise they are picked up.
    """
    if not 1 <= packets <= 50:
        raise ValueError("an order has 1 to 50 packets")
    price = packets * (3.2 if organic else 2.4)
    return {"vegetable": vegetable, "price": round(price + (4.9 if deliver_to else 0), 2)}


def _fahrenheit(celsius: float) -> float:
    """Degrees Celsius in degrees Fahrenheit."""
    return celsius * 9 / 5 + 32
