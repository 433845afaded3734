"""Figures of agents' episodes."""

from __future__ import annotations

import pytest

from tests.test_agents import Buttons
from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments.core import Task
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate import agents


def test_an_oracles_figures_and_a_random_agents():
    found = agents.score(Buttons(), run(Buttons(), Oracle(Buttons())))
    assert (found.solved, found.tasks, found.success, found.progress) == (3, 3, 1.0, 1.0)
    assert found.interval[0] < 0.5 < found.interval[1] == 1.0 and found.steps == 3
    assert found.ended == {"done": 3} and found.errors == {}
    assert agents.row(found)["success %"].startswith("100 [")
    random = agents.score(Buttons(), run(Buttons(), Random()))
    assert random.progress < 1 and random.success <= random.progress


def test_another_judgement_counts_in_place_of_the_environments():
    episodes = run(Buttons(), Oracle(Buttons()))
    assert agents.score(Buttons(), episodes, [True, False, False]).solved == 1
    with pytest.raises(ProfileError, match="1 judgements for 3 episodes"):
        agents.score(Buttons(), episodes, [True])
    with pytest.raises(ProfileError, match="no episode"):
        agents.score(Buttons(), [])


def test_a_larger_sample_contains_a_smaller_one():
    tasks = [Task(f"t/{n}", "", []) for n in range(40)]
    small, large = (agents.sample(tasks, count, 3) for count in (5, 20))
    assert len(small) == 5 and [t for t in large if t in small] == small
    assert agents.sample(tasks, 99, 0) == tasks
    with pytest.raises(ProfileError, match="at least 1"):
        agents.sample(tasks, 0, 0)
