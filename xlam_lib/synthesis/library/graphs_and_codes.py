"""Networks and routes, check digits and standard numbers, formulas, pictures and subtitles."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import ipaddress
import math
import random
from itertools import groupby, pairwise
from typing import Any, Literal, NotRequired, TypedDict

from xlam_lib.synthesis.library.base import api, known
from xlam_lib.synthesis.library.pools import PRODUCTS
from xlam_lib.synthesis.values import (
    decimal,
    enum,
    flag,
    measurements,
    money,
    one,
    percent,
    plain,
    record,
    whole,
)

# Technology


def _networks(rng: random.Random) -> tuple[tuple[str, int], tuple[str, str]]:
    """A private IPv4 network and a longer prefix to split it into."""
    prefix = rng.randint(16, 26)
    base, size = rng.choice((("10.0.0.0", 8), ("172.16.0.0", 12), ("192.168.0.0", 16)))
    address = int(ipaddress.ip_address(base)) + rng.getrandbits(32 - size)
    network = str(ipaddress.ip_network((address, prefix), strict=False))
    longer = prefix + rng.randint(1, min(6, 30 - prefix))
    return (network, longer), (network, str(longer))


@api(
    "Technology",
    "network.splitSubnets",
    slots={
        "network,new_prefix": _networks,
        "limit": whole(2, 12),
        "host_range": flag(
            ["with the usable host range of each", "including the first and last host address"],
            ["without the host ranges", "just the network addresses"],
        ),
    },
    asks=[
        "Split <{network} into /{new_prefix} subnets>[ and list only the first {limit}][, {host_range}]",
        "Which /{new_prefix} subnets does {network} contain[, {host_range}]?",
        "<{network} into /{new_prefix}>[, first {limit} subnets][, {host_range}]",
        "I've been handed {network} for the new office and every floor is to get a /{new_prefix} of its own. How does that divide up[, {host_range}]?",
        "Divide <the network {network} into blocks of prefix length {new_prefix}>[, {host_range}]",
        "hey, can you carve {network} up into /{new_prefix} networks for me[, {limit} of them are enough]?",
        "Our firewall only takes /{new_prefix} rules, but the provider announced {network}. Please break it down[ and show me the first {limit} pieces].",
        "How many subnets come out <when {network} is cut into /{new_prefix} networks>[, {host_range}]?",
    ],
    missing=[
        "Split {network} into smaller subnets[, {host_range}]",
        "I need /{new_prefix} subnets for every floor of our office. Which ones are they?",
        "Divide my office network into blocks of prefix length {new_prefix}",
    ],
    bad=("network", "10.0.300.0/16"),
)
def split_subnets(network: str, new_prefix: int, limit: int = 4, host_range: bool = False) -> dict:
    """Split an IP network into subnets of equal size.

    network: The network in CIDR notation, such as 10.4.0.0/16.
    new_prefix: Prefix length of the subnets; longer than that of the network.
    limit: How many subnets to list at most.
    host_range: Whether to give the first and last usable host address of each subnet.
    """
    whole_network = ipaddress.ip_network(network)
    if not whole_network.prefixlen < new_prefix <= whole_network.max_prefixlen:
        raise ValueError(f"{network} has no subnets of prefix length {new_prefix}")
    if limit < 1:
        raise ValueError("limit must be positive")
    count = 1 << (new_prefix - whole_network.prefixlen)
    listed: list[Any] = []
    for subnet, _ in zip(whole_network.subnets(new_prefix=new_prefix), range(limit), strict=False):
        # The two outer addresses are the network's own and broadcast, unless the subnet is that small.
        edge = int(subnet.num_addresses > 2)
        hosts = [str(subnet[edge]), str(subnet[-1 - edge])]
        listed.append({"subnet": str(subnet), "hosts": hosts} if host_range else str(subnet))
    return {"count": count, "subnets": listed}


def _versions(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two different versions that mostly agree in their first numbers."""
    texts: list[str] = []
    numbers = [rng.randint(0, 9), rng.randint(0, 20), rng.randint(0, 30)]
    while len(texts) < 2:
        label = f"-{rng.choice(('alpha', 'beta', 'rc'))}.{rng.randint(1, 12)}" if rng.random() < 0.35 else ""
        text = ".".join(map(str, numbers)) + label
        if text not in texts:
            texts.append(text)
        numbers[rng.randrange(3)] = rng.randint(0, 12)
    rng.shuffle(texts)
    return (texts[0], texts[1]), (texts[0], texts[1])


@api(
    "Technology",
    "semver_compare",
    slots={
        "left,right": _versions,
        "ignore_prerelease": flag(
            ["ignoring pre-release labels", "disregarding alpha, beta and rc labels"],
            ["taking pre-release labels into account"],
        ),
        "depth": enum(
            {
                "major": ("the major number", "the major version"),
                "minor": ("the minor number", "the minor version"),
                "patch": ("the patch number", "the patch level"),
            }
        ),
    },
    asks=[
        "Compare the versions <{left} and {right}>[ down to {depth}][, {ignore_prerelease}]",
        "Which version is newer, {left} or {right}[, {ignore_prerelease}]?",
        "semver: <{left} vs {right}>[, only down to {depth}]",
        "Production runs {left}, but the changelog talks about {right}. Which of the two comes first in semantic versioning[, {ignore_prerelease}]?",
        "Tell me how <version {left} ranks against {right}>[, {ignore_prerelease}]",
        "so I've got {left} installed and my colleague has {right}, who is ahead[ if you only look down to {depth}]?",
        "Does <{left} precede {right}> under semantic versioning[, {ignore_prerelease}]?",
        "Our updater must decide between {left} and {right}. Please compare both version strings[ down to {depth}].",
    ],
    missing=[
        "Compare version {left} with the latest one[, {ignore_prerelease}]",
        "Is {right} newer than the version I have installed?",
        "Which of the two versions is newer[, {ignore_prerelease}]?",
    ],
    bad=("left", "final"),
)
def semver_compare(
    left: str,
    right: str,
    ignore_prerelease: bool = False,
    depth: Literal["major", "minor", "patch"] = "patch",
) -> dict:
    """Compare two version numbers by the rules of semantic versioning.

    left: The first version, such as 2.1.0 or 2.1.0-rc.1.
    right: The second version.
    ignore_prerelease: Whether to leave labels such as -beta.2 out of the comparison.
    depth: The last of the three numbers that counts; labels count only with patch.
    """
    places = {"major": 1, "minor": 2, "patch": 3}[depth]

    def key(version: str) -> tuple:
        release, _, label = version.partition("-")
        numbers = tuple(int(part) for part in release.split("."))
        if len(numbers) != 3:
            raise ValueError(f"{version!r} is no semantic version")
        if ignore_prerelease or places < 3:
            return numbers[:places], True, ()
        # A release follows its pre-releases; in labels, numbers come before words.
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in label.split(".") if p)
        return numbers, not label, parts

    one_key, other_key = key(left), key(right)
    if one_key == other_key:
        return {"order": "equal", "newer": None}
    order = "older" if one_key < other_key else "newer"
    return {"order": f"left is {order}", "newer": right if order == "older" else left}


# Data

_COLORS = ("black", "white", "navy", "olive", "silver", "red", "sand", "teal", "grey", "bronze")
_MAKERS = ("Northpeak", "Lumina", "Oakridge", "Velo", "Kitsune", "Brightwell", "Halden", "Marisol", "Tovik")


def _titles(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two product titles that have much in common, in quotation marks."""
    parts = [rng.choice(_MAKERS), rng.choice(_COLORS), rng.choice(PRODUCTS)]
    first = " ".join(parts)
    second = first
    while second == first:
        change = rng.randrange(5)
        if change < 3:
            other = list(parts)
            other[change] = rng.choice((_MAKERS, _COLORS, PRODUCTS)[change])
            second = " ".join(other)
        elif change == 3:
            cut = rng.randrange(2, len(first) - 2)
            second = first[:cut] + first[cut + 1] + first[cut] + first[cut + 2 :]
        else:
            second = rng.choice((first.title(), f"{parts[2]} {parts[0]} {parts[1]}", f"{first} (new)"))
    mark = rng.choice('""\'')
    return (first, second), (f"{mark}{first}{mark}", f"{mark}{second}{mark}")


@api(
    "Data",
    "text_similarity",
    slots={
        "first,second": _titles,
        "unit": enum(
            {
                "characters": ("character by character", "on the level of characters"),
                "words": ("word by word", "on the level of words"),
            }
        ),
        "ignore_case": flag(["ignoring case", "case-insensitively"], ["treating capitals as different"]),
    },
    asks=[
        "How similar are <{first} and {second}>[, compared {unit}][, {ignore_case}]?",
        "Compute the similarity of <{first} and {second}>[ {unit}]",
        "Similarity score: <{first} vs {second}>[, {unit}][, {ignore_case}]",
        "Two of our suppliers sent what may be the same article, once as {first} and once as {second}. What is their similarity[, {ignore_case}]?",
        "I want to merge duplicates in the catalog and stumbled over {first} and {second}; how much do these titles resemble each other[ {unit}]?",
        "do {first} and {second} look alike to you? a similarity between 0 and 1 would be great[, {ignore_case}]",
        "Rate how closely <{second} matches {first}>[, {unit}][, {ignore_case}]",
        "By how much does <the title {first} resemble {second}>[, measured {unit}]?",
    ],
    missing=[
        "How similar is {first} to the other title[, {ignore_case}]?",
        "Compute the similarity of my two product titles[ {unit}]",
        "Rate how closely {second} matches our entry[, {ignore_case}]",
    ],
    bad=("first", ""),
)
def text_similarity(
    first: str,
    second: str,
    unit: Literal["characters", "words"] = "characters",
    ignore_case: bool = True,
) -> float:
    """Measure how similar two texts are, from 0 (nothing in common) to 1 (equal).

    first: The first text.
    second: The second text.
    unit: What is compared: characters or whole words.
    ignore_case: Whether upper and lower case are the same.
    """
    import difflib

    if not first or not second:
        raise ValueError("there is nothing to compare")
    if ignore_case:
        first, second = first.lower(), second.lower()
    pairs = (first.split(), second.split()) if unit == "words" else (first, second)
    return round(difflib.SequenceMatcher(None, *pairs, autojunk=False).ratio(), 4)


class Span(TypedDict):
    """A range of values.

    low: Where the first bin starts.
    high: Where the last bin ends.
    """

    low: float
    high: float


@api(
    "Data",
    "histogram.countBins",
    slots={
        "values": measurements(2, 98, (6, 11)),
        "bins": whole(2, 9),
        "span": record(
            ["from {low} to {high}", "between {low} and {high}"], low=plain(0, 35), high=plain(60, 120)
        ),
        "as_share": flag(
            ["as shares of the total", "as shares instead of counts"],
            ["in absolute numbers", "as absolute numbers"],
        ),
    },
    asks=[
        "Count how many of the values <{values}> fall into each of {bins} bins[, for the range {span}][, {as_share}]",
        "What are the counts of a histogram with {bins} bins for <{values}>[, {as_share}]?",
        "Histogram counts, {bins} bins: <{values}>[, range {span}]",
        "Our sensor logged {values} overnight. If I use {bins} bins of equal width[ {span}], how are the readings distributed?",
        "Sort the measurements <{values}> into {bins} equally wide bins[ {span}][ and give the result {as_share}]",
        "these are the delays of our buses in minutes: {values}. could you put them into {bins} classes for me[, {as_share}]?",
        "I timed my commute and got {values}. Binned into {bins} equal intervals[ {span}], how often did each class occur[, {as_share}]?",
    ],
    missing=[
        "Count how many of my values fall into each of {bins} bins[, {as_share}]",
        "Show the distribution of the delays in {bins} equally wide bins[ {span}]",
        "Put {values} into bins of equal width[ {span}][, {as_share}]",
    ],
    bad=("bins", 0),
)
def count_bins(values: list[float], bins: int, span: Span | None = None, as_share: bool = False) -> dict:
    """Count the values of a list in bins of equal width.

    values: The numbers.
    bins: Number of bins.
    span: The range that is divided into bins; from the smallest to the largest value if left out.
    as_share: Whether to answer with shares of all values instead of counts.
    """
    low, high = (span["low"], span["high"]) if span else (min(values), max(values))
    if bins < 1 or low >= high or not values:
        raise ValueError("there is nothing to divide into bins")
    width = (high - low) / bins
    counts = [0] * bins
    inside = [value for value in values if low <= value <= high]
    for value in inside:
        counts[min(int((value - low) / width), bins - 1)] += 1
    return {
        "edges": [round(low + width * n, 4) for n in range(bins + 1)],
        "bins": [round(count / len(values), 4) for count in counts] if as_share else counts,
        "outside": len(values) - len(inside),
    }


# Math


def _coefficients(rng: random.Random) -> tuple[list[float], str]:
    """Coefficients of a polynomial whose first and last terms do not vanish."""
    while True:
        value, text = measurements(-9, 12, (3, 5))(rng)
        if value[0] and value[-1]:
            return value, text


@api(
    "Math",
    "polynomial_value",
    slots={
        "coefficients": _coefficients,
        "x": decimal(-6, 9, 1),
        "derivative": enum({1: "first derivative", 2: "second derivative"}),
        "order": enum(
            {
                "descending": ("highest power first", "in descending powers"),
                "ascending": ("lowest power first", "constant term first", "in ascending powers"),
            }
        ),
    },
    asks=[
        "Evaluate the polynomial <with coefficients {coefficients} at x = {x}>[, coefficients given {order}]",
        "What does the polynomial with the coefficients {coefficients}[ ({order})] come to at x = {x}[, or rather its {derivative} there]?",
        "Polynomial, <coefficients {coefficients}, x = {x}>[, {derivative}]",
        "My calibration curve has the coefficients {coefficients}[, written {order}]. What does it give for an input of {x}?",
        "Take the polynomial whose coefficients are {coefficients}[, {order},] and compute it at the point {x}[; what I want is the {derivative}].",
        "Calculate the polynomial value <at {x} for the coefficients {coefficients}>[, wanted: {derivative}][, with the coefficients listed {order}]",
        "stuck on an exercise: p(x) has coefficients {coefficients}[ ({order})], and I'm supposed to plug in {x}. what comes out?",
    ],
    missing=[
        "Evaluate the polynomial with coefficients {coefficients}[, given {order}]",
        "What is the value of my polynomial at x = {x}?",
        "Calculate the {derivative} of the polynomial at {x}",
    ],
    bad=("coefficients", []),
)
def polynomial_value(
    coefficients: list[float],
    x: float,
    derivative: Literal[0, 1, 2] = 0,
    order: Literal["descending", "ascending"] = "descending",
) -> float:
    """Evaluate a polynomial, or a derivative of it, at a point.

    coefficients: The coefficients, at least one.
    x: The point.
    derivative: How often to differentiate first; 0 gives the value of the polynomial itself.
    order: Whether the coefficient of the highest power or the constant term comes first.
    """
    if not coefficients:
        raise ValueError("a polynomial has at least one coefficient")
    terms = list(coefficients if order == "ascending" else reversed(coefficients))
    for _ in range(derivative):
        terms = [power * term for power, term in enumerate(terms)][1:] or [0]
    return round(sum(term * x**power for power, term in enumerate(terms)), 6)


def _choices(rng: random.Random) -> tuple[tuple[int, int], tuple[str, str]]:
    total = rng.randint(5, 60)
    chosen = rng.randint(2, min(total - 1, 12))
    return (total, chosen), (str(total), str(chosen))


@api(
    "Math",
    "combinatorics.countChoices",
    slots={
        "total,chosen": _choices,
        "ordered": flag(
            ["where the order matters", "with the order taken into account"],
            ["where the order does not matter", "regardless of order"],
        ),
        "repetition": flag(
            ["with repetition allowed", "with repetition"], ["without repetition", "each one at most once"]
        ),
    },
    asks=[
        "How many ways are there to choose <{chosen} out of {total}>[, {ordered}][, {repetition}]?",
        "Count the selections of <{chosen} from {total} elements>[ {repetition}][, {ordered}]",
        "<{chosen} of {total}>: number of possibilities[, {ordered}][, {repetition}]",
        "There are {total} dishes on the menu and we'll try {chosen} of them. How many selections are possible[, {ordered}][, {repetition}]?",
        "Work out how many possibilities there are for drawing <{chosen} cards from a stack of {total}>[, {ordered}]",
        "my raffle drum holds {total} tickets and I pull {chosen}, how many different outcomes is that[, {repetition}]?",
        "For the test plan we need the number of ways to pick <{chosen} settings from {total}>[, {ordered}][, {repetition}].",
        "If somebody has {total} books and takes {chosen} along, in how many ways can they be picked[, {ordered}]?",
    ],
    missing=[
        "How many ways are there to choose {chosen} of them[, {ordered}]?",
        "Count the possible selections from {total} elements[, {repetition}]",
        "I own {total} books and want to take some along. How many ways are there to pick them?",
    ],
    bad=("chosen", -1),
)
def count_choices(total: int, chosen: int, ordered: bool = False, repetition: bool = False) -> int:
    """Count the ways to choose some elements from a set.

    total: Number of elements in the set.
    chosen: How many of them are chosen.
    ordered: Whether the same elements in another order count as another choice.
    repetition: Whether an element may be chosen more than once.
    """
    if chosen < 0 or total < 1:
        raise ValueError("both numbers must be positive")
    if ordered:
        return total**chosen if repetition else math.perm(total, chosen)
    return math.comb(total + chosen - 1 if repetition else total, chosen)


# Science

_STRONG_ACIDS = ("hydrochloric acid", "nitric acid", "perchloric acid")
_STRONG_BASES = ("sodium hydroxide", "potassium hydroxide")
_WEAK = {  # acid, and the constant pKa (pKb for the base) at 25 degrees Celsius
    "acetic acid": (True, 4.76),
    "formic acid": (True, 3.75),
    "hydrofluoric acid": (True, 3.17),
    "ammonia": (False, 4.75),
}


def _molarity(rng: random.Random) -> tuple[float, str]:
    value = rng.randint(1, 99) / rng.choice((100, 1000, 10000))
    return value, f"{value:g}" if value >= 0.001 else f"{value:.4f}"


@api(
    "Science",
    "chemistry.solution_ph",
    slots={
        "substance": one([*_STRONG_ACIDS, *_STRONG_BASES, *_WEAK]),
        "concentration": _molarity,
        "decimals": plain(2, 6),
    },
    asks=[
        "What is the pH of <a {concentration} mol/L solution of {substance}>[, rounded to {decimals} decimals]?",
        "Calculate the pH of <{substance} at a concentration of {concentration} mol/L>[ to {decimals} decimal places]",
        "pH, <{concentration} M {substance}>[, {decimals} decimals]",
        "We have prepared {substance} with a concentration of {concentration} M. Which pH should the meter show[, to {decimals} decimals]?",
        "Before I start the titration I'd like to know how acidic or basic my {concentration} M {substance} is. Give me the pH[ with {decimals} decimals].",
        "Estimate the pH value for <{concentration} moles per liter of {substance}>[, keeping {decimals} decimals]",
        "quick one for the lab sheet: {substance}, {concentration} mol/L, pH?",
    ],
    missing=[
        "What is the pH of {substance}[, rounded to {decimals} decimals]?",
        "Calculate the pH of a {concentration} mol/L solution[ to {decimals} decimal places]",
        "My solution contains {concentration} moles per liter. Which pH does it have?",
    ],
    bad=("concentration", 0),
)
def solution_ph(
    substance: Literal[
        "hydrochloric acid",
        "nitric acid",
        "perchloric acid",
        "sodium hydroxide",
        "potassium hydroxide",
        "acetic acid",
        "formic acid",
        "hydrofluoric acid",
        "ammonia",
    ],
    concentration: float,
    decimals: int = 2,
) -> float:
    """Calculate the pH of an acid or base dissolved in water at 25 degrees Celsius.

    substance: The dissolved acid or base.
    concentration: Concentration in moles per liter.
    decimals: Decimal places of the result.
    """
    if concentration <= 0:
        raise ValueError("the concentration must be positive")
    if substance in _WEAK:
        acid, exponent = _WEAK[substance]
        constant = 10**-exponent
        ions = (math.sqrt(constant * (constant + 4 * concentration)) - constant) / 2
    else:
        acid, ions = substance in _STRONG_ACIDS, concentration
    # Water itself adds ions: x * (x - ions) = 1e-14.
    ions = (ions + math.sqrt(ions**2 + 4e-14)) / 2
    return round(-math.log10(ions) if acid else 14 + math.log10(ions), decimals)


_HALF_LIVES = {  # in days
    "carbon-14": 5730 * 365.25, "tritium": 12.32 * 365.25, "cobalt-60": 5.27 * 365.25,
    "strontium-90": 28.8 * 365.25, "cesium-137": 30.1 * 365.25, "radium-226": 1600 * 365.25,
    "iodine-131": 8.02, "radon-222": 3.82, "phosphorus-32": 14.3, "polonium-210": 138.4,
    "iridium-192": 73.8, "technetium-99m": 6.01 / 24, "sodium-24": 15.0 / 24,
}  # fmt: skip


class Duration(TypedDict):
    """A length of time.

    value: How many units.
    unit: Unit of time.
    """

    value: float
    unit: Literal["hours", "days", "years"]


def _decay(rng: random.Random) -> tuple[tuple[str, Duration], tuple[str, str]]:
    """An isotope and a time in a unit that suits its half-life."""
    isotope, days = rng.choice(list(_HALF_LIVES.items()))
    unit: Literal["hours", "days", "years"] = "years" if days > 1000 else "days" if days > 2 else "hours"
    value = rng.randint(2, 900 if days > 100_000 else 70)
    return (isotope, {"value": value, "unit": unit}), (isotope, f"{value} {unit}")


@api(
    "Science",
    "radioactive_decay",
    slots={
        "isotope,elapsed": _decay,
        "milligrams": decimal(2, 900, 1),
        "as_percent": flag(
            ["as a percentage of the original mass", "in percent of the original mass"],
            ["in milligrams", "as a mass in milligrams"],
        ),
    },
    asks=[
        "How much of <{milligrams} mg of {isotope} is left after {elapsed}>[, {as_percent}]?",
        "Calculate what remains of <a {milligrams} mg sample of {isotope} after {elapsed}>[, {as_percent}]",
        "Decay: <{milligrams} mg {isotope}, {elapsed}>[, {as_percent}]",
        "Our clinic received {milligrams} milligrams of {isotope}, and {elapsed} have gone by. What has not decayed yet[, {as_percent}]?",
        "Suppose I seal {milligrams} mg of {isotope} in a box and open it {elapsed} later; how much will I find[, {as_percent}]?",
        "Work out the remaining mass of {isotope}[ {as_percent}] if a source of {milligrams} mg has been stored for {elapsed}",
        "Physics homework again... {isotope}, {milligrams} mg at the start. What's still there after {elapsed}[, expressed {as_percent}]?",
        "Let <{milligrams} mg of {isotope} decay for {elapsed}> and tell me the rest[, {as_percent}]",
    ],
    missing=[
        "How much of {milligrams} mg of {isotope} is left[, {as_percent}]?",
        "Calculate what remains of a {milligrams} mg radioactive sample after {elapsed}",
        "How much {isotope} will still be there after {elapsed}?",
    ],
    bad=("isotope", "kryptonite-300"),
)
def radioactive_decay(milligrams: float, isotope: str, elapsed: Duration, as_percent: bool = False) -> float:
    """Calculate how much of a radioactive sample is left after some time.

    milligrams: Mass of the isotope at the start, in milligrams.
    isotope: Name of the isotope with its mass number, such as carbon-14.
    elapsed: How long the sample decays.
    as_percent: Whether to answer in percent of the mass at the start instead of in milligrams.
    """
    if milligrams <= 0 or elapsed["value"] < 0:
        raise ValueError("the mass must be positive and the time cannot be negative")
    days = elapsed["value"] * {"hours": 1 / 24, "days": 1, "years": 365.25}[elapsed["unit"]]
    share = 0.5 ** (days / _HALF_LIVES[known(isotope, list(_HALF_LIVES), "isotope")])
    return round(share * 100 if as_percent else share * milligrams, 6)


class Temperature(TypedDict):
    """A temperature.

    value: Degrees or kelvins.
    unit: Scale of the temperature.
    """

    value: float
    unit: Literal["celsius", "kelvin"]


def _temperature(rng: random.Random) -> tuple[Temperature, str]:
    if rng.random() < 0.5:
        value = rng.randint(230, 700)
        return {"value": value, "unit": "kelvin"}, f"{value} {rng.choice(('K', 'kelvin'))}"
    value = rng.randint(-30, 250)
    return {"value": value, "unit": "celsius"}, f"{value} {rng.choice(('degrees Celsius', '°C'))}"


@api(
    "Science",
    "idealGasPressure",
    slots={
        "moles": decimal(2, 40, 2),
        "volume_liters": decimal(2, 300, 1),
        "temperature": _temperature,
        "pressure_unit": enum(
            {
                "kPa": ("kPa", "kilopascals"),
                "atm": ("atm", "atmospheres"),
                "bar": ("bar",),
                "psi": ("psi", "pounds per square inch"),
            }
        ),
    },
    asks=[
        "What pressure do <{moles} moles of an ideal gas have in {volume_liters} liters at {temperature}>[, in {pressure_unit}]?",
        "Calculate the pressure of <{moles} mol of gas in a volume of {volume_liters} L at {temperature}>[ in {pressure_unit}]",
        "Ideal gas: <n = {moles} mol, V = {volume_liters} L, T = {temperature}>. Pressure[ in {pressure_unit}]?",
        "A tank of {volume_liters} liters holds {moles} moles of nitrogen and sits at {temperature}. How high is the pressure inside[ in {pressure_unit}]?",
        "I filled {moles} mol of helium into a {volume_liters} liter cylinder. At {temperature}, what will the gauge read[ in {pressure_unit}], treating it as an ideal gas?",
        "Use the ideal gas law: {moles} moles, {volume_liters} liters, {temperature}. I need the pressure[ in {pressure_unit}].",
        "Determine the ideal gas pressure for <{moles} mol at {temperature} in {volume_liters} L>[, expressed in {pressure_unit}]",
    ],
    missing=[
        "What pressure do {moles} moles of an ideal gas have at {temperature}[, in {pressure_unit}]?",
        "A {volume_liters} liter tank sits at {temperature}. What is the pressure of the ideal gas in it?",
        "Calculate the pressure of {moles} mol of ideal gas in {volume_liters} L[ in {pressure_unit}]",
    ],
    bad=("volume_liters", 0),
)
def ideal_gas_pressure(
    moles: float,
    volume_liters: float,
    temperature: Temperature,
    pressure_unit: Literal["kPa", "atm", "bar", "psi"] = "kPa",
) -> float:
    """Calculate the pressure of an ideal gas.

    moles: Amount of gas in moles.
    volume_liters: Volume in liters.
    temperature: Temperature of the gas.
    pressure_unit: Unit of the result.
    """
    kelvin = temperature["value"] + (273.15 if temperature["unit"] == "celsius" else 0)
    if moles <= 0 or volume_liters <= 0 or kelvin <= 0:
        raise ValueError("amount, volume and absolute temperature must be positive")
    kilopascals = moles * 8.314462618 * kelvin / volume_liters
    return round(kilopascals / {"kPa": 1, "atm": 101.325, "bar": 100, "psi": 6.894757}[pressure_unit], 4)


# Business

_BBANS = {  # what follows the check digits: letters or a number of digits
    "DE": ("", 18), "AT": ("", 16), "DK": ("", 14), "HR": ("", 17), "LT": ("", 16), "PL": ("", 24),
    "CH": ("", 17), "NL": ("QVBK", 10), "GB": ("QVBK", 14), "IE": ("QVBK", 14), "RO": ("QVBK", 16),
}  # fmt: skip
_IBAN_COUNTRIES = {
    "DE": "Germany", "AT": "Austria", "DK": "Denmark", "HR": "Croatia", "LT": "Lithuania", "PL": "Poland",
    "CH": "Switzerland", "NL": "the Netherlands", "GB": "the United Kingdom", "IE": "Ireland", "RO": "Romania",
}  # fmt: skip


def _iban(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """An IBAN of a made-up account and a country; most often the check digits and the country are right."""
    country = rng.choice(list(_BBANS))
    letters, digits = _BBANS[country]
    bban = letters + "".join(rng.choice("0123456789") for _ in range(digits))
    # A letter counts as its place in base 36; the check digits make the whole leave 1 modulo 97.
    check = 98 - int("".join(str(int(c, 36)) for c in f"{bban}{country}00")) % 97
    if rng.random() < 0.35:
        check = 2 + (check + rng.randint(0, 90)) % 97
    number = f"{country}{check:02d}{bban}"
    if rng.random() < 0.5:
        number = " ".join(number[n : n + 4] for n in range(0, len(number), 4))
    meant = country if rng.random() < 0.75 else rng.choice(list(_BBANS))
    return (number, meant), (number, _IBAN_COUNTRIES[meant])


@api(
    "Business",
    "banking.check_iban",
    slots={
        "iban,country": _iban,
        "grouped": flag(["in groups of four", "in blocks of four"], ["without any blanks"]),
    },
    asks=[
        "Would <{iban}[ in {country}]> pass as an IBAN?",
        "Check the IBAN <{iban}[ for an account in {country}]>[ and return it {grouped}]",
        "IBAN <{iban}>, correct or not?[ Print it {grouped}.]",
        "A supplier sent us the IBAN {iban} for their new account[ in {country}]. Are its check digits right?",
        "Validate <the IBAN {iban}[ of an account in {country}]>[ and write it {grouped}]",
        "Before payroll runs, please verify the IBAN {iban}[; the employee banks in {country}].",
        "uh, the bank bounced my transfer to {iban}. can you see whether I mistyped that IBAN[ and repeat it {grouped}]?",
        "Do the check digits of <{iban}> match the rest of the IBAN[, shown {grouped}]?",
    ],
    missing=[
        "Is the IBAN of our new supplier valid[, and is the account in {country}]?",
        "Check an IBAN for me[ and return it {grouped}]",
        "I wrote down an IBAN in {country}, but is it correct?",
    ],
    bad=("iban", "account 12"),
    needs=("stdnum.iban",),
)
def check_iban(iban: str, country: str | None = None, grouped: bool = False) -> dict:
    """Check the check digits and the structure of an IBAN.

    iban: The IBAN, with or without blanks.
    country: Two-letter code of the country that the account should be in.
    grouped: Whether to write the IBAN in groups of four.
    """
    from stdnum import iban as ibans

    number = ibans.compact(iban)
    if not (number.isascii() and number.isalnum() and number[:2].isalpha() and number[2:4].isdigit()):
        raise ValueError(f"{iban!r} does not look like an IBAN")
    return {
        "valid": ibans.is_valid(number, check_country=False) and country in (None, number[:2]),
        "issued_in": number[:2],
        "iban": ibans.format(number) if grouped else number,
    }


_VAT_WEIGHTS = {  # the weighted sum of a number's digits is a multiple of the modulus
    "DK": ((2, 7, 6, 5, 4, 3, 2, 1), 11),
    "EE": ((3, 7, 1, 3, 7, 1, 3, 7, 1), 10),
    "FI": ((7, 9, 10, 5, 8, 4, 2, 1), 11),
    "HU": ((9, 7, 3, 1, 9, 7, 3, 1), 10),
    "PL": ((6, 5, 7, 2, 3, 4, 5, 6, 7, -1), 11),
    "PT": ((9, 8, 7, 6, 5, 4, 3, 2, 1), 11),
    "SI": ((8, 7, 6, 5, 4, 3, 2, 1), 11),
}
_VAT_COUNTRIES = {
    "DK": "Denmark", "EE": "Estonia", "FI": "Finland", "HU": "Hungary", "PL": "Poland", "PT": "Portugal",
    "SI": "Slovenia",
}  # fmt: skip


def _vat(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """A country and a made-up VAT number there, most often with a correct check digit."""
    country = rng.choice(list(_VAT_WEIGHTS))
    weights, modulus = _VAT_WEIGHTS[country]
    right = rng.random() < 0.65
    while True:
        digits = [rng.randint(1, 9), *(rng.randint(0, 9) for _ in weights[1:])]
        if (sum(w * d for w, d in zip(weights, digits, strict=True)) % modulus == 0) == right:
            number = "".join(map(str, digits))
            return (country, number), (_VAT_COUNTRIES[country], number)


@api(
    "Business",
    "validateVatNumber",
    slots={
        "country,number": _vat,
        "with_prefix": flag(
            ["with the country prefix", "including the country prefix"],
            ["without the country prefix", "as bare digits"],
        ),
    },
    asks=[
        "Is <{number} a valid VAT number in {country}>?",
        "Validate <the VAT number {number} from {country}>[ and repeat it {with_prefix}]",
        "VAT check: <{country}, {number}>[, {with_prefix}]",
        "A new customer in {country} gave us {number} as their VAT number. Can that be right[, and how do I write it {with_prefix}]?",
        "I'm about to send an invoice to {country}; the VAT number I have on file is {number}. Please see whether its check digit fits[ and note it {with_prefix}].",
        "Check the VAT registration <{number} of a company in {country}>[ and give it back {with_prefix}]",
        "could you see if {number} passes as a VAT number? it's a firm in {country}[, and I'd like the number {with_prefix}]",
    ],
    missing=[
        "Is {number} a valid VAT number?",
        "Validate the VAT number of our customer in {country}[ and repeat it {with_prefix}]",
        "A company in {country} sent us an invoice. Is their VAT number valid?",
    ],
    bad=("number", "none"),
    needs=(
        "stdnum.dk.cvr",
        "stdnum.ee.kmkr",
        "stdnum.fi.alv",
        "stdnum.hu.anum",
        "stdnum.pl.nip",
        "stdnum.pt.nif",
        "stdnum.si.ddv",
    ),
)
def validate_vat_number(
    country: Literal["DK", "EE", "FI", "HU", "PL", "PT", "SI"], number: str, with_prefix: bool = False
) -> dict:
    """Check the form and the check digit of a European VAT number.

    country: Two-letter code of the country.
    number: The VAT number without the country's prefix.
    with_prefix: Whether to answer with the prefix in front of the number.
    """
    from stdnum.dk import cvr
    from stdnum.ee import kmkr
    from stdnum.fi import alv
    from stdnum.hu import anum
    from stdnum.pl import nip
    from stdnum.pt import nif
    from stdnum.si import ddv

    modules = {"DK": cvr, "EE": kmkr, "FI": alv, "HU": anum, "PL": nip, "PT": nif, "SI": ddv}
    digits = modules[country].compact(number)
    if not digits.isdigit():
        raise ValueError(f"{number!r} holds no VAT number")
    return {
        "valid": modules[country].is_valid(digits),
        "number": f"{country}{digits}" if with_prefix else digits,
    }


class Task(TypedDict):
    """A task of a project.

    name: Name of the task.
    days: Duration in working days.
    after: Names of the tasks that must be finished before.
    """

    name: str
    days: int
    after: NotRequired[list[str]]


_PROJECTS = (
    ("survey", "excavation", "foundation", "framing", "roofing", "wiring", "plastering", "painting"),
    ("interviews", "wireframes", "backend", "frontend", "integration", "load test", "training", "launch"),
    ("venue search", "budgeting", "booking", "invitations", "catering", "rehearsal", "setup", "opening"),
    ("concept", "prototype", "sourcing", "tooling", "pilot run", "certification", "packaging", "shipping"),
    ("outline", "research", "drafting", "editing", "illustration", "layout", "proofreading", "printing"),
)


def _tasks(rng: random.Random) -> tuple[list[dict[str, Any]], str]:
    """Three to five tasks in order, each after none, one or two of the earlier ones."""
    pool = rng.choice(_PROJECTS)
    names = [pool[n] for n in sorted(rng.sample(range(len(pool)), rng.randint(3, 5)))]
    said = rng.choice(
        (
            ("{name} ({days} days)", "{name} ({days} days, after {after})"),
            ("{name}: {days} days", "{name}: {days} days, waiting for {after}"),
            ("{days} days for {name}", "{days} days for {name}, following {after}"),
        )
    )
    tasks: list[dict[str, Any]] = []
    texts: list[str] = []
    for index, name in enumerate(names):
        task: dict[str, Any] = {"name": name, "days": rng.randint(2, 21)}
        before = rng.sample(names[:index], min(index, rng.choice((0, 1, 1, 1, 2))))
        if before:
            task["after"] = before
        needed = " and ".join(before)
        texts.append(said[bool(before)].format(name=name, days=task["days"], after=needed))
        tasks.append(task)
    return tasks, "; ".join(texts)


@api(
    "Business",
    "project.critical_path",
    slots={
        "tasks": _tasks,
        "buffer_percent": percent(5, 40, 5),
        "days_per_week": whole(3, 7),
    },
    asks=[
        "Find the critical path of <the plan '{tasks}'>[ and add a buffer of {buffer_percent}]",
        "Which tasks decide how long the project takes[, at {days_per_week} working days a week]? The plan is as follows: {tasks}",
        "Critical path[, {days_per_week} working days a week][, {buffer_percent} buffer]: <'{tasks}'>",
        "We drew up a schedule and it looks like this: {tasks}. What is the shortest total duration[ with a buffer of {buffer_percent}]?",
        "My boss wants to know by tomorrow which steps must not slip. Here's what I've got: {tasks}. Can you work out the critical path[ with a reserve of {buffer_percent} on top]?",
        "Calculate the total duration and the longest chain of tasks for <a project with the tasks '{tasks}'>[, assuming {days_per_week} working days per week]",
        "ok so the tasks are {tasks}. how soon can everything be finished[ if we work {days_per_week} days a week][ with {buffer_percent} slack]?",
    ],
    missing=[
        "Find the critical path of our project[ with a buffer of {buffer_percent}]",
        "How long will the project take[ if we work {days_per_week} days a week]?",
        "Which of our tasks are critical[, with a reserve of {buffer_percent} on top]?",
    ],
    bad=("tasks", []),
    needs=("networkx",),
)
def critical_path(tasks: list[Task], buffer_percent: float = 0, days_per_week: int = 5) -> dict:
    """Find the chain of tasks that decides how long a project takes.

    tasks: The tasks with their durations and what each must wait for.
    buffer_percent: Reserve that is added to the total duration, in percent.
    days_per_week: Working days in a week.
    """
    import networkx

    days = {task["name"]: task["days"] for task in tasks}
    if not tasks or len(days) < len(tasks) or min(days.values()) < 0 or not 1 <= days_per_week <= 7:
        raise ValueError("the plan needs tasks of different names and weeks of 1 to 7 working days")
    graph = networkx.DiGraph()
    for task in tasks:
        # An edge into a task carries its duration, so each task hangs on a start without one.
        graph.add_edge("", task["name"], weight=task["days"])
        for name in task.get("after", ()):
            if name not in days:
                raise ValueError(f"{task['name']} waits for {name!r}, which is no task")
            graph.add_edge(name, task["name"], weight=task["days"])
    if not networkx.is_directed_acyclic_graph(graph):
        raise ValueError("the tasks wait for each other")
    path = networkx.dag_longest_path(graph)[1:]
    total = math.ceil(round(sum(days[name] for name in path) * (1 + buffer_percent / 100), 6))
    return {"path": path, "days": total, "weeks": math.ceil(total / days_per_week)}


# Commerce

_BARCODES = {"EAN-13": 12, "EAN-8": 7, "UPC-A": 11, "GTIN-14": 13}


def _barcode(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    symbology = rng.choice(list(_BARCODES))
    digits = "".join(str(rng.randint(0 if n else 1, 9)) for n in range(_BARCODES[symbology]))
    return (symbology, digits), (symbology, digits)


@api(
    "Commerce",
    "barcode_check_digit",
    slots={
        "symbology,digits": _barcode,
        "full_code": flag(
            ["with the complete code written out", "showing the complete code"],
            ["showing only the check digit", "with nothing but the check digit"],
        ),
    },
    asks=[
        "What is the check digit of <the {symbology} barcode that starts {digits}>[, {full_code}]?",
        "Calculate the {symbology} check digit for {digits}[, {full_code}]",
        "Check digit, <{symbology}, {digits}>[, {full_code}]",
        "We're printing labels and the {symbology} code so far reads {digits}. Which digit goes at the end[, {full_code}]?",
        "Work out the last digit of <the {symbology} number {digits}>[, {full_code}]",
        "my scanner can't read the end of this label... it's {symbology}, the rest says {digits}. what's missing[, {full_code}]?",
        "For our new article I was assigned {digits}, to be used as {symbology}. Please add the proper check digit[, {full_code}].",
    ],
    missing=[
        "Calculate the {symbology} check digit[, {full_code}]",
        "Which check digit belongs at the end of my {symbology} barcode[, {full_code}]?",
        "What is the check digit for the barcode on our new article?",
    ],
    bad=("digits", "12A"),
    needs=("stdnum.ean",),
)
def barcode_check_digit(
    symbology: Literal["EAN-13", "EAN-8", "UPC-A", "GTIN-14"], digits: str, full_code: bool = False
) -> str:
    """Calculate the check digit of a product barcode.

    symbology: Kind of barcode.
    digits: All digits of the code but the last, the check digit.
    full_code: Whether to answer with the whole code instead of the check digit alone.
    """
    from stdnum import ean

    if not (digits.isascii() and digits.isdigit()) or len(digits) != _BARCODES[symbology]:
        raise ValueError(f"{symbology} has {_BARCODES[symbology]} digits before the check digit")
    check = ean.calc_check_digit(digits)
    return digits + check if full_code else check


class MultiBuy(TypedDict):
    """A multi-buy offer.

    buy: How many must be paid for.
    free: How many come free with them.
    """

    buy: int
    free: int


def _offer(rng: random.Random) -> tuple[MultiBuy, str]:
    buy = rng.randint(1, 12)
    free = rng.randint(1, max(1, buy // 2))
    return {"buy": buy, "free": free}, f"buy {buy} get {free} free"


@api(
    "Commerce",
    "multiBuyTotal",
    slots={
        "unit_price": money(2, 60, 0.6),
        "quantity": whole(3, 36),
        "offer": _offer,
        "shipping": money(3, 25, 0.5),
        "coupon_percent": percent(2, 30, 1),
    },
    asks=[
        "What do <{quantity} pieces at {unit_price} each> cost with the offer '{offer}'[ and {shipping} shipping]?",
        "Calculate the total for <{quantity} units at {unit_price} apiece> under '{offer}'[, less a {coupon_percent} coupon]",
        "{offer}: <{quantity} x {unit_price}>[, {coupon_percent} coupon][, {shipping} shipping]",
        "The shop runs a '{offer}' promotion. If I take {quantity} candles at {unit_price} each, what will I pay[ including {shipping} for delivery]?",
        "Each mug is {unit_price}, we need {quantity} of them, and there's a sign saying {offer}. How much is that altogether[ after a coupon of {coupon_percent}]?",
        "I put {quantity} jars into my basket, priced at {unit_price} apiece, because of the '{offer}' deal. Please tell me the total[, with {shipping} shipping][, less a {coupon_percent} voucher].",
        "how many do I actually pay for? it's {offer}, {unit_price} per item, I'm getting {quantity}[, and I've a {coupon_percent} coupon]",
    ],
    missing=[
        "What do {quantity} pieces cost with the offer '{offer}'[ and {shipping} shipping]?",
        "The shop runs a '{offer}' promotion and a mug is {unit_price}. What will I pay?",
        "Calculate the total under '{offer}'[, less a {coupon_percent} coupon]",
    ],
    bad=("quantity", 0),
)
def multi_buy_total(
    unit_price: float, quantity: int, offer: MultiBuy, shipping: float = 0, coupon_percent: float = 0
) -> dict:
    """Calculate what a number of equal items cost under a multi-buy offer such as "buy 2 get 1 free".

    unit_price: Price of one item in dollars.
    quantity: How many items are taken, the free ones included.
    offer: How many must be paid for and how many are then free.
    shipping: Delivery fee in dollars, added in the end.
    coupon_percent: Coupon on the goods in percent.
    """
    if quantity < 1 or unit_price < 0 or offer["buy"] < 1 or offer["free"] < 0:
        raise ValueError("quantity and offer must be positive")
    rounds, rest = divmod(quantity, offer["buy"] + offer["free"])
    paid = rounds * offer["buy"] + min(rest, offer["buy"])
    goods = paid * unit_price * (1 - coupon_percent / 100)
    return {"paid_items": paid, "free_items": quantity - paid, "total": round(goods + shipping, 2)}


# Media


def _hex_colors(rng: random.Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """A darker and a lighter color, in either order."""
    dark = "".join(f"{rng.randint(0, 140):02x}" for _ in range(3))
    light = "".join(f"{rng.randint(110, 255):02x}" for _ in range(3))
    colors = [f"#{dark}", f"#{light}"]
    rng.shuffle(colors)
    if rng.random() < 0.3:
        colors = [color.upper() for color in colors]
    return (colors[0], colors[1]), (colors[0], colors[1])


@api(
    "Media",
    "accessibility.color_contrast",
    slots={
        "text_color,background": _hex_colors,
        "level": enum({"AA": ("level AA", "WCAG AA"), "AAA": ("level AAA", "WCAG AAA")}),
        "large_text": flag(["in large type", "at headline size"], ["in normal type", "at body size"]),
    },
    asks=[
        "Is the contrast of <{text_color} on {background}> high enough[ for {level}][, {large_text}]?",
        "Check the color contrast of <text in {text_color} on a background of {background}>[ against {level}]",
        "Contrast <{text_color} / {background}>[, {level}][, {large_text}]",
        "Our designer put {text_color} lettering on {background}. Can people with weak eyesight read that[ {large_text}]?",
        "I'm redoing the banner with a {background} background and the words in {text_color}. What contrast ratio does that give[, and does it meet {level}]?",
        "Calculate the contrast ratio between <the text color {text_color} and the background {background}>[ {large_text}]",
        "hm, {text_color} letters over {background}... readable or not[, going by {level}]?",
        "Please test our caption style: text {text_color}, background {background}[, to be judged {large_text}][ by {level}].",
    ],
    missing=[
        "Is the contrast of {text_color} text high enough[ for {level}]?",
        "Which contrast ratio does my text have on {background}[, {large_text}]?",
        "Check the color contrast of our banner[ against {level}]",
    ],
    bad=("background", "#12345g"),
)
def color_contrast(
    text_color: str, background: str, level: Literal["AA", "AAA"] = "AA", large_text: bool = False
) -> dict:
    """Calculate the contrast ratio of a text color on a background and check it against WCAG.

    text_color: Color of the text as #rrggbb.
    background: Color of the background as #rrggbb.
    level: The level that is to be met.
    large_text: Whether the text is large, for which a lower contrast is enough.
    """
    shades = []
    for color in (text_color, background):
        if len(color) != 7 or color[0] != "#":
            raise ValueError(f"{color!r} is no color of the form #rrggbb")
        channels = [share / 255 for share in bytes.fromhex(color[1:])]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        shades.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    ratio = (max(shades) + 0.05) / (min(shades) + 0.05)
    needed = {"AA": (4.5, 3.0), "AAA": (7.0, 4.5)}[level][large_text]
    return {"ratio": round(ratio, 2), "needed": needed, "passes": ratio >= needed}


def _cues(rng: random.Random) -> tuple[list[str], str]:
    """Two to four times in a film, the earliest first."""
    starts = sorted(rng.sample(range(1200, 140_000), rng.randint(2, 4)))
    cues = [f"{s // 72000:02d}:{s // 1200 % 60:02d}:{s // 20 % 60:02d}.{s % 20 * 50:03d}" for s in starts]
    return cues, rng.choice((", ".join(cues), ", ".join(cues[:-1]) + " and " + cues[-1]))


@api(
    "Media",
    "subtitles_shift",
    slots={
        "cues": _cues,
        "seconds": decimal(1.5, 45, 2),
        "direction": enum({"later": "later", "earlier": "earlier"}),
        "format": enum(
            {"srt": ("SRT notation", "the SRT format"), "vtt": ("WebVTT notation", "the WebVTT format")}
        ),
    },
    asks=[
        "Shift the subtitle times {cues} so that they come {seconds} seconds {direction}[, and write them in {format}]",
        "What do the subtitle cues {cues} become when moved {seconds} seconds {direction}[, in {format}]?",
        "Subtitles {seconds} s {direction}: {cues}[, output in {format}]",
        "The captions of our film are out of sync and have to come {seconds} seconds {direction}. The times are {cues}; please correct them[ in {format}].",
        "I recut the intro, so the subtitles at {cues} must move {seconds} seconds {direction}. Which times do I enter[, using {format}]?",
        "Move <the subtitle cues at {cues} to {seconds} seconds {direction}>[, result in {format}]",
        "Calculate new subtitle times <for {cues}, to be shown {seconds} seconds {direction}>[, in {format}]",
        "can you fix my captions? <{cues} should come {seconds} seconds {direction}>[, in {format} if possible]",
    ],
    missing=[
        "Shift the subtitle times {cues}[ and write them in {format}]",
        "Our captions have to come {seconds} seconds {direction}. What are the new times?",
        "Move the subtitles of my film {direction}[, result in {format}]",
    ],
    bad=("cues", ["at the start"]),
)
def subtitles_shift(
    cues: list[str],
    seconds: float,
    direction: Literal["later", "earlier"],
    format: Literal["srt", "vtt"] = "vtt",
) -> list[str]:
    """Move the times of subtitles.

    cues: Times of the subtitles as HH:MM:SS.mmm.
    seconds: By how many seconds to move them.
    direction: Whether they are shown later or earlier than before.
    format: Notation of the result: srt has a comma before the milliseconds, vtt a point.
    """
    shifted = []
    for cue in cues:
        hours, minutes, rest = cue.split(":")
        start = int(hours) * 3_600_000 + int(minutes) * 60_000 + round(float(rest) * 1000)
        moved = start + round(seconds * 1000) * (1 if direction == "later" else -1)
        if moved < 0:
            raise ValueError(f"{cue} would come before the film starts")
        total, milliseconds = divmod(moved, 1000)
        mark = "," if format == "srt" else "."
        shifted.append(f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}{mark}{milliseconds:03d}")
    return shifted


class Size(TypedDict):
    """A size in pixels.

    width: Width in pixels.
    height: Height in pixels.
    """

    width: int
    height: int


_SAID_SIZES = ["{width}x{height}", "{width} by {height}", "{width} x {height}"]
_FRAMES = (360, 480, 500, 600, 640, 720, 768, 800, 900, 1024, 1080, 1200, 1280, 1600, 1920)


@api(
    "Media",
    "image.fitIntoFrame",
    slots={
        "image": record(_SAID_SIZES, width=plain(400, 6000), height=plain(300, 4800)),
        "frame": record(_SAID_SIZES, width=one(_FRAMES), height=one(_FRAMES)),
        "enlarge": flag(
            ["enlarging it if necessary", "with enlarging allowed"],
            ["without ever enlarging it", "with no enlarging"],
        ),
        "multiple_of": one([2, 4, 8, 16, 32]),
    },
    asks=[
        "Which size does <a picture of {image} pixels get in a frame of {frame}>[, {enlarge}]?",
        "Scale <an image of {image} pixels to fit into {frame}>[, {enlarge}][, both sides a multiple of {multiple_of}]",
        "Fit <{image} into {frame}>[, sides divisible by {multiple_of}][, {enlarge}]",
        "Our photo measures {image} pixels, but the template only leaves room for {frame}. What are its dimensions if the proportions stay[, {enlarge}]?",
        "The video encoder takes frames of {frame}[ and wants sides that are multiples of {multiple_of}], and my footage is {image}. How big may it become, undistorted?",
        "I shot the cover at {image} and the website shows it in a {frame} box. Please compute the scaled width and height[, {enlarge}].",
        "need thumbnail dimensions!! original {image}, box {frame}, same aspect ratio[, {enlarge}][, divisible by {multiple_of}]",
    ],
    missing=[
        "Which size does a picture of {image} pixels get when it is scaled to my frame[, {enlarge}]?",
        "Scale our photo to fit into {frame}[, {enlarge}][, both sides a multiple of {multiple_of}]",
        "The website shows pictures in a {frame} box. How large will mine be?",
    ],
    bad=("image", {"width": 0, "height": 300}),
)
def fit_into_frame(image: Size, frame: Size, enlarge: bool = False, multiple_of: int = 1) -> dict:
    """Calculate the largest size of a picture that fits into a frame and keeps its proportions.

    image: Size of the picture.
    frame: Size of the frame.
    enlarge: Whether a smaller picture may be enlarged to fill the frame.
    multiple_of: Round width and height down to a multiple of this number.
    """
    if min(image["width"], image["height"], frame["width"], frame["height"], multiple_of) < 1:
        raise ValueError("sizes must be positive")
    scale = min(frame["width"] / image["width"], frame["height"] / image["height"])
    if not enlarge:
        scale = min(scale, 1.0)
    width, height = (
        int(round(side * scale, 6)) // multiple_of * multiple_of for side in (image["width"], image["height"])
    )
    return {"width": width, "height": height, "scale": round(scale, 4)}


# Other

_ZOO_PATHS = (  # two places, meters between them, and whether the path has stairs
    ("main gate", "flamingos", 90, False), ("main gate", "aquarium", 140, False),
    ("flamingos", "penguins", 160, False), ("flamingos", "giraffes", 220, False),
    ("aquarium", "penguins", 110, True), ("aquarium", "reptile house", 130, False),
    ("penguins", "polar bears", 80, False), ("polar bears", "seals", 120, True),
    ("seals", "otters", 70, False), ("otters", "penguins", 190, False),
    ("giraffes", "zebras", 60, False), ("zebras", "elephants", 150, False),
    ("elephants", "lions", 180, True), ("lions", "tigers", 90, False),
    ("tigers", "red pandas", 140, False), ("red pandas", "giraffes", 260, False),
    ("reptile house", "butterfly hall", 75, True), ("butterfly hall", "aviary", 100, False),
    ("aviary", "gorillas", 170, False), ("gorillas", "lemurs", 65, False),
    ("lemurs", "petting farm", 210, False), ("petting farm", "main gate", 175, False),
    ("reptile house", "petting farm", 230, False), ("gorillas", "elephants", 125, True),
    ("red pandas", "lemurs", 155, True), ("petting farm", "playground", 50, False),
    ("playground", "flamingos", 145, False), ("tigers", "elephants", 240, False),
)  # fmt: skip
_ZOO_PLACES = tuple(dict.fromkeys(place for path in _ZOO_PATHS for place in path[:2]))


def _visits(rng: random.Random) -> tuple[tuple[str, str, list[str]], tuple[str, str, str]]:
    """Two places of the zoo and one or two to see in between."""
    start, target, *via = rng.sample(_ZOO_PLACES, rng.randint(3, 4))
    the_via = " and then the ".join(via)
    return (start, target, via), (start, target, the_via)


@api(
    "Other",
    "zoo.find_way",
    slots={
        "start,target,via": _visits,
        "step_free": flag(["without any stairs", "on step-free paths only"], ["stairs are no problem"]),
        "pace_kmh": decimal(2, 6, 1),
    },
    asks=[
        "Find the shortest way through the zoo <from the {start} to the {target}>[, {step_free}]",
        "How far is it in the zoo <from the {start} to the {target}>[, passing the {via}][, {step_free}]?",
        "Zoo map: <{start} to {target}>[, {step_free}][, at {pace_kmh} km/h]",
        "We're at the {start} and the kids want to see the {target}. Which way do we walk through the zoo[, {step_free}]?",
        "I'm meeting my sister at the zoo's {target} and I have just reached the {start}. How long will I need[, at {pace_kmh} km/h][, if I stop by the {via}]?",
        "Guide me <from the {start} to the {target} on the zoo's paths>[, {step_free}][; I walk at {pace_kmh} km/h]",
        "lost in the zoo lol, standing by the {start}, how do I get to the {target}[ via the {via}]?",
        "Plan a walk in the zoo that starts at the {start} and ends at the {target}[ and takes in the {via}][, {step_free}]",
    ],
    missing=[
        "Find the shortest way through the zoo to the {target}[, {step_free}]",
        "We're standing at the {start} in the zoo. Which way do we have to walk[, {step_free}]?",
        "How long is the walk through the zoo[ at {pace_kmh} km/h]?",
    ],
    bad=("target", "unicorns"),
    needs=("networkx",),
)
def find_way(
    start: str, target: str, via: list[str] | None = None, step_free: bool = False, pace_kmh: float = 4
) -> dict:
    """Find the shortest way between two places in the city zoo.

    start: Where the walk starts, such as main gate.
    target: Where the walk ends, such as penguins.
    via: Places to pass on the way, in this order.
    step_free: Whether to avoid stairs.
    pace_kmh: Walking speed in kilometers an hour.
    """
    import networkx

    if pace_kmh <= 0:
        raise ValueError("the pace must be positive")
    graph = networkx.Graph()
    for one_end, other_end, meters, stairs in _ZOO_PATHS:
        if not (stairs and step_free):
            graph.add_edge(one_end, other_end, meters=meters)
    stops = [known(place, list(_ZOO_PLACES), "place") for place in (start, *(via or ()), target)]
    way: list[str] = []
    for one_end, other_end in pairwise(stops):
        way += networkx.shortest_path(graph, one_end, other_end, weight="meters")
    way = [place for place, _ in groupby(way)]
    length = networkx.path_weight(graph, way, weight="meters")
    return {"way": way, "meters": length, "minutes": round(length / pace_kmh * 0.06, 1)}
