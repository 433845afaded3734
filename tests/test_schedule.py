"""What each process reads: whole epochs, fair shares, and the same global batches however it is spread."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.errors import TrainingError
from xlam_lib.train import schedule
from xlam_lib.train.schedule import batches_of, coverage, plan


def flat(step) -> list[int]:
    return [example for stream in step for batch in stream for example in batch]


def epochs_of(made) -> dict[int, list]:
    """Epoch number (from 0) to its steps."""
    found: dict[int, list] = {}
    for step, reached in zip(made.steps, made.epochs, strict=True):
        found.setdefault(math.ceil(reached) - 1, []).append(step)
    return found


def mixture(count: int, seed: int = 0, longest: int = 2048) -> tuple[list[int], list[str]]:
    """Skewed lengths and unequal sources, as training sets have them."""
    draw = random.Random(seed)
    lengths = [min(longest, 20 + int(draw.lognormvariate(6, 0.6))) for _ in range(count)]
    return lengths, draw.choices(["agent", "synthetic", "talk"], [60, 30, 10], k=count)


@st.composite
def arguments(draw):
    count = draw(st.integers(1, 60))
    lengths = draw(st.lists(st.integers(1, 50), min_size=count, max_size=count))
    sources = draw(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=count, max_size=count))
    keywords = {
        "streams": draw(st.integers(1, 6)),
        "batch_size": draw(st.integers(1, 5)),
        "accumulation": draw(st.integers(1, 4)),
        "epochs": draw(st.sampled_from([0.01, 0.5, 1.0, 1.3, 2.0, 3.0])),
        "seed": draw(st.integers(0, 5)),
        "batch_tokens": draw(st.sampled_from([0, 50, 120])),
    }
    return lengths, sources, keywords


@given(arguments())
@settings(max_examples=100, deadline=None)
def test_every_whole_epoch_reads_each_example_exactly_once(drawn):
    lengths, sources, keywords = drawn
    made = plan(lengths, sources, **keywords)
    every = list(range(len(lengths)))
    found = epochs_of(made)
    for number, steps in found.items():
        read = sorted(chain.from_iterable(map(flat, steps)))
        if number < int(keywords["epochs"]):
            assert read == every
        else:  # the part of an epoch that a fraction asks for
            assert len(set(read)) == len(read)
    assert made.examples == len(lengths)
    # It ends with the first step that reaches the epochs asked for, as the same steps of a longer plan do.
    assert (0.0, *made.epochs)[-2] < keywords["epochs"] <= made.epochs[-1] + 1e-6
    longer = plan(lengths, sources, **{**keywords, "epochs": keywords["epochs"] + 1})
    assert longer.steps[: len(made.steps)] == made.steps
    assert longer.epochs[: len(made.steps)] == made.epochs


@given(arguments())
@settings(max_examples=100, deadline=None)
def test_the_shape_of_a_step(drawn):
    lengths, sources, keywords = drawn
    made = plan(lengths, sources, **keywords)
    for step in made.steps:
        assert len(step) == made.streams == keywords["streams"]
        assert all(len(stream) == keywords["accumulation"] for stream in step)
        assert flat(step)
        for batch in chain.from_iterable(step):
            if keywords["batch_tokens"]:
                assert sum(lengths[k] for k in batch) <= keywords["batch_tokens"]
            else:
                assert len(batch) <= keywords["batch_size"]
    for steps in epochs_of(made).values():
        for stream in range(made.streams):
            sizes = [len(batch) for step in steps for batch in step[stream]]
            assert 0 not in sizes[: sum(map(bool, sizes))]  # empty ones stand at the epoch's end


@given(arguments())
@settings(max_examples=100, deadline=None)
def test_any_number_of_processes_reads_the_same_global_batches(drawn):
    lengths, sources, keywords = drawn
    made = plan(lengths, sources, **keywords)
    streams = keywords["streams"]
    for processes in (p for p in range(1, streams + 1) if streams % p == 0):
        own = [batches_of(made, rank, processes) for rank in range(processes)]
        each = streams // processes * keywords["accumulation"]
        assert {len(batches) for batches in own} == {each * len(made.steps)}
        for number, step in enumerate(made.steps):
            here = [batches[number * each : (number + 1) * each] for batches in own]
            assert list(chain.from_iterable(here)) == list(chain.from_iterable(step))


@given(arguments())
@settings(max_examples=100, deadline=None)
def test_every_stream_has_its_share_of_every_source(drawn):
    lengths, sources, keywords = drawn
    made = plan(lengths, sources, **{**keywords, "epochs": 2.0})
    parts = []
    for steps in epochs_of(made).values():
        parts.append([sorted(k for step in steps for b in step[s] for k in b) for s in range(made.streams)])
    assert parts[0] == parts[1]  # the partition is the same in each epoch
    sizes = [len(part) for part in parts[0]]
    assert max(sizes) - min(sizes) <= 1
    for source in set(sources):
        counts = [sum(sources[k] == source for k in part) for part in parts[0]]
        assert max(counts) - min(counts) <= 1


@given(arguments())
@settings(max_examples=50, deadline=None)
def test_the_same_arguments_give_the_same_plan(drawn):
    lengths, sources, keywords = drawn
    assert plan(lengths, sources, **keywords) == plan(tuple(lengths), tuple(sources), **keywords)


def test_the_plan_is_the_same_everywhere():
    lengths, sources = [7 * k % 41 + 1 for k in range(900)], ["abc"[k * k % 3] for k in range(900)]
    made = plan(lengths, sources, streams=3, batch_size=4, accumulation=2, epochs=2, seed=7, batch_tokens=90)
    digest = hashlib.sha256(json.dumps(made.steps).encode()).hexdigest()
    assert digest == "2971e151f5f0dae0bcbb2485062a3044e24abba0f012b90fc954b17dc7688058"


def test_streams_epochs_and_seeds_have_orders_of_their_own():
    # Of one source whose lengths all differ each stream is dealt one of every four, from short to long. So
    # two streams that shuffled alike would read examples of the same ranks in the same order.
    lengths, sources = list(range(1, 401)), ["a"] * 400
    made = plan(lengths, sources, streams=4, batch_size=1, epochs=2)
    ranks = set()
    for steps in epochs_of(made).values():
        for stream in range(4):
            order = [k for step in steps for batch in step[stream] for k in batch]
            place = {example: rank for rank, example in enumerate(sorted(order))}
            ranks.add(tuple(place[example] for example in order))
    assert len(ranks) == 8
    first, other = (plan(lengths, sources, streams=4, batch_size=1, seed=seed).steps for seed in (0, 1))
    assert first == made.steps[:100]
    parts = [{k for step in steps for batch in step[0] for k in batch} for steps in (first, other)]
    assert parts[0] != parts[1]


def test_a_stream_reads_its_part_in_random_order():
    # Neither index nor length may tell when an example is read.
    lengths, sources = mixture(4000)
    for batch_tokens in (0, 4096):
        made = plan(lengths, sources, batch_size=1, batch_tokens=batch_tokens)
        order = list(chain.from_iterable(map(flat, made.steps)))
        half = order[:2000]
        assert sum(half) / 2000 == pytest.approx(1999.5, rel=0.05)
        assert sum(lengths[k] for k in half) == pytest.approx(sum(lengths) / 2, rel=0.05)


@given(st.integers(0, 100), st.integers(0, 299), st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_any_stretch_of_an_epoch_has_the_shares_of_the_whole(seed, start, length):
    _, sources = mixture(600, seed)
    shares = {source: count / 600 for source, count in Counter(sources).items()}
    made = plan([1] * 600, sources, streams=2, batch_size=1, seed=seed)
    for stream in range(2):
        order = [k for step in made.steps for batch in step[stream] for k in batch]
        stretch = Counter(sources[k] for k in order[start : start + length])
        for source, share in shares.items():
            # Evenly spaced readings of three sources: off by one of its own and its share of the others'.
            assert abs(stretch[source] - share * stretch.total()) <= 2 + share * len(shares)


def test_packing_fills_micro_batches_and_keeps_close_to_the_shuffled_order():
    lengths, sources = mixture(8000)
    for room, least in ((2048, 0.985), (4096, 0.99), (8192, 0.99)):
        made = plan(lengths, sources, batch_size=1, batch_tokens=room)
        batches = batches_of(made, 0, 1)
        assert sum(lengths) / (len(batches) * room) >= least
        # With batch_size=1 the same seed gives the order before packing.
        before = [k for batch in batches_of(plan(lengths, sources, batch_size=1), 0, 1) for k in batch]
        place = {example: k for k, example in enumerate(before)}
        after = list(chain.from_iterable(batches))
        assert sorted(after) == list(range(8000))
        window = schedule.WINDOW * room / (sum(lengths) / len(lengths))
        assert max(abs(place[example] - k) for k, example in enumerate(after)) < 2.5 * window
        full = [sum(lengths[k] for k in batch) for batch in batches[: schedule.WINDOW - 1]]
        assert full != sorted(full, reverse=True)  # a window is not read as best fit leaves it
        tenth = len(after) // 10
        for start in range(0, 10 * tenth, tenth):
            agents = sum(sources[k] == "agent" for k in after[start : start + tenth])
            assert agents / tenth == pytest.approx(0.6, abs=0.05)


def test_streams_need_about_as_many_micro_batches_as_one_another():
    lengths, sources = mixture(2000)
    made = plan(lengths, sources, streams=8, batch_size=1, batch_tokens=2048)
    counts = [sum(bool(batch) for step in made.steps for batch in step[s]) for s in range(8)]
    assert max(counts) - min(counts) <= 2


def test_a_fraction_of_an_epoch_ends_after_that_part_of_its_steps():
    lengths, sources = [1] * 30, ["a"] * 30

    def steps(epochs: float):
        return plan(lengths, sources, batch_size=1, epochs=epochs).steps

    assert [len(steps(e)) for e in (0.001, 0.1, 0.11, 1, 1.5, 2.1, 30.1)] == [1, 3, 4, 30, 45, 63, 903]
    assert plan(lengths, sources, batch_size=1, epochs=1.1).epochs[-3:] == (1 + 1 / 30, 1 + 2 / 30, 1.1)
    assert steps(2.1) == steps(3)[:63]


def test_coverage_counts_what_an_epoch_reads_misses_and_repeats():
    made = plan([1] * 10, ["a"] * 10, streams=3, batch_size=1, epochs=1.5)
    whole, part = coverage(made)
    assert (whole.epoch, whole.read, whole.missed, whole.repeated) == (1, 10, 0, 0)
    assert sorted(whole.by_stream) == [3, 3, 4]
    assert (part.epoch, part.read, part.missed, part.repeated) == (2, 6, 4, 0)
    wrong = schedule.Plan(((((0, 1), (1,)),),), (1.0,), 1, 4)
    assert coverage(wrong) == [schedule.Coverage(1, 2, 2, 1, (3,))]


def test_more_streams_than_examples_leave_some_empty():
    made = plan([5, 5], ["a", "b"], streams=4, batch_size=8)
    assert made.steps == ((((0,),), ((1,),), ((),), ((),)),) and coverage(made)[0].missed == 0


@pytest.mark.parametrize(
    ("lengths", "changes", "message"),
    [
        ([], {}, "no examples"),
        ([1, 2, 3], {}, "3 lengths but 2 sources"),
        ([1, 2], {"streams": 0}, "streams is 0"),
        ([1, 2], {"batch_size": 0}, "batch_size is 0"),
        ([1, 2], {"accumulation": -1}, "accumulation is -1"),
        ([1, 2], {"epochs": 0}, "epochs is 0"),
        ([1, 2], {"epochs": float("nan")}, "epochs is nan"),
        ([1, 2], {"epochs": float("inf")}, "epochs is inf"),
        ([1, 2], {"batch_tokens": -5}, "batch_tokens is -5"),
        (
            [10, 1200],
            {"batch_tokens": 1000},
            r"example 1 \(b\) has 1,200 tokens.*raise batch_tokens to 1,200",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(lengths, changes, message):
    sources = ["a", "b"] if lengths else []
    with pytest.raises(TrainingError, match=message):
        plan(lengths, sources, **{"batch_size": 2, **changes})


def test_processes_that_do_not_divide_the_streams_are_refused():
    made = plan([1, 2], ["a", "b"], streams=4, batch_size=1)
    for rank, processes, message in (
        (0, 3, "4 streams"),
        (0, 8, "4 streams"),
        (4, 4, "rank 4"),
        (0, 0, "4 st"),
    ):
        with pytest.raises(TrainingError, match=message):
            batches_of(made, rank, processes)


# One of two processes. It prints what it read: as an iterable set whose order comes from its own rank, the
# way the training scripts published with the models do, prepared by accelerate; and by our plan.
PROCESS = """
import json, random, sys
from datetime import timedelta
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch.utils.data import DataLoader, IterableDataset
from xlam_lib.train.schedule import batches_of, plan

rank, store, examples = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
)

class Seeded(IterableDataset):
    def __iter__(self):
        order = list(range(examples))
        random.Random(rank).shuffle(order)
        return iter([torch.tensor([rank, example]) for example in order])

def read(dispatch):
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=dispatch))
    assert accelerator.num_processes == 2
    loader = accelerator.prepare(DataLoader(Seeded(), batch_size=4))
    return [pair for batch in loader for pair in batch.tolist()]

made = plan([1] * examples, ["a"] * examples, streams=2, batch_size=4)
loader = DataLoader(range(examples), batch_sampler=batches_of(made, rank, 2))
ours = [example for batch in loader for example in batch.tolist()]
print(json.dumps({"default": read(None), "no_dispatch": read(False), "ours": ours}))
torch.distributed.destroy_process_group()
"""


def test_what_each_rank_reads_with_accelerates_dispatching_and_with_the_plan(root, tmp_path):
    examples = 64
    # What a launcher sets, and nothing of a launcher that may be running this test.
    launcher = ("ACCELERATE_", "FSDP_", "MASTER_", "SLURM_", "OMPI_", "PMI_", "TORCHELASTIC_")
    outside = {key: value for key, value in os.environ.items() if not key.startswith(launcher)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "store"), str(examples)],
            env=outside
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
            | {"OMP_NUM_THREADS": "1"},
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], [error[-2000:] for _, error in outputs]
    ranks = [json.loads(out.splitlines()[-1]) for out, _ in outputs]

    # The default: rank 0 alone reads, for both. The other rank's seed has no effect.
    default = [rank["default"] for rank in ranks]
    assert {stream for read in default for stream, _ in read} == {0}
    assert sorted(example for read in default for _, example in read) == list(range(examples))
    # Without dispatching each rank reads its own order, but takes only every second batch of it. Each order
    # being another, some examples are read twice and as many are missed.
    apart = [rank["no_dispatch"] for rank in ranks]
    assert [{stream for stream, _ in read} for read in apart] == [{0}, {1}]
    both = Counter(example for read in apart for _, example in read)
    assert both.total() == examples and 0 < examples - len(both) == sum(n - 1 for n in both.values())
    # By the plan each rank reads a stream of its own, and both together the epoch.
    made = plan([1] * examples, ["a"] * examples, streams=2, batch_size=4)
    for number, rank in enumerate(ranks):
        assert rank["ours"] == list(chain.from_iterable(batches_of(made, number, 2)))
    assert sorted(ranks[0]["ours"] + ranks[1]["ours"]) == list(range(examples))
