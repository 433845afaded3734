"""WebShop's reward: how well a purchase fits the goal (xLAM report, section 4.2.1, after WebShop's own rule).

reward = r_type x (attribute hits + option hits + price hit) / (attributes + options + 1)

An attribute is hit if one of the product's attributes is similar to it (token-set similarity above 85) or
if it stands in the name, the features or the description. An option is hit if one that was chosen is
similar to it, after names of colours are reduced to a base colour. r_type is 1, 0.5, 0.1 or 0 by how many
nouns of the goal's product name are in the purchased one's, and by whether the query or the category agree.

One part differs from the published rule: nouns. There they are what spaCy's statistical tagger calls a noun
or a proper noun; here they are all words of two letters and more but function words (see :func:`nouns`),
because the tagger would weigh more than the rest of the library. On the thousand real products, against
spaCy's small English model, r_type differs for 6.6 per cent of pairs of a product and one of the first 15
results for its kind, and for 2.5 per cent of random pairs; whether it is 1, on which success depends, for
3.2 and 0.3 per cent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
from rapidfuzz import fuzz, utils

from xlam_lib.environments.webshop_catalogue import Goal, Product

THRESHOLD = 85  # a token-set similarity, 0 to 100, must be above it

# The colours of the published rule in its order, which decides: "navy blue" is blue, "dark red" is dark.
COLOURS = tuple(
    """
    alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy
    camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral
    cranberry cream crystal dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass
    gray green grey heather indigo ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon
    mauve merlot midnight mint mocha multicolor mushroom mustard natural navy nude olive orange peach pewter
    pink plum purple rainbow red rose royal rust sand sapphire seashell silver skull slate steel stone
    stonewash sunflower tan taupe teal tiger turquoise violet walnut wheat white wine yellow
    """.split()
)

# Adjectives are not among them: the tagger takes most for proper nouns, as names are written in capitals.
_NOT_NOUNS = frozenset(
    """
    a an the this that these those and or but nor than then of for with without in on onto into at to from by
    as under up per via is are be has have can will also only very any each every both it its your you our
    my his her their one two made make based designed included includes full fully pcs etc
    """.split()
)
_LATIN1 = {code: None for code in range(128, 256)}
_GENITIVE = re.compile(r"['’]s\b")
_WORD = re.compile(r"[^\W\d_]{2,}")


class Score(msgspec.Struct, frozen=True):
    """What a purchase is worth, and why.

    Attributes
    ----------
    reward
        0 to 1; 1 solves the goal.
    r_type, title_score, query_match, category_match
        The factor for the kind of product and what it was made of.
    attributes_hit, attributes_missed, options_hit, options_missed
        The goal's attributes and options by whether the purchase has them.
    price_hit
        Whether the price is within the limit.
    """

    reward: float
    r_type: float
    title_score: float
    query_match: bool
    category_match: bool
    attributes_hit: list[str]
    attributes_missed: list[str]
    options_hit: list[str]
    options_missed: list[str]
    price_hit: bool


@lru_cache(maxsize=65536)
def _tokens(text: str) -> str:
    # Characters of Latin-1's upper half are dropped first, as the published rule's library does.
    return utils.default_process(text.translate(_LATIN1))


@lru_cache(maxsize=262144)
def similar(left: str, right: str) -> bool:
    """Whether two phrases share their words, whatever the order."""
    return round(fuzz.token_set_ratio(_tokens(left), _tokens(right))) > THRESHOLD


@lru_cache(maxsize=65536)
def base_colour(text: str) -> str:
    """The first colour of :data:`COLOURS` that stands in a text, even within a word; else the text."""
    return next((colour for colour in COLOURS if colour in text), text)


@lru_cache(maxsize=65536)
def nouns(name: str) -> tuple[str, ...]:
    """The words of a product's name that count as nouns, in lower case and with repetitions."""
    words = _WORD.findall(_GENITIVE.sub("", name.lower()))
    return tuple(word for word in words if word not in _NOT_NOUNS)


def type_factor(product: Product, goal: Goal) -> tuple[float, float, bool, bool]:
    """r_type, the share of the goal's nouns found, and whether query and category agree."""
    query_match = product.query == goal.query
    category_match = len(_path(product.category) & _path(goal.category)) >= 2
    wanted = nouns(goal.name)
    title = len(set(wanted) & set(nouns(product.name))) / len(wanted) if wanted else 0.2
    if title == 0:
        factor = 0.0
    elif title < 0.1:
        factor = 0.1
    else:
        factor = 1.0 if query_match or category_match or title > 0.2 else 0.5
    return factor, title, query_match, category_match


@lru_cache(maxsize=4096)
def _path(category: str) -> frozenset[str]:
    return frozenset(part.strip() for part in category.split("›"))


def has_attribute(product: Product, attribute: str) -> bool:
    """Whether a product has an attribute, listed or in its texts."""
    if any(similar(own, attribute) for own in product.attributes):
        return True
    texts = (product.name, " ".join(product.features), product.description)
    return any(attribute in text.lower() for text in texts)


def wanted_options(goal: Goal) -> list[str]:
    """A goal's options as the rule compares them.

    People's goals list values. Synthetic ones map names to values, and the published rule compares the pair,
    so that the option's name counts as words too, unless the value is a colour and nothing else.
    """
    if isinstance(goal.options, Mapping):
        pairs = goal.options.items()
        return [value if value in COLOURS else f"{name} {value}" for name, value in pairs]
    return [base_colour(value) for value in goal.options]


def option_mask(wanted: Sequence[str], value: str) -> int:
    """Which of the goal's options a chosen value hits: bit i is set for option i."""
    chosen = base_colour(value)
    return sum(1 << place for place, option in enumerate(wanted) if similar(chosen, option))


def judge(product: Product, goal: Goal, price: float, chosen: Iterable[str]) -> Score:
    """The score of buying a product with some option values at a price."""
    wanted = wanted_options(goal)
    mask = 0
    for value in chosen:
        mask |= option_mask(wanted, value)
    return _score(product, goal, price, mask)


def _score(product: Product, goal: Goal, price: float, mask: int) -> Score:
    factor, title, query_match, category_match = type_factor(product, goal)
    found = [has_attribute(product, attribute) for attribute in goal.attributes]
    options = (
        [f"{name}: {value}" for name, value in goal.options.items()]
        if isinstance(goal.options, Mapping)
        else list(goal.options)
    )
    hit = [bool(mask >> place & 1) for place in range(len(options))]
    price_hit = price <= goal.price_upper
    share = (sum(found) + sum(hit) + price_hit) / (len(found) + len(hit) + 1)
    return Score(
        reward=share * factor,
        r_type=factor,
        title_score=title,
        query_match=query_match,
        category_match=category_match,
        attributes_hit=[name for name, ok in zip(goal.attributes, found, strict=True) if ok],
        attributes_missed=[name for name, ok in zip(goal.attributes, found, strict=True) if not ok],
        options_hit=[name for name, ok in zip(options, hit, strict=True) if ok],
        options_missed=[name for name, ok in zip(options, hit, strict=True) if not ok],
        price_hit=price_hit,
    )


def choices(product: Product, goal: Goal) -> dict[int, dict[str, str]]:
    """Every set of the goal's options that some choice of values hits, with the shortest such choice.

    Products have up to hundreds of combinations of values, but few distinct sets of hits.
    """
    wanted = wanted_options(goal)
    reached: dict[int, dict[str, str]] = {0: {}}
    for name, values in product.options.items():
        masks = {option_mask(wanted, value): value for value in reversed(values)}
        for before, chosen in list(reached.items()):
            for mask, value in masks.items():
                longer = {**chosen, name: value}
                known = reached.get(before | mask)
                if known is None or len(longer) < len(known):
                    reached[before | mask] = longer
    return reached


def best(product: Product, goal: Goal, price: float) -> Score:
    """The score of the best choice of options that a product allows."""
    mask = max(choices(product, goal), key=int.bit_count)
    return _score(product, goal, price, mask)


def shown(product: Product, goal: Goal, price: float) -> tuple[float, float]:
    """What seeing a product is worth for AgentBoard's progress: in a list of results, and on its own page.

    In a list it is the best choice's reward. On its page the published code goes through all combinations
    and ends with the last one unless one has a reward of 1, and so do we. For a product without options it
    takes the low end of a price range, not the price that is charged.
    """
    if not product.options:
        reward = _score(product, goal, product.prices[0], 0).reward
        return reward, reward
    top = best(product, goal, price).reward
    if top == 1 or not all(product.options.values()):
        return top, top
    return top, judge(product, goal, price, [values[-1] for values in product.options.values()]).reward
