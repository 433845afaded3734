"""The price of verification: what is planted is counted, what is kept adds up, complexities do not mix."""

from __future__ import annotations

import itertools

import pytest

from xlam_lib.errors import ProfileError
from xlam_lib.schema import Tool
from xlam_lib.synthesis import LIBRARY, synthesize
from xlam_lib.synthesis.price import COMPLEXITIES, PRICED, blind, complexity, measure


def _tool(**schemas):
    return Tool("f", "", {name: {"type": kind, "required": True} for name, kind in schemas.items()})


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (_tool(), COMPLEXITIES[0]),
        (_tool(a="string", b="integer"), COMPLEXITIES[0]),
        (_tool(a="string", b="integer", c="array"), COMPLEXITIES[1]),
        (_tool(a="string", b="integer", c="array", d="number", e="boolean"), COMPLEXITIES[2]),
        (_tool(a="object"), COMPLEXITIES[3]),
        (Tool("f", "", {"a": {"type": "array", "items": {"type": "object"}}}), COMPLEXITIES[3]),
    ],
)
def test_complexity_counts_parameters_unless_they_nest(tool, expected):
    assert complexity(tool) == expected


def test_every_complexity_occurs_in_the_library():
    assert {complexity(function.tool) for function in LIBRARY.functions.values()} == set(COMPLEXITIES)


def test_planted_errors_are_counted_and_checks_only_take_away():
    found = measure(150, share=0.4, seed=3)
    assert list(found) == list(COMPLEXITIES)
    for states in found.values():
        assert [state.stage for state in states] == ["generation", "format", "execution", "semantic"]
        assert states[0].kept == states[0].asked == 150 and 40 < states[0].wrong < 80
        for before, after in itertools.pairwise(states):
            assert before.kept - after.kept == before.wrong - after.wrong + after.lost
            assert after.seconds >= before.seconds and after.wrong <= before.wrong
        assert states[-1].wrong_share < states[0].wrong_share / 2
        assert states[-1].milliseconds > 0


def test_without_errors_the_checks_lose_little():
    for states in measure(150, share=0.0, seed=4).values():
        assert not any(state.wrong for state in states)
        assert sum(state.lost for state in states) <= 15


def test_planted_samples_are_hidden_from_the_judge():
    samples = list(blind(60, 0, 1.0, LIBRARY, PRICED))
    assert all(sample.slots is None for sample in samples)
    assert sum(bool(sample.planted) for sample in samples) > 50
    result = synthesize(60, samples=samples)
    assert result.funnel.total.fail_format > 5


def test_settings_out_of_range_are_named():
    with pytest.raises(ProfileError, match="share"):
        measure(10, share=2)
    with pytest.raises(ProfileError, match="odd"):
        measure(10, kinds=("odd",))
