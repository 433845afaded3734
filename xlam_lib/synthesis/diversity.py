"""How diverse a set of queries is, and what of a library its samples cover (APIGen report, section 5).

The report's samplers exist for diversity; these measures say whether they give any. None needs a model:
n-grams, a hashed TF-IDF space, compression, openings and masked forms. A query's tokens are its words in
lower case and its punctuation marks, one by one.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from xlam_lib.errors import ProfileError
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.sampler import enum_of
from xlam_lib.synthesis.samples import Sample

Embedder = Callable[[Sequence[str]], np.ndarray]
"""Texts to a matrix with one row for each."""

TOKENS = 10_000
DIMENSIONS = 4096
_ORDER = 4
_GRAM = 4  # characters of an n-gram in the hashed space

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_VALUE = re.compile(
    r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|(?<!\w)'[^']*'(?!\w)"  # quoted
    r"|\S+@\S+|@\w+|\w+://\S+|[~.]?(?:/[\w.-]+){2,}"  # addresses and paths
    r"|\S*\d\S*(?<![.,?!;:])"  # anything with a digit
    r"|(?<=[\w,;:)] )[A-Z]\w*(?:[ -][A-Z]\w*)*"  # names, away from a sentence's start
)
_CONTRACTED = re.compile(r"I(?:['’]\w+)?")


class Diversity(msgspec.Struct, frozen=True):
    """Measures of one set of queries; each says whether a higher figure means a more diverse set.

    Attributes
    ----------
    queries, tokens
        How many queries were measured, and on how many tokens the measures of one text rest.
    distinct_1, distinct_2, distinct_3
        Different n-grams / n-grams, within queries. Higher is more diverse. The share falls as a text grows,
        so it is taken over the first ``tokens`` n-grams of the shuffled queries, and only figures with equal
        ``tokens`` compare.
    self_bleu
        Mean over the queries of BLEU-4 (0 to 100, exponential smoothing as sacrebleu's default) with all
        the others as references. Lower is more diverse; it grows with the number of queries.
    spread
        Mean cosine distance of two queries, in the space of the embedder. Higher is more diverse.
    nearest
        Mean cosine distance of a query to the nearest other one. Higher is more diverse; it falls as the
        number of queries grows.
    compression
        Bytes / bytes compressed by zlib, of the text of ``tokens`` tokens. Lower is more diverse.
    openings
        Share of the queries that start with one of the ten most common first three words. Lower is more
        diverse.
    template_entropy
        Entropy of the queries' forms once values are masked (numbers, quotations, names, addresses), over
        its maximum, the logarithm of the number of queries: 0 (one form) to 1 (all differ). Higher is more
        diverse.
    largest_template
        Share of the queries that have the most common form. Lower is more diverse.
    length, length_spread
        Mean number of tokens in a query, and its standard deviation. A higher spread is more diverse.
    """

    queries: int
    tokens: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    self_bleu: float
    spread: float
    nearest: float
    compression: float
    openings: float
    template_entropy: float
    largest_template: float
    length: float
    length_spread: float


def tokens_of(query: str) -> list[str]:
    """Words in lower case and punctuation marks."""
    return _TOKEN.findall(query.lower())


def masked(query: str) -> str:
    """The query with what looks like a value replaced by ``_``, lists of them joined to one, lower case."""
    text = _VALUE.sub(lambda found: found[0] if _CONTRACTED.fullmatch(found[0]) else "_", query)
    return re.sub(r"_(?:(?:,| and|, and|;)* _)+", "_", text).lower().strip(" .?!")


def measure(
    queries: Sequence[str],
    seed: int = 0,
    sample: int = 1000,
    tokens: int = TOKENS,
    embed: Embedder | None = None,
) -> Diversity:
    """Measure a sample of the queries (see :class:`Diversity`).

    Parameters
    ----------
    seed
        Of the sample and the order.
    sample
        How many queries are measured; sets are comparable where the numbers agree.
    tokens
        On how many tokens distinct n-grams and compression rest, all there are if fewer.
    embed
        A sentence embedder for ``spread`` and ``nearest``; :func:`hashed` if None.

    Raises
    ------
    ProfileError
        Fewer than two queries.
    """
    if len(queries) < 2 or sample < 2:
        raise ProfileError(f"diversity: {min(len(queries), sample)} queries; give two or more")
    drawn = random.Random(f"{seed}/diversity").sample(list(queries), min(sample, len(queries)))
    split = [tokens_of(query) for query in drawn]
    lengths = [len(words) for words in split]
    used = min(tokens, sum(lengths))
    forms = Counter(masked(query) for query in drawn)
    opened = Counter(" ".join(words[:3]) for words in split)
    spread, nearest = _distances((embed or hashed)(drawn))
    return Diversity(
        queries=len(drawn),
        tokens=used,
        distinct_1=distinct(split, 1, used),
        distinct_2=distinct(split, 2, used),
        distinct_3=distinct(split, 3, used),
        self_bleu=self_bleu(split),
        spread=spread,
        nearest=nearest,
        compression=compression(drawn, split, used),
        openings=sum(count for _, count in opened.most_common(10)) / len(drawn),
        template_entropy=_entropy(forms) / math.log(len(drawn)),
        largest_template=max(forms.values()) / len(drawn),
        length=float(np.mean(lengths)),
        length_spread=float(np.std(lengths)),
    )


def distinct(split: Sequence[Sequence[str]], order: int, tokens: int = TOKENS) -> float:
    """Different n-grams / n-grams, over the first ``tokens`` n-grams; none spans two queries."""
    seen: set[tuple[str, ...]] = set()
    count = 0
    for words in split:
        for gram in zip(*(words[start:] for start in range(order)), strict=False):
            if count == tokens:
                break
            seen.add(gram)
            count += 1
    return len(seen) / count if count else 0.0


def compression(queries: Sequence[str], split: Sequence[Sequence[str]], tokens: int = TOKENS) -> float:
    """Bytes / compressed bytes of the first queries that have ``tokens`` tokens between them."""
    total, kept = 0, 0
    while kept < len(queries) and total < tokens:
        total += len(split[kept])
        kept += 1
    text = "\n".join(queries[:kept]).encode()
    return len(text) / len(zlib.compress(text, 9))


def _entropy(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values())


def self_bleu(split: Sequence[Sequence[str]]) -> float:
    """Mean BLEU-4 of each tokenised query against all the others; 0 to 100.

    A query's n-gram matches up to the most often that it is in one other query, so each n-gram's two highest
    counts are enough and the cost is linear. Length penalty, smoothing and orders are sacrebleu's for single
    sentences (``effective_order``).
    """
    grams = [
        [
            Counter(zip(*(words[start:] for start in range(order)), strict=False))
            for order in range(1, _ORDER + 1)
        ]
        for words in split
    ]
    best: list[dict[tuple[str, ...], tuple[int, int, int]]] = [{} for _ in range(_ORDER)]
    for owner, orders in enumerate(grams):
        for table, counts in zip(best, orders, strict=True):
            for gram, count in counts.items():
                first, holder, second = table.get(gram, (0, -1, 0))
                if count > first:
                    table[gram] = (count, owner, first)
                elif count > second:
                    table[gram] = (first, holder, count)
    lengths = Counter(map(len, split))
    return sum(
        _bleu(owner, len(words), grams[owner], best, lengths) for owner, words in enumerate(split)
    ) / len(split)


def _bleu(
    owner: int,
    length: int,
    orders: Sequence[Counter[tuple[str, ...]]],
    best: Sequence[dict[tuple[str, ...], tuple[int, int, int]]],
    lengths: Counter[int],
) -> float:
    matched = []
    for table, counts in zip(best, orders, strict=True):
        hits = 0
        for gram, count in counts.items():
            first, holder, second = table[gram]
            hits += min(count, second if holder == owner else first)
        matched.append(hits)
    if not any(matched):
        return 0.0
    logs, smooth = [], 1
    for order, hits in enumerate(matched, 1):
        total = length - order + 1
        if total <= 0:
            break
        if hits == 0:
            smooth *= 2
        logs.append(math.log((hits or 1 / smooth) / total))
    # The reference length is the nearest among the others, the shorter of two as near.
    others = (other for other, count in lengths.items() if other != length or count > 1)
    reference = min(others, key=lambda other: (abs(other - length), other))
    penalty = min(1.0, math.exp(1 - reference / length))
    return 100 * penalty * math.exp(sum(logs) / len(logs))


def hashed(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors of character 4-grams, hashed to 4,096 dimensions, weighted by TF-IDF over the texts.

    Weight of a gram: (1 + log count) x (log((1 + texts) / (1 + texts that have it)) + 1).
    """
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        padded = f" {' '.join(text.lower().split())} "
        counts = Counter(padded[at : at + _GRAM] for at in range(max(1, len(padded) - _GRAM + 1)))
        for gram, count in counts.items():
            vectors[row, zlib.crc32(gram.encode()) % DIMENSIONS] += 1 + math.log(count)
    held = (vectors > 0).sum(axis=0)
    return vectors * (np.log((1 + len(texts)) / (1 + held)) + 1).astype(np.float32)


def _distances(vectors: np.ndarray) -> tuple[float, float]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(norms == 0, 1, norms)).astype(np.float64)
    likeness = unit @ unit.T
    count = len(unit)
    np.fill_diagonal(likeness, 0)
    spread = 1 - likeness.sum() / (count * (count - 1))
    np.fill_diagonal(likeness, -np.inf)
    return float(spread), float(np.mean(1 - likeness.max(axis=1)))


def coverage(samples: Iterable[Sample], registry: Registry = LIBRARY) -> list[dict[str, Any]]:
    """What of the library the samples ask for: one row for each kind of thing.

    Rows have ``what``, ``occur``, ``all``, ``share``, ``min`` and ``max`` (how often the rarest and the most
    frequent one occurs):

    - ``functions``: that can be asked for (have templates), counted in calls and in queries with no call;
    - ``parameters``: pairs of a function and a parameter its templates can say, counted in calls;
    - ``enum values``: pairs of a function and a value of an enum among those parameters (also of the items
      of a list), counted in calls.
    """
    functions: Counter[str] = Counter()
    parameters: Counter[tuple[str, str]] = Counter()
    values: Counter[tuple[str, str, str]] = Counter()
    for function in registry.functions.values():
        if not function.asks:
            continue
        functions[function.name] = 0
        for name in frozenset().union(*(template.slots for template in function.asks)):
            parameters[function.name, name] = 0
            for value in enum_of(function.tool.parameters[name]):
                values[function.name, name, repr(value)] = 0
    for sample in samples:
        functions.update(name for name in sample.functions if name in functions)
        for slot in sample.slots or ():
            shown = sample.expected[slot.call]
            name = sample.names.get(shown, shown)
            parameter = sample.parameters.get(shown, {}).get(slot.parameter, slot.parameter)
            if (name, parameter) in parameters:
                parameters[name, parameter] += 1
            for value in slot.value if isinstance(slot.value, list) else [slot.value]:
                if (name, parameter, repr(value)) in values:
                    values[name, parameter, repr(value)] += 1
    rows = []
    for what, counts in (("functions", functions), ("parameters", parameters), ("enum values", values)):
        said = sum(count > 0 for count in counts.values())
        rows.append(
            {
                "what": what,
                "occur": said,
                "all": len(counts),
                "share": said / len(counts) if counts else 1.0,
                "min": min(counts.values(), default=0),
                "max": max(counts.values(), default=0),
            }
        )
    return rows
