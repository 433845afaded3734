"""Commerce functions, and a few that fit nowhere else."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from xlam_lib.synthesis.library.base import api, steady
from xlam_lib.synthesis.library.pools import CITIES, COUNTRIES, FIRST_NAMES, FULL_NAMES, PRODUCTS
from xlam_lib.synthesis.values import (
    date,
    decimal,
    enum,
    flag,
    items,
    made,
    money,
    one,
    percent,
    plain,
    record,
    whole,
)

_ORDER = made("{a}-{b}", a=one(["ORD", "SO", "WEB"]), b=plain(10000, 99999))


@api(
    "Commerce",
    "shop.search_products",
    slots={
        "keyword": one(PRODUCTS),
        "max_price": money(15, 900, 0.1),
        "brand": one(["Northpeak", "Lumina", "Oakridge", "Velo", "Kitsune", "Brightwell"]),
        "in_stock": flag(["in stock", "that are available right now"], ["even if sold out"]),
        "min_stars": decimal(2, 4.8, 1),
    },
    asks=[
        "Search for <a {keyword}>[ by {brand}][ under {max_price}][, rated {min_stars} stars or more]",
        "Do you have any <{keyword}>[ from {brand}][ for less than {max_price}]?",
        "Find me offers for <a {keyword}>[ that cost at most {max_price}]",
        "<{keyword}>[, {brand}][, up to {max_price}]",
        "My old one broke, so I'm looking for a new {keyword}[ made by {brand}][, at most {max_price}][, with at least {min_stars} stars].",
    ],
    missing=["Search for something[ by {brand}] under {max_price}", "Find me a product from {brand}"],
)
def search_products(
    keyword: str,
    max_price: float | None = None,
    brand: str | None = None,
    in_stock: bool = False,
    min_stars: float = 0,
) -> list[dict]:
    """Search a shop for products.

    keyword: What to search for.
    max_price: Highest price in dollars.
    brand: Brand of the product.
    in_stock: Only products that are in stock.
    min_stars: Lowest customer rating, from 0 to 5.
    """
    return [
        {
            "item": f"{brand or 'Basic'} {keyword}",
            "price": steady(5, max_price or 500, keyword, brand, n, digits=2),
        }
        for n in range(2)
    ]


@api(
    "Commerce",
    "trackOrder",
    slots={
        "order_id": _ORDER,
        "detailed": flag(["with every stop on the way", "in detail"], ["just briefly"]),
    },
    asks=[
        "Where is my order <{order_id}>?",
        "Track order <{order_id}>[ {detailed}]",
        "What's the status of <{order_id}>?",
        "Show me where the parcel of <order {order_id}> is[, {detailed}]",
        "I'm still waiting for order {order_id}. Could you check where it is[, {detailed}]?",
    ],
    missing=["Where has the parcel I ordered got to?", "Track my parcel[ {detailed}]"],
)
def track_order(order_id: str, detailed: bool = False) -> dict:
    """Track the delivery of an order.

    order_id: Number of the order, such as ORD-12345.
    detailed: Whether to list every stop.
    """
    status = ("packed", "shipped", "delivered")[int(steady(0, 2, order_id))]
    return {"order": order_id, "status": status, "stops": ["warehouse", "hub"] if detailed else []}


class Address(TypedDict):
    """A postal address.

    street: Street and house number.
    city: City.
    postal_code: Postal code.
    country: Country.
    """

    street: str
    city: str
    postal_code: str
    country: NotRequired[str]


_ADDRESS = record(
    ["{street}, {postal_code} {city}[, {country}]", "{street} in {city} (postal code {postal_code})"],
    street=made(
        "{n} {s}",
        n=plain(1, 250),
        s=one(["Elm Street", "Harbor Road", "King's Lane", "Mill Way", "Sunset Avenue", "Station Square"]),
    ),
    city=one(CITIES),
    postal_code=lambda rng: (lambda v: (v, v))(f"{rng.randint(1000, 99999):05d}"),
    country=one(COUNTRIES),
)


@api(
    "Commerce",
    "orders.create",
    slots={
        "product": one(PRODUCTS),
        "quantity": whole(2, 25),
        "address": _ADDRESS,
        "express": flag(["by express", "with express delivery"], ["with standard delivery"]),
        "coupon": made("{w}{n}", w=one(["SAVE", "HELLO", "SPRING", "VIP"]), n=plain(5, 50)),
    },
    asks=[
        "Order {quantity} of the item '{product}' to {address}[ {express}][, coupon {coupon}]",
        "Please send {quantity} units of '{product}' to {address}[ {express}]",
        "Place an order: {product}, quantity {quantity}, deliver to {address}[, coupon code {coupon}]",
        "I'd like to buy the {product}, {quantity} in total. Ship to {address}[ {express}]. Thank you!",
        "Can {quantity} pieces of '{product}' be delivered to {address}[ {express}]?",
    ],
    missing=["Order {quantity} of the item '{product}'", "Place an order to be delivered to {address}"],
)
def create_order(
    product: str, quantity: int, address: Address, express: bool = False, coupon: str | None = None
) -> dict:
    """Place an order for a product.

    product: Name of the product.
    quantity: How many to order.
    address: Where to deliver.
    express: Whether express delivery is used.
    coupon: Coupon code.
    """
    price = steady(10, 200, product) * quantity * (0.9 if coupon else 1) + 15 * express
    return {
        "order": f"ORD-{int(steady(10000, 99999, product, quantity, address['street']))}",
        "price": round(price, 2),
    }


@api(
    "Commerce",
    "discounted_price",
    slots={
        "price": money(10, 1900),
        "discount": percent(5, 70, 5),
        "tax_rate": percent(3, 25, 0.5),
        "member": flag(["with the member bonus", "as a club member"], ["without a membership"]),
    },
    asks=[
        "What is the final price of something that costs <{price} with {discount} off>[ and {tax_rate} tax][, {member}]?",
        "Calculate the sale price for <{price} less {discount}>[, plus {tax_rate} tax]",
        "<{price} minus {discount}>[, {tax_rate} tax on top]",
        "A jacket at {price} is reduced by {discount}. How much do I pay[ {member}][ if {tax_rate} tax comes on top]?",
        "Work out the price after <a {discount} discount on {price}>[, {member}]",
    ],
    missing=[
        "What is the final price with {discount} off?",
        "Calculate the sale price of something that costs {price}",
    ],
)
def discounted_price(price: float, discount: float, tax_rate: float = 0, member: bool = False) -> float:
    """Calculate a price after discount and tax.

    price: Original price in dollars.
    discount: Discount in percent.
    tax_rate: Tax added after the discount, in percent.
    member: Whether the extra 2 percent for members apply.
    """
    return round(price * (1 - discount / 100) * (0.98 if member else 1) * (1 + tax_rate / 100), 2)


@api(
    "Other",
    "name_a_pet",
    slots={
        "animal": enum(
            {
                "dog": ("dog", "puppy"),
                "cat": ("cat", "kitten"),
                "rabbit": ("rabbit", "bunny"),
                "parrot": ("parrot",),
            }
        ),
        "starts_with": one(list("ABCDKLMNRST")),
        "count": whole(2, 10),
        "playful": flag(["playful ones", "funny ones"], ["serious ones"]),
    },
    asks=[
        "Suggest names for my <{animal}>[ starting with {starts_with}][, {playful} please]",
        "What could I call my new <{animal}>?",
        "Give me[ {count}] names for a <{animal}>[ beginning with {starts_with}]",
        "<{animal}> names[, starting with {starts_with}][, {playful}]",
        "We adopted a {animal} yesterday and it still has no name. Any ideas[, preferably {playful}]?",
    ],
    missing=[
        "Suggest {count} names for my pet",
        "What could I call it if the name should start with {starts_with}?",
    ],
)
def name_a_pet(
    animal: Literal["dog", "cat", "rabbit", "parrot"],
    starts_with: str | None = None,
    count: int = 3,
    playful: bool = True,
) -> list[str]:
    """Suggest names for a pet.

    animal: The kind of pet.
    starts_with: First letter of the names.
    count: How many names to suggest.
    playful: Whether the names are playful.
    """
    pool = [name for name in FIRST_NAMES if not starts_with or name.startswith(starts_with)] or FIRST_NAMES
    return [pool[int(steady(0, len(pool) - 1, animal, playful, n))] for n in range(count)]


@api(
    "Other",
    "cityServices.reportIssue",
    slots={
        "issue": enum(
            {
                "pothole": ("a pothole",),
                "streetlight": ("a broken streetlight", "a broken street lamp"),
                "graffiti": ("graffiti",),
                "garbage": ("uncollected garbage", "missed garbage pickup"),
            }
        ),
        "street": made(
            "{n} {s}",
            n=plain(1, 300),
            s=one(["Baker Road", "Cedar Lane", "Dock Street", "Ferry Way", "Grove Avenue", "Hill Crescent"]),
        ),
        "contact": one(FULL_NAMES),
        "urgent": flag(["urgently", "as urgent"], ["without urgency"]),
    },
    asks=[
        "Report {issue} <at {street}>[ {urgent}][ in the name of {contact}]",
        "There is {issue} at {street}. Please tell the city[ {urgent}].",
        "File a city report: {issue}, <{street}>[, contact {contact}]",
        "Could you let the city know about {issue} at {street}[, {urgent}]?",
        "City report for <{street}>: {issue}[, reported by {contact}]",
    ],
    missing=["Report {issue} on my street", "Report a problem at {street}[ {urgent}]"],
)
def report_issue(
    issue: Literal["pothole", "streetlight", "graffiti", "garbage"],
    street: str,
    contact: str = "",
    urgent: bool = False,
) -> dict:
    """Report a problem in the street to the city.

    issue: Kind of problem.
    street: House number and street.
    contact: Full name of the person who reports.
    urgent: Whether it is urgent.
    """
    return {"case": int(steady(1000, 9999, issue, street)), "days": 1 if urgent else 7, "contact": contact}


@api(
    "Other",
    "horoscope_reading",
    slots={
        "sign": enum({s.lower(): (s,) for s in ("Aries", "Taurus", "Gemini", "Cancer", "Leo", "Virgo")}),
        "day": date(2025, 2026),
        "aspects": items(
            enum({"love": ("love",), "career": ("career", "work"), "health": ("health",)}), 1, 2
        ),
    },
    asks=[
        "What does the horoscope say for <{sign}>[ on {day}][ about {aspects}]?",
        "Read me the horoscope for <{sign}>[ for {day}]",
        "Horoscope <{sign}>[, {aspects}]",
        "I'm a {sign}. What do the stars say[ regarding {aspects}][ on {day}]?",
        "Give me the star sign reading of <{sign}>[ covering {aspects}]",
    ],
    missing=["What does my horoscope say[ on {day}]?", "Read me the horoscope[ about {aspects}]"],
)
def horoscope_reading(
    sign: Literal["aries", "taurus", "gemini", "cancer", "leo", "virgo"],
    day: str | None = None,
    aspects: list[Literal["love", "career", "health"]] | None = None,
) -> dict:
    """Read the horoscope of a star sign.

    sign: The star sign.
    day: Day of the reading, YYYY-MM-DD; today if left out.
    aspects: Parts of life to cover.
    """
    return {
        aspect: f"{int(steady(1, 5, sign, day, aspect))} stars"
        for aspect in aspects or ("love", "career", "health")
    }
