"""WebShop's products and goals: what they hold, and how the official files are read.

Three sources of goals exist. ``human``: instructions that people wrote. ``synthetic``: instructions put
together from attributes, one goal for every combination of a product's options. ``agentboard``: the goals
that AgentBoard chose, with the price limits it drew.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from xlam_lib.errors import ArtifactError, ProfileError

SEED = 233  # the published environment's seed
NO_LIMIT = 1_000_000.0  # dollars; what the published goals say where no limit was drawn
_LIMITS = [10.0 * tens for tens in range(1, 100)]

GoalKind = Literal["human", "synthetic", "agentboard"]
T = TypeVar("T")


class Product(msgspec.Struct, frozen=True):
    """Something for sale.

    Attributes
    ----------
    id
        Ten characters; what an agent clicks in a list of results.
    name, description, features
        Its texts; features are short lines.
    category
        A path whose parts are separated by ``›``.
    query
        What kind of thing it is, in the words it was once searched with.
    prices
        One price, or the two ends of a range; dollars.
    attributes
        What it is like; not shown to an agent by default.
    options
        The values of each option, such as a colour or a size.
    text
        What the search goes through.
    reviews, rating
        As shown on the product's pages.
    """

    id: str
    name: str
    category: str
    query: str
    prices: list[float]
    description: str = ""
    features: list[str] = []
    attributes: list[str] = []
    options: dict[str, list[str]] = {}
    text: str = ""
    reviews: list[str] = []
    rating: str = "N.A."


class Goal(msgspec.Struct, frozen=True):
    """What a user wants, in words and as what is scored.

    Attributes
    ----------
    text
        The user's words, with the price limit.
    product
        The id of the product that the goal was made from; another one may do as well.
    name, category, query
        That product's.
    attributes
        What the product must be like.
    options
        The values that must be chosen; for synthetic goals by the option's name.
    price_upper
        The most it may cost, in dollars.
    """

    text: str
    product: str
    name: str
    category: str
    query: str
    attributes: list[str]
    options: dict[str, str] | list[str] = []
    price_upper: float = NO_LIMIT


class Catalogue(msgspec.Struct, frozen=True):
    """Products, the price at which each is sold, and goals.

    Attributes
    ----------
    skipped
        What was left out while reading, by reason.
    """

    products: list[Product]
    prices: dict[str, float]
    goals: list[Goal]
    skipped: dict[str, int] = {}


class _Option(msgspec.Struct):
    value: str


class _Instruction(msgspec.Struct):
    """An instruction that someone wrote for a product."""

    instruction: str
    instruction_attributes: list[str]
    instruction_options: list[str] = []


class _Raw(msgspec.Struct):
    """A product of items_shuffle*.json."""

    asin: str
    name: str
    category: str
    query: str
    product_category: str
    full_description: str | None = None
    small_description: list[str] | str | None = None
    pricing: str | None = None
    customization_options: dict[str, list[_Option] | None] | str | None = None


class _Normal(msgspec.Struct):
    """A product of documents*.jsonl, as the published code writes it for its search engine."""

    asin: str
    Title: str
    Description: str
    BulletPoints: list[str]
    query: str
    product_category: str
    pricing: list[float]
    options: dict[str, list[str]]
    Attributes: list[str]
    instructions: list[_Instruction] = []


class _Document(msgspec.Struct):
    contents: str
    product: _Normal


class _Described(msgspec.Struct):
    """An entry of items_ins_v2*.json."""

    attributes: list[str] = []
    instruction: str | None = None
    instruction_attributes: list[str] | None = None


class _Review(msgspec.Struct):
    title: str = ""
    review: str = ""


class _Reviews(msgspec.Struct):
    asin: str
    reviews: list[_Review] = []
    average_rating: str | float = "N.A."


class _Chosen(msgspec.Struct):
    product_id: str
    query: str
    product_name: str
    product_category: str
    attributes: list[str]
    price_upper: float
    product_options: dict[str, str] | list[str]


class _BoardGoal(msgspec.Struct):
    """A line of AgentBoard's WebShop goals."""

    goal: str
    additional_info: _Chosen


def search_text(
    name: str, description: str, features: Sequence[str], options: Mapping[str, list[str]]
) -> str:
    """What the published environment indexes: name, description, the first feature and the options."""
    values = ", and ".join(f"{name}: {', '.join(values)}" for name, values in options.items())
    return " ".join([name, description, *features[:1], values]).lower()


def _convert(data: Any, kind: type[T], path: Path, record: object) -> T:
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{path}: record {record} is not WebShop's: {error}") from None


def _load(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON: {error}; download it again") from None


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, msgspec.json.decode(line)
                    except (msgspec.DecodeError, RecursionError) as error:
                        raise ArtifactError(f"{path}: line {number} is not JSON: {error}") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None


def _one(folder: Path, pattern: str) -> Path | None:
    """The only file of a pattern, if there is one.

    Raises
    ------
    ArtifactError
        There are several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ArtifactError(f"{folder} holds several files {pattern}: {names}; keep the one that is meant")
    return found[0] if found else None


def read(folder: Path | str, goals: GoalKind = "human", products: int | None = None) -> Catalogue:
    """Products and goals from the official files.

    Parameters
    ----------
    folder
        WebShop's own layout (``items_shuffle*.json``, ``items_ins_v2*.json``, and where they exist
        ``items_human_ins.json`` and ``reviews.json``), or its search engine's (``documents*.jsonl``, and
        ``items_ins_v2*.json`` for synthetic goals); for AgentBoard's goals also its ``test.jsonl``.
    goals
        Which goals; human ones are in ``items_human_ins.json`` or in the documents.
    products
        Only the first so many, as the published small sets do.

    Raises
    ------
    ArtifactError
        A file is missing, or a record is not what it should be; the message names both.
    ProfileError
        The kind of goals is unknown, or the number of products is not positive.
    """
    folder = Path(folder)
    if goals not in ("human", "synthetic", "agentboard"):
        raise ProfileError(f"goals {goals!r}: choose human, synthetic or agentboard")
    if products is not None and products < 1:
        raise ProfileError(f"products {products} must be at least 1, or None for all")
    described_path = _one(folder, "items_ins_v2*.json")
    described: dict[str, _Described] = {}
    if described_path:
        content = _convert(_load(described_path), dict[str, Any], described_path, "(the whole file)")
        described = {key: _convert(value, _Described, described_path, key) for key, value in content.items()}
    skipped: Counter[str] = Counter()
    if documents := _one(folder, "documents*.jsonl"):
        found, written = _documents(documents, products)
    elif raw := _one(folder, "items_shuffle*.json"):
        found, written = _items(raw, folder, described, products, skipped)
    else:
        raise ArtifactError(
            f"{folder} holds neither items_shuffle*.json nor documents*.jsonl; "
            "download WebShop's product files into it"
        )
    draw = random.Random(SEED)
    prices = {product.id: _price(product, draw) for product in found}
    if goals == "agentboard":
        chosen = _agentboard(folder / "test.jsonl", prices, skipped)
    elif goals == "human":
        chosen = list(_human(found, written, prices, draw, skipped))
    else:
        chosen = list(_synthetic(found, described, prices, draw))
    if not chosen:
        raise ArtifactError(f"{folder} holds no {goals} goals for its products; choose another kind of goals")
    if goals != "agentboard":
        random.Random(SEED).shuffle(chosen)
    return Catalogue(found, prices, chosen, dict(skipped))


def _documents(path: Path, limit: int | None) -> tuple[list[Product], dict[str, list[_Instruction]]]:
    found, written = [], {}
    for number, data in itertools.islice(_lines(path), limit):
        document = _convert(data, _Document, path, f"in line {number}")
        record = document.product
        found.append(
            Product(
                id=record.asin,
                name=record.Title,
                category=record.product_category,
                query=record.query,
                prices=record.pricing or [100.0],
                description=record.Description,
                features=record.BulletPoints,
                attributes=record.Attributes,
                options=record.options,
                text=document.contents,
            )
        )
        if record.instructions:
            written[record.asin] = record.instructions
    return found, written


def _items(
    path: Path,
    folder: Path,
    described: Mapping[str, _Described],
    limit: int | None,
    skipped: Counter[str],
) -> tuple[list[Product], dict[str, list[_Instruction]]]:
    reviews: dict[str, _Reviews] = {}
    if (review_path := folder / "reviews.json").exists():
        for place, data in enumerate(
            _convert(_load(review_path), list[Any], review_path, "(the whole file)")
        ):
            review = _convert(data, _Reviews, review_path, place)
            reviews[review.asin] = review
    found: dict[str, Product] = {}
    for place, data in enumerate(_convert(_load(path), list[Any], path, "(the whole file)")[:limit]):
        record = _convert(data, _Raw, path, place)
        if record.asin == "nan" or len(record.asin) > 10:
            skipped["products without a proper id"] += 1
        elif record.asin in found:
            skipped["products that came twice"] += 1
        else:
            found[record.asin] = _product(record, described, reviews.get(record.asin), f"{path}: {place}")
    written = {}
    if (human := folder / "items_human_ins.json").exists():
        for key, data in _convert(_load(human), dict[str, Any], human, "(the whole file)").items():
            written[key] = _convert(data, list[_Instruction], human, key)
    return list(found.values()), written


def _product(
    record: _Raw, described: Mapping[str, _Described], reviews: _Reviews | None, where: str
) -> Product:
    small = record.small_description
    features = [small] if isinstance(small, str) else list(small or [])
    options = {}
    if isinstance(record.customization_options, dict):
        for name, values in record.customization_options.items():
            if values is not None:
                options[name.lower()] = [
                    option.value.strip().replace("/", " | ").lower() for option in values
                ]
    known = described.get(record.asin)
    description = record.full_description or ""
    return Product(
        id=record.asin,
        name=record.name,
        category=record.product_category,
        query=record.query.lower().strip(),
        prices=_dollars(record.pricing, where),
        description=description,
        features=features,
        # The published code gives products without attributes this one, so that nothing is similar to it.
        attributes=known.attributes if known else ["DUMMY_ATTR"],
        options=options,
        text=search_text(record.name, description, features, options),
        reviews=[f"{one.title}: {one.review}" for one in reviews.reviews] if reviews else [],
        rating=str(reviews.average_rating) if reviews else "N.A.",
    )


def _dollars(text: str | None, where: str) -> list[float]:
    """The prices in a text such as ``$9.50 - $12.00``: at most two; 100 where there is none."""
    if not text:
        return [100.0]
    try:
        found = [float(re.sub(r"[^\d.]", "", part)) for part in text.split("$")[1:]]
    except ValueError:
        found = []
    if not found:
        raise ArtifactError(f"{where}: the price {text[:40]!r} is not in dollars")
    return found[:2]


def _price(product: Product, draw: random.Random) -> float:
    """What a product is sold for: its price, or one drawn from its range."""
    return product.prices[0] if len(product.prices) == 1 else draw.uniform(*product.prices[:2])


def price_limit(price: float, draw: random.Random) -> tuple[float, str]:
    """A limit above a price, drawn as published (of the next four multiples of ten the greater of two).

    Also how a goal says so. Dearer products than 970 dollars get none.
    """
    above = [limit for limit in _LIMITS if limit > price][:4]
    if len(above) < 2:
        return NO_LIMIT, ""
    upper = max(draw.sample(above, 2))
    return upper, f", and price lower than {upper:.2f} dollars"


def goal_of(
    product: Product,
    text: str,
    attributes: list[str],
    options: dict[str, str] | list[str],
    upper: float,
) -> Goal:
    """A goal made from a product; its attributes are those of :class:`Goal`."""
    return Goal(
        text=text,
        product=product.id,
        name=product.name,
        category=product.category,
        query=product.query,
        attributes=attributes,
        options=options,
        price_upper=upper,
    )


def _human(
    products: Sequence[Product],
    written: Mapping[str, list[_Instruction]],
    prices: Mapping[str, float],
    draw: random.Random,
    skipped: Counter[str],
) -> Iterator[Goal]:
    for product in products:
        for one in written.get(product.id, []):
            if not one.instruction_attributes:
                skipped["goals without attributes"] += 1
                continue
            upper, words = price_limit(prices[product.id], draw)
            text = one.instruction.strip(".") + words
            yield goal_of(product, text, one.instruction_attributes, one.instruction_options, upper)


def _synthetic(
    products: Sequence[Product],
    described: Mapping[str, _Described],
    prices: Mapping[str, float],
    draw: random.Random,
) -> Iterator[Goal]:
    for product in products:
        known = described.get(product.id)
        if known is None or known.instruction is None or not known.instruction_attributes:
            continue
        upper, words = price_limit(prices[product.id], draw)
        names = sorted(product.options)
        for values in itertools.product(*(product.options[name] for name in names)):
            options = dict(zip(names, values, strict=True))
            listed = ", and ".join(f"{name}: {value}" for name, value in options.items())
            text = f"{known.instruction}{' with ' + listed if listed else ''}{words}"
            yield goal_of(product, text, known.instruction_attributes, options, upper)


def _agentboard(path: Path, prices: Mapping[str, float], skipped: Counter[str]) -> list[Goal]:
    goals = []
    for number, data in _lines(path):
        line = _convert(data, _BoardGoal, path, f"in line {number}")
        info = line.additional_info
        if info.product_id not in prices:
            skipped["goals whose product is not there"] += 1
        goals.append(
            Goal(
                text=line.goal,
                product=info.product_id,
                name=info.product_name,
                category=info.product_category,
                query=info.query,
                attributes=info.attributes,
                options=info.product_options,
                price_upper=info.price_upper,
            )
        )
    return goals
