"""The embedded catalogue: products and goals of our own, made from hand-written ingredients.

For each kind of product there are many that differ in attributes, options and price, so that a search for the
kind is not enough. A goal is taken only if several products of its kind come close and at most two fit.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from xlam_lib.environments.webshop_catalogue import (
    Catalogue,
    Goal,
    Product,
    goal_of,
    price_limit,
    search_text,
)
from xlam_lib.environments.webshop_ingredients import (
    AISLES,
    BRANDS,
    REVIEWS,
    SERIES,
    WORDINGS,
    Aisle,
    Kind,
)
from xlam_lib.environments.webshop_reward import best

PRODUCTS_PER_KIND = 14
GOALS = 60
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def catalogue() -> Catalogue:
    """The products, their prices and the goals; the same every time."""
    draw = random.Random("our own shop")
    stock: list[tuple[Aisle, Kind, list[Product]]] = []
    for aisle in AISLES:
        # Kinds of one category share no brand, or the names of unlike products would have nouns in common.
        brands = draw.sample(BRANDS, len(BRANDS))
        share = len(brands) // len(aisle.kinds)
        for place, kind in enumerate(aisle.kinds):
            made = _products(aisle, kind, brands[place * share : (place + 1) * share], draw)
            stock.append((aisle, kind, made))
    products = [product for _, _, made in stock for product in made]
    draw.shuffle(products)
    prices = {product.id: product.prices[0] for product in products}
    each = -(-GOALS // len(stock))
    found = [
        list(itertools.islice(_goals(aisle, kind, made, prices, draw), each)) for aisle, kind, made in stock
    ]
    # One goal of each kind, then a second one, until there are enough.
    turns = itertools.chain.from_iterable(itertools.zip_longest(*found))
    goals = [goal for goal in turns if goal is not None][:GOALS]
    draw.shuffle(goals)
    return Catalogue(products, prices, goals)


def _products(aisle: Aisle, kind: Kind, brands: Sequence[str], draw: random.Random) -> list[Product]:
    made = []
    low, high = kind.prices
    possible = [trait for trait in aisle.traits if trait.name not in kind.unlike]
    for number in range(PRODUCTS_PER_KIND):
        traits = draw.sample(possible, draw.randint(3, 5))
        options = {
            choice.name: [value for value in choice.values if value in kept]
            for choice in kind.choices
            for kept in [
                draw.sample(choice.values, draw.randint(max(1, len(choice.values) - 2), len(choice.values)))
            ]
        }
        brand, series, noun = brands[number % len(brands)], draw.choice(SERIES), draw.choice(kind.nouns)
        named = [trait.name.title() for trait in traits[: draw.randint(1, 2)]]
        name = f"{brand} {series} {noun}, {', '.join(named)}"
        features = [trait.feature for trait in draw.sample(traits, len(traits))]
        features.append(draw.choice(kind.about))
        description = " ".join([f"The {series} by {brand}.", *draw.sample(kind.about, 2)])
        made.append(
            Product(
                id="W" + "".join(draw.choices(_LETTERS, k=9)),
                name=name,
                category=f"{aisle.path} › {kind.leaf}",
                query=kind.query,
                prices=[round(draw.uniform(low, high)) - draw.choice([0.01, 0.05, 0.5])],
                description=description,
                features=features,
                attributes=sorted(trait.name for trait in traits),
                options=options,
                text=search_text(name, description, features, options),
                reviews=draw.sample(REVIEWS, draw.randint(0, 3)),
                rating=f"{draw.uniform(3.2, 4.9):.1f}",
            )
        )
    return made


def _goals(
    aisle: Aisle,
    kind: Kind,
    made: Sequence[Product],
    prices: dict[str, float],
    draw: random.Random,
) -> Iterator[Goal]:
    """Goals for some products of a kind: at most two products fit, and three or more nearly do."""
    for product in draw.sample(made, len(made)):
        wanted = draw.sample(product.attributes, draw.choice([2, 2, 3]))
        options = [draw.choice(values) for values in product.options.values()]
        upper, limit = price_limit(prices[product.id], draw)
        goal = goal_of(product, _words(aisle, kind, wanted, options, draw) + limit, wanted, options, upper)
        rewards = [best(other, goal, prices[other.id]).reward for other in made]
        near = sum(0.6 <= reward < 1 for reward in rewards)
        if rewards.count(1) <= 2 and near >= 3:
            yield goal


def _words(
    aisle: Aisle, kind: Kind, wanted: Sequence[str], options: Sequence[str], draw: random.Random
) -> str:
    """A goal in a user's words."""
    wishes = {trait.name: trait.wish for trait in aisle.traits}
    chosen = [choice.wish.format(value) for choice, value in zip(kind.choices, options, strict=True)]
    return draw.choice(WORDINGS).format(
        kind=kind.wish, wishes=" and ".join(wishes[name] for name in wanted), options=" ".join(chosen)
    )
