"""Samplers that spread over a library, queries that differ, and the measures of both."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import paper
from xlam_lib.errors import ProfileError
from xlam_lib.synthesis import CATEGORIES, FUNCTIONS, Registry, generate, phrasing, semantic_check
from xlam_lib.synthesis.checks import parse_answer
from xlam_lib.synthesis.diversity import (
    coverage,
    distinct,
    hashed,
    masked,
    measure,
    self_bleu,
    tokens_of,
)
from xlam_lib.synthesis.grammar import parse, render, text_of
from xlam_lib.synthesis.sampler import VAGUE
from xlam_lib.synthesis.values import enum, one, prose, whole

SAME = [f"What is the weather in {city}?" for city in ("Oslo", "Rome", "Lima", "Cairo", "Lyon", "Bern")]
VARIED = [
    "Book two seats for tonight's concert, please.",
    "how far is the moon",
    "I'd like 200 dollars in yen.",
    "Sort these: pear, fig and plum!",
    "Who won yesterday?",
    "Could you water my plants while we are in Madrid with the kids?",
]

words = st.lists(st.sampled_from("a b c d e f".split()), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=2, max_size=6))
def test_self_bleu_is_that_of_sacrebleu(split):
    sacrebleu = pytest.importorskip("sacrebleu")
    bleu = sacrebleu.BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(" ".join(query), [" ".join(o) for j, o in enumerate(split) if j != i]).score
        for i, query in enumerate(split)
    ]
    assert self_bleu(split) == pytest.approx(np.mean(scores), abs=1e-6)


def test_each_measure_tells_a_varied_set_from_a_uniform_one():
    same, varied = measure(SAME), measure(VARIED)
    for name in ("distinct_1", "distinct_2", "distinct_3", "spread", "nearest", "template_entropy"):
        assert getattr(varied, name) > getattr(same, name), name
    for name in ("self_bleu", "openings", "largest_template"):
        assert getattr(varied, name) <= getattr(same, name), name
    assert measure(SAME * 5).compression > measure(VARIED).compression
    assert (same.largest_template, same.template_entropy) == (1.0, 0.0)
    assert (varied.largest_template, varied.template_entropy) == (pytest.approx(1 / 6), pytest.approx(1.0))
    assert same.length == 7 and same.length_spread == 0


def test_measures_are_over_equal_amounts_of_text():
    long = [f"{word} {other} again" for word, other in itertools.permutations("abcdefghij", 2)]
    assert measure(long, tokens=50).tokens == 50
    assert distinct([["a", "a"], ["b"]], 1, 2) == 0.5
    assert distinct([["a"], ["b"]], 2) == 0.0
    assert measure(long, seed=1, sample=20) == measure(long, seed=1, sample=20)
    with pytest.raises(ProfileError, match="two or more"):
        measure(["one"])


def test_an_embedder_may_replace_the_hashed_vectors():
    found = measure(["x", "y", "z"], embed=lambda texts: np.eye(len(texts)))
    assert (found.spread, found.nearest) == (pytest.approx(1.0), pytest.approx(1.0))
    assert measure(["x", "x", "x"]).spread == pytest.approx(0.0, abs=1e-6)
    assert hashed(SAME).shape[0] == len(SAME)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Weather in Oslo?", "weather in New York"),
        ("Pay 7.5% of $1,200, please", "Pay 3% of $5, please"),
        ("Say 'good night'.", 'Say "we are here".'),
        ("Mail a.b@c.org and d@e.org now", "Mail x@y.net now"),
        ("What do I owe Tom Reid?", "What do I owe Ana?"),
    ],
)
def test_queries_that_differ_in_values_have_one_form(first, second):
    assert masked(first) == masked(second)
    assert masked(first) != masked("Something else")


def test_functions_take_turns_and_what_is_optional_is_said():
    counts: Counter[str] = Counter()
    for sample in generate(len(CATEGORIES) * 60, seed=8, styles={"simple": 1}, irrelevant=0):
        counts[sample.functions[0]] += 1
    for category in CATEGORIES:
        visits = [counts[name] for name, function in FUNCTIONS.items() if function.category == category]
        assert max(visits) - min(visits) <= 1, category
    rows = {row["what"]: row for row in coverage(generate(4000, seed=8))}
    assert rows["functions"]["share"] == 1 and rows["functions"]["min"] >= 10
    assert rows["parameters"]["share"] > 0.995
    assert rows["enum values"]["share"] > 0.97


def _registry(count: int, kin: str = "", missing: bool = True) -> Registry:
    registry = Registry("toys:TOYS")

    def paint(thing: str, colour: str = "red", coats: int = 1) -> str:
        """Paint a thing.

        thing: What is painted.
        colour: Colour of the paint.
        coats: How many coats.
        """
        return thing

    for number in range(count):
        registry.api(
            "Handicraft",
            f"paint_{number}",
            slots={
                "thing": one(["chair", "door", "fence", "boat"]),
                "colour": enum({"red": "red", "blue": ("blue", "azure"), "green": "green"}),
                "coats": whole(2, 5),
            },
            asks=[
                "Paint a {thing}[ in {colour}][ with {coats} coats]",
                "Give a {thing} {coats} coats of paint",
            ],
            missing=["Paint something in {colour}"] if missing else [],
            kin=kin,
        )(paint)
    return registry


def test_a_library_of_one_function_gives_simple_and_parallel_samples():
    samples = list(generate(200, registry=_registry(1), irrelevant=0.2))
    assert {s.style for s in samples} == {"simple", "parallel", "irrelevant"}
    assert {s.category for s in samples} == {"Handicraft"}
    assert {s.note for s in samples} == {"", "required argument missing"}
    assert all(semantic_check(s) is None for s in samples)
    with pytest.raises(ProfileError, match="need more functions"):
        next(generate(1, registry=_registry(1), styles={"multiple": 1, "parallel_multiple": 2}))
    with pytest.raises(ProfileError, match="irrelevant"):
        next(generate(1, registry=_registry(1, missing=False), irrelevant=1))
    # Functions of one kin never stand side by side, however many there are.
    assert {s.style for s in generate(60, registry=_registry(3, kin="paint"), irrelevant=0)} == {
        "simple",
        "parallel",
    }


def test_templates_and_parameters_take_turns():
    said = [s for s in generate(24, registry=_registry(1), styles={"simple": 1}, irrelevant=0, noise=0)]
    rows = {row["what"]: row for row in coverage(said, _registry(1))}
    assert rows["parameters"] == {
        "what": "parameters", "occur": 3, "all": 3, "share": 1.0,
        "min": rows["parameters"]["min"], "max": 24,
    }  # fmt: skip
    assert rows["parameters"]["min"] >= 3
    assert Counter("coats of paint" in s.query for s in said) == {True: 12, False: 12}


def test_categories_have_the_shares_asked_for():
    found = Counter(s.category for s in generate(1000, category_weights=paper.CATEGORY_SHARES))
    total = sum(paper.CATEGORY_SHARES.values())
    for category, share in paper.CATEGORY_SHARES.items():
        assert abs(found[category] - 1000 * share / total) <= 3, category
    some = list(generate(40, category_weights={"Math": 3, "Music": 1}))
    assert {s.category for s in some} == {"Math", "Music"}
    assert list(generate(10, category_weights={"Math": 3, "Music": 1}, start=30)) == some[30:]
    for bad in ({"Alchemy": 1.0}, {"Math": -1.0}, {"Math": 0.0}, {"Math": float("nan")}):
        with pytest.raises(ProfileError, match="category_weights"):
            next(generate(1, category_weights=bad))


def test_a_value_that_is_only_alluded_to_gives_no_call():
    samples = [s for s in generate(400, irrelevant=1, ambiguous=1, noise=0) if s.note == VAGUE]
    assert len(samples) > 100
    assert len({s.functions[0] for s in samples}) > 40
    for sample in samples:
        assert parse_answer(sample.answer) == [] and sample.slots == []
        assert sample.functions[0] in {sample.names.get(tool.name, tool.name) for tool in sample.tools}
        assert "None" not in sample.query
    assert not any(s.note == VAGUE for s in generate(200, irrelevant=1, ambiguous=0))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9), st.floats(0, 1))
def test_wording_frames_and_noise_keep_every_value(seed, noise):
    rng = random.Random(seed)
    for sample in generate(6, seed=seed, noise=noise, irrelevant=0):
        assert semantic_check(sample) is None
        assert all(slot.text in sample.query for slot in sample.slots or [])
        assert not re.search(r"[^\S\n]{2}|\s[.?!]?$|[.?!] [.?!](?:\s|$)", sample.query), sample.query
    pieces = [("Find the ", False), ("Find the I'm", True), (" as soon as you can", False)]
    for done in (
        phrasing.reworded(pieces, rng),
        phrasing.noise(pieces, rng),
        phrasing.single(pieces, "Alchemy", rng),
    ):
        assert [text for text, slot in done if slot] == ["Find the I'm"]


def test_frames_say_nothing_that_could_be_an_argument():
    rng = random.Random(5)
    for category in (*CATEGORIES, "Alchemy"):
        for _ in range(300):
            text = text_of(phrasing.single([("Do it", False)], category, rng))
            assert not re.search(r"\d|\b(?:today|tomorrow|tonight|January|Monday)\b", text), text


def test_frames_seldom_repeat():
    rng = random.Random(6)
    texts = [text_of(phrasing.single([("Calculate the sum", False)], "Math", rng)) for _ in range(1000)]
    assert len(set(texts)) > 600


def test_neighbouring_optional_parts_trade_places_and_open_the_sentence():
    template = parse("Find rooms in {city}[ for {guests} guests][ under {price} dollars]")
    draws = {"city": one(["Oslo"]), "guests": whole(3, 3, words=False), "price": whole(90, 90)}
    found = {text_of(render(template, draws, {}, random.Random(n), chance=1.0).pieces) for n in range(200)}
    assert found == {
        "Find rooms in Oslo for 3 guests under 90 dollars",
        "Find rooms in Oslo under 90 dollars for 3 guests",
        "For 3 guests, find rooms in Oslo under 90 dollars",
    }
    fixed = parse("Ask {city}[ and {guests} more][, please]. Then wait[ for {price}]")
    assert not fixed.movable and all(node.kind != "group" for node in fixed.nodes)
    said = render(template, draws, {}, random.Random(1), chance=0.0, said={"price"})
    assert text_of(said.pieces) == "Find rooms in Oslo under 90 dollars"


def test_invented_values_seldom_repeat():
    rng = random.Random(1)
    draw = prose()
    drawn = [draw(rng) for _ in range(1000)]
    assert len({value for value, _ in drawn}) >= 950
    assert all(value in text for value, text in drawn)


def test_our_queries_are_about_as_diverse_as_hand_written_ones():
    found = measure([s.query for s in generate(1000, seed=2)])
    assert found.distinct_2 > 0.5 and found.self_bleu < 60 and found.nearest > 0.5
    assert found.openings < 0.15 and found.largest_template < 0.01
    assert tokens_of("I can't: 5%") == ["i", "can't", ":", "5", "%"]
