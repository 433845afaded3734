"""Two arms to try a request on: as many examples, other samples, none that is too long."""

from __future__ import annotations

import pytest

from xlam_lib import diagnose
from xlam_lib.errors import ProfileError


@pytest.fixture(scope="module")
def request_() -> diagnose.Request:
    styles = {"simple": 1.0, "multiple": 1.0, "parallel": 1.0, "parallel_multiple": 1.0}
    return diagnose.Request(styles, {}, {"date": 20.0, "enum": 0.0}, [])


def arms(request_, count=30, limit=2500, seed=3):
    return diagnose.make_arms(request_, count, len, seed=seed, style="plain", limit=limit)


def test_both_arms_have_as_many_and_the_second_what_was_asked_for(request_):
    made = arms(request_)
    assert list(made) == [diagnose.SAME, diagnose.ASKED]
    for arm in made.values():
        assert len(arm.samples) == len(arm.examples) == 30
        assert all(len(one.prompt) + len(one.answer) <= 2500 for one in arm.examples)
        assert [one.id.split("#")[0] for one in arm.examples] == [
            one.unique_trajectory_id for one in arm.samples
        ]
    dated = {name: sum("date" in diagnose.features(s) for s in arm.samples) for name, arm in made.items()}
    assert dated[diagnose.ASKED] > 2 * dated[diagnose.SAME]
    assert arms(request_) == made != arms(request_, seed=4)


def test_samples_that_are_too_long_are_passed_over_and_too_few_are_an_error(request_):
    with pytest.raises(ProfileError, match="0 of 5 examples have at most 100 tokens; raise the limit"):
        arms(request_, 5, 100)
    with pytest.raises(ProfileError, match="at least 1"):
        arms(request_, 0)
