"""A bicycle workshop: typed functions as anybody might have them, without templates or examples.

Bounds stand in the types, as ``Annotated`` says them (pydantic's fields and ``annotated_types`` are read as
well), so that values are drawn from what a function accepts.
"""

from __future__ import annotations

import datetime
import zlib
from typing import Annotated, Literal

from msgspec import Meta

Bicycle = Literal["city bike", "road bike", "mountain bike", "cargo bike"]
Repair = Literal["flat tyre", "brake service", "gear adjustment", "wheel truing", "chain replacement"]
Part = Literal["inner tube", "brake pads", "chain", "saddle", "bell", "front light", "pedals"]
Shop = Literal["Harbour", "Old Town", "Station"]
Few = Annotated[int, Meta(ge=1, le=10)]

_MINUTES = {
    "flat tyre": 20,
    "brake service": 35,
    "gear adjustment": 30,
    "wheel truing": 40,
    "chain replacement": 25,
}
_PRICES = {
    "inner tube": 6.5,
    "brake pads": 12.0,
    "chain": 24.0,
    "saddle": 39.0,
    "bell": 8.0,
    "front light": 29.0,
    "pedals": 27.5,
}
_DAILY = {"city bike": 14.0, "road bike": 28.0, "mountain bike": 26.0, "cargo bike": 35.0}


def quote_repair(repair: Repair, bicycle: Bicycle, express: bool = False) -> float:
    """Quote the price of a repair on a bicycle.

    Args:
        repair: What is to be done.
        bicycle: Kind of bicycle.
        express: Whether it must be ready the same day, which costs half as much again.
    """
    price = 12 + 1.1 * _MINUTES[repair] * (1.3 if bicycle == "cargo bike" else 1)
    return round(price * (1.5 if express else 1), 2)


def check_stock(part: Part, shop: Shop) -> int:
    """Check how many pieces of a part a shop has in stock.

    Args:
        part: The spare part.
        shop: Which of our shops.
    """
    return zlib.crc32(f"{part}/{shop}".encode()) % 9


def order_part(
    part: Part, quantity: Annotated[int, Meta(ge=1, le=40)], shop: Shop = "Station"
) -> dict[str, object]:
    """Order a part for the workshop.

    Args:
        part: The spare part.
        quantity: Pieces to order.
        shop: Where it is delivered.
    """
    return {"part": part, "quantity": quantity, "shop": shop, "price": round(quantity * _PRICES[part], 2)}


def tyre_pressure(
    rider_weight: Annotated[int, Meta(ge=20, le=200)],
    tyre_width: Annotated[int, Meta(ge=18, le=80)],
    tubeless: bool = False,
) -> float:
    """Recommend a tyre pressure, in bar.

    Args:
        rider_weight: Weight of the rider in kilograms.
        tyre_width: Width of the tyre in millimetres.
        tubeless: Whether the tyres have no inner tubes.
    """
    return round((rider_weight + 100) / (0.9 * tyre_width) - (0.4 if tubeless else 0), 1)


def gear_ratio(
    chainring: Annotated[int, Meta(ge=20, le=60)], sprocket: Annotated[int, Meta(ge=9, le=52)]
) -> float:
    """Calculate the gear ratio of a chainring and a sprocket.

    Args:
        chainring: Teeth of the chainring.
        sprocket: Teeth of the sprocket.
    """
    return round(chainring / sprocket, 2)


def frame_size(inseam: Annotated[int, Meta(ge=50, le=110)], bicycle: Bicycle) -> int:
    """Recommend a frame size in centimetres for a rider.

    Args:
        inseam: Inside leg of the rider in centimetres.
        bicycle: Kind of bicycle.
    """
    share = {"city bike": 0.66, "road bike": 0.665, "mountain bike": 0.57, "cargo bike": 0.6}
    return round(inseam * share[bicycle])


def rental_price(
    bicycle: Bicycle, days: Annotated[int, Meta(ge=1, le=60)], helmets: Annotated[int, Meta(ge=0, le=9)] = 0
) -> float:
    """Calculate the price of renting a bicycle.

    Args:
        bicycle: Kind of bicycle.
        days: Number of days.
        helmets: Number of helmets to rent with it.
    """
    return round(days * (_DAILY[bicycle] * (0.8 if days >= 7 else 1) + 2 * helmets), 2)


def book_service(customer: str, date: datetime.date, bicycle: Bicycle) -> dict[str, object]:
    """Book a service appointment for a customer.

    Args:
        customer: Full name of the customer.
        date: Day on which the bicycle is brought in.
        bicycle: Kind of bicycle.
    """
    free = ("09:00", "10:30", "13:00", "15:30")
    hour = free[zlib.crc32(f"{customer}/{date}".encode()) % len(free)]
    return {"customer": customer, "date": date.isoformat(), "time": hour, "bicycle": bicycle}


def warranty_end(bought_on: datetime.date, years: Few = 2) -> datetime.date:
    """Find out when a bicycle's warranty ends.

    Args:
        bought_on: Day on which it was bought.
        years: Years of warranty.
    """
    return bought_on + datetime.timedelta(days=round(365.25 * years))


def chain_wear(kilometres: Annotated[int, Meta(ge=100, le=9000)], lubricated: bool = True) -> int:
    """Estimate how worn a chain is, in per cent.

    Args:
        kilometres: Distance ridden with the chain.
        lubricated: Whether it was kept oiled.
    """
    return min(100, round(kilometres / (45 if lubricated else 25)))


def battery_range(
    capacity: Annotated[int, Meta(ge=200, le=1200)], assistance: Literal["eco", "tour", "turbo"]
) -> int:
    """Estimate how many kilometres an e-bike's battery lasts.

    Args:
        capacity: Capacity of the battery in watt-hours.
        assistance: Level of assistance.
    """
    return round(capacity / {"eco": 5, "tour": 8, "turbo": 14}[assistance])


def enroll_course(
    participant: str, course: Literal["puncture repair", "brake adjustment", "wheel building"], seats: Few = 1
) -> dict[str, object]:
    """Enroll a participant in a repair course.

    Args:
        participant: Full name of the participant.
        course: Name of the course.
        seats: Number of seats, for company.
    """
    if seats > 6:
        raise ValueError("a course takes a party of up to 6")
    fee = {"puncture repair": 15, "brake adjustment": 25, "wheel building": 90}[course]
    return {"participant": participant, "course": course, "seats": seats, "fee": fee * seats}
