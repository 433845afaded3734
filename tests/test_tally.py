"""The order of counts, and draws that depend on ids alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xlam_lib.tally import by_frequency, place


@given(st.lists(st.text(max_size=2)))
def test_counts_stand_by_frequency_and_then_by_name(names):
    found = by_frequency(names)
    assert found == Counter(names) == by_frequency(Counter(names))
    assert list(found.items()) == sorted(found.items(), key=lambda item: (-item[1], item[0]))


@given(st.sets(st.text(max_size=5), min_size=2), st.integers(), st.data())
def test_a_draw_depends_on_seed_and_id_alone(ids, seed, data):
    some = data.draw(st.sets(st.sampled_from(sorted(ids))))
    whole = sorted(ids, key=lambda identity: place(seed, identity))
    assert sorted(some, key=lambda identity: place(seed, identity)) == [i for i in whole if i in some]


def test_seeds_draw_otherwise_and_each_draw_is_for_ever():
    ids = [str(number) for number in range(50)]
    first, second = (sorted(ids, key=lambda identity, s=seed: place(s, identity)) for seed in (0, 1))
    assert first != second
    assert place(0, "a").hex()[:12] == "d3216b8dc7c4"
