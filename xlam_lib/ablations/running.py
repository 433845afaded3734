"""Training and measuring the arms one by one, with a plan, a budget of time, and results that are kept.

A *unit* is one arm with one seed. Each leaves one JSON file, written whole or not at all, and a unit whose
file is there and has the right fingerprint is not done again. The fingerprint is made of the unit's examples
and probes, the base model, the settings, and the code that trains and measures.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xlam_lib.ablations.arms import Arm, build
from xlam_lib.ablations.material import BFCL, OWN_LAYOUT, Material
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate import bfcl
from xlam_lib.mixture import Example
from xlam_lib.prompts import messages
from xlam_lib.records import hash_file, read_json, write_json

if TYPE_CHECKING:  # torch is brought in by the first training
    from xlam_lib.train.sft import Settings as Training

PACKAGE = Path(__file__).parents[1]
# What a result depends on beside its examples and probes, which are hashed as texts.
CODE = ("ablations/running.py", "train/sft.py", "train/common.py", "train/data.py", "train/schedule.py",
        "train/attention.py", "train/head.py", "inference.py", "generation.py", "evaluate/bfcl.py",
        "evaluate/official.py")  # fmt: skip
_FORWARD = 8  # examples a batch of a pass that only measures
# Shares of a second that things take before this machine has been measured: tokens trained on and read, and
# answers. They are those of two quiet CPU cores, and are replaced by what the first unit took.
_GUESS = {"trained": 200.0, "read": 900.0, "answers": 1.0}


class Scores(msgspec.Struct, frozen=True):
    """An arm's answers to a probe, one value a probe's example in each list.

    ``loss`` is the mean negative log-likelihood of the right answer's tokens, in nats; ``right`` the share of
    them that the model would choose itself; ``exact`` whether it would choose all of them, which greedy
    decoding would then write. ``valid`` is the judge's verdict on written answers, where any were written.
    """

    ids: list[str]
    loss: list[float]
    right: list[float]
    exact: list[bool]
    valid: list[bool] = []


class Result(msgspec.Struct, frozen=True):
    """What came of one unit: how much it was trained on (tokens as trained), and its scores by probe.

    ``seconds`` is what training and measuring took together; 0 where it was not noted.
    """

    arm: str
    seed: int
    fingerprint: str
    examples: int
    distinct: int
    tokens: int
    answer_tokens: int
    steps: int
    scores: dict[str, Scores]
    seconds: float = 0.0


@dataclass(frozen=True)
class Setup:
    """How every unit is trained and asked.

    Attributes
    ----------
    base
        Folder of the model that all arms start from.
    training
        Settings of the fine-tuning; its seed is added to each unit's.
    launch
        A configuration of ``profiles/launch``, or empty for this process.
    answer_tokens, answer_batch
        The longest answer to a question of BFCL, and how many are asked at once.
    """

    base: Path
    training: Training
    launch: str = ""
    answer_tokens: int = 112
    answer_batch: int = 64


@dataclass(frozen=True)
class Unit:
    """One arm with one seed: its examples, what it is measured on, and its fingerprint."""

    arm: Arm
    seed: int
    examples: list[Example]
    fingerprint: str

    @property
    def file(self) -> str:
        """The name of its result."""
        return f"{self.arm.name.replace(' ', '-')}-{self.seed}.json"


@dataclass
class Pace:
    """How fast this machine trains, reads and answers; measured on the units that it has done."""

    done: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_GUESS, 0.0))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_GUESS, 0.0))

    def add(self, what: str, number: float, seconds: float) -> None:
        """Note that ``number`` of something took so many seconds."""
        self.done[what] += number
        self.seconds[what] += seconds

    def rate(self, what: str) -> float:
        """So many a second."""
        return self.done[what] / self.seconds[what] if self.seconds[what] else _GUESS[what]

    @property
    def measured(self) -> bool:
        """Whether a unit was trained, so that nothing is guessed."""
        return self.seconds["trained"] > 0


@dataclass(frozen=True)
class Outcome:
    """Results in the order of the units, and the units that the budget left no time for."""

    results: list[Result]
    not_run: list[Unit]
    seconds: float


def units(arms: Sequence[Arm], seeds: int, material: Material, setup: Setup) -> list[Unit]:
    """Every arm with the first seed, then every arm with the next: a run that ends early has each arm once.

    Raises
    ------
    ProfileError
        No arm or no seed, or the run has too little for an arm.
    """
    if not arms or seeds < 1:
        raise ProfileError(f"ablations: {len(arms)} arms with {seeds} seeds; give at least one of each")
    common = _digest(asdict(setup) | {"base": _model(setup.base)}, _code(), *_probed(material))
    found = []
    for seed in range(seeds):
        for arm in arms:
            examples = build(arm, material, setup.training.seed + seed)
            found.append(Unit(arm, seed, examples, _digest(common, arm.name, seed, examples)))
    return found


def _probed(material: Material) -> list[Any]:
    return [*(probe.examples for probe in material.probes.values()), material.questions]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode([_plain(part) for part in parts])).hexdigest()[:16]


def _plain(part: Any) -> Any:
    return msgspec.to_builtins(part, enc_hook=str)


def _code() -> dict[str, str]:
    return {name: hash_file(PACKAGE / name) for name in CODE}


def _model(folder: Path) -> str:
    """A checkpoint by its configuration and its files' names and sizes: to hash weights would take long."""
    files = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.is_file())
    return f"{hash_file(folder / 'config.json')} {files}"


def plan(
    work: Iterable[Unit], material: Material, pace: Pace, done: Iterable[Result] = ()
) -> list[dict[str, Any]]:
    """One row an arm: its seeds, examples, tokens a training, and the seconds that its units yet take."""
    finished = {(result.arm, result.seed) for result in done}
    table: dict[str, dict[str, Any]] = {}
    for unit in work:
        row = table.setdefault(
            unit.arm.name,
            {"arm": unit.arm.name, "seeds": 0, "done": 0, "examples": len(unit.examples),
             "tokens a training": sum(map(material.tokens, unit.examples)), "seconds left": 0},
        )  # fmt: skip
        row["seeds"] += 1
        if (unit.arm.name, unit.seed) in finished:
            row["done"] += 1
        else:
            row["seconds left"] += round(seconds_of(unit, material, pace))
    return list(table.values())


def seconds_of(unit: Unit, material: Material, pace: Pace) -> float:
    """About how long a unit takes at this pace."""
    trained = sum(map(material.tokens, unit.examples))
    read = sum(sum(map(material.tokens, probe.examples)) for probe in probes_of(unit.arm, material))
    answers = len(material.questions)
    work = {"trained": trained, "read": read, "answers": answers}
    return sum(number / pace.rate(what) for what, number in work.items())


def probes_of(arm: Arm, material: Material) -> list[Any]:
    """What an arm is measured on: all probes, the sources' own layouts only where it was trained in them."""
    return [
        probe
        for name, probe in material.probes.items()
        if probe.examples and (name != OWN_LAYOUT or arm.name == "raw")
    ]


def read_results(work: Iterable[Unit], folders: Sequence[Path]) -> list[Result]:
    """The results of these units that stand in one of the folders and still hold, in the units' order."""
    found = []
    for unit in work:
        for folder in folders:
            path = folder / unit.file
            if path.exists():
                result = read_json(path, Result)
                if result.fingerprint == unit.fingerprint:
                    found.append(result)
                    break
    return found


def run(
    work: Sequence[Unit],
    material: Material,
    setup: Setup,
    folder: Path,
    *,
    earlier: Sequence[Path] = (),
    hours: float | None = None,
    most: int | None = None,
    pace: Pace | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> Outcome:
    """Do the units whose result is not there yet, in order, and write each to ``folder`` when it is done.

    Parameters
    ----------
    earlier
        Folders that may hold results of an earlier run; those that still hold are copied and not done again.
    hours
        No unit is begun that would not end within so many hours of this call, unless there is no result yet.
    most
        Units to do in this call, at most.
    pace
        Is added to; what a unit will take is estimated from it.
    report
        Called with (units done, units, what is at work).
    """
    pace = pace or Pace()
    started = time.time()
    results = {(r.arm, r.seed): r for r in read_results(work, [folder, *earlier])}
    for unit in work:  # so that one folder holds them all
        if (result := results.get((unit.arm.name, unit.seed))) and not (folder / unit.file).exists():
            write_json(folder / unit.file, result)
    new, not_run = 0, []
    for unit in work:
        if (unit.arm.name, unit.seed) in results:
            continue
        spent = time.time() - started
        late = hours is not None and spent + seconds_of(unit, material, pace) > 3600 * hours
        if (late and results) or (most is not None and new >= most):
            not_run.append(unit)
            continue
        done = len(results)

        def told(step: int, steps: int, note: str, done: int = done, unit: Unit = unit) -> None:
            if report:
                report(done, len(work), f"{unit.arm.name}, seed {unit.seed}: {step}/{steps} {note}")

        result = do(unit, material, setup, folder / ".work", pace, told)
        write_json(folder / unit.file, result)
        results[unit.arm.name, unit.seed] = result
        new += 1
    if report:
        report(len(results), len(work), f"{len(not_run)} not run" if not_run else "")
    ordered = [results[unit.arm.name, unit.seed] for unit in work if (unit.arm.name, unit.seed) in results]
    return Outcome(ordered, not_run, time.time() - started)


def do(
    unit: Unit,
    material: Material,
    setup: Setup,
    folder: Path,
    pace: Pace,
    report: Callable[[int, int, str], None] | None = None,
) -> Result:
    """Train one unit and measure it; ``folder`` holds its checkpoint meanwhile and is emptied."""
    from xlam_lib.train import job

    started = time.time()
    shutil.rmtree(folder, ignore_errors=True)
    training = replace(setup.training, seed=setup.training.seed + unit.seed)
    outcome = job.fine_tune(
        setup.base, unit.examples, [], folder / "model", folder / "early", folder / "training", training,
        report, setup.launch,
    )  # fmt: skip
    if outcome.over_long:
        raise ProfileError(
            f"arm {unit.arm.name}: {outcome.over_long} examples are longer than max_tokens="
            f"{training.max_tokens}, so arms would differ in number; raise it"
        )
    pace.add("trained", outcome.tokens, outcome.seconds)
    scores = measured(folder / "model", unit, material, setup, pace, report)
    result = Result(
        arm=unit.arm.name,
        seed=unit.seed,
        fingerprint=unit.fingerprint,
        examples=outcome.examples,
        distinct=len({example.id for example in unit.examples}),
        tokens=outcome.tokens,
        answer_tokens=outcome.answer_tokens,
        steps=outcome.steps,
        scores=scores,
        seconds=round(time.time() - started, 1),
    )
    shutil.rmtree(folder, ignore_errors=True)
    return result


def measured(
    model: Path,
    unit: Unit,
    material: Material,
    setup: Setup,
    pace: Pace,
    report: Callable[[int, int, str], None] | None = None,
) -> dict[str, Scores]:
    """The scores of a trained model on the probes of its arm."""
    found = _forward(model, unit, material, setup, pace)
    if material.questions:
        asked = material.questions
        started = time.time()
        answers = _answers(model, material, setup, report)
        verdicts = bfcl.judge_all(list(zip(answers, asked, strict=True)))
        pace.add("answers", len(asked), time.time() - started)
        # By the strict rule: an answer that cannot be read is no proof of restraint.
        valid = {verdict.id: verdict.strict for verdict in verdicts}
        scores = found[BFCL]
        found[BFCL] = msgspec.structs.replace(scores, valid=[valid[identity] for identity in scores.ids])
    return found


def _forward(folder: Path, unit: Unit, material: Material, setup: Setup, pace: Pace) -> dict[str, Scores]:
    """Losses of the right answers, in passes that write nothing."""
    from xlam_lib.inference import best_device
    from xlam_lib.train import common, data, sft

    model, tokenizer = common.load(folder)
    model = sft.ready(model.to(best_device()).eval())
    packing = best_device().type != "cpu"
    found: dict[str, Scores] = {}
    started, read = time.time(), 0
    for probe in probes_of(unit.arm, material):
        rows = data.encode(tokenizer, probe.examples, 4 * setup.training.max_tokens)
        order = sorted(range(len(rows)), key=lambda n: rows.lengths[n])
        loss, right, exact = ([0.0] * len(rows) for _ in range(3))
        for first in range(0, len(order), _FORWARD):
            batch = order[first : first + _FORWARD]
            for number, (total, labelled, chosen) in zip(
                batch, sft.scores(model, tokenizer, rows, batch, packing).tolist(), strict=True
            ):
                loss[number] = round(total / labelled, 6)
                right[number] = round(chosen / labelled, 6)
                exact[number] = chosen == labelled
        found[probe.name] = Scores(list(rows.ids), loss, right, [bool(value) for value in exact])
        read += sum(rows.lengths)
    pace.add("read", read, time.time() - started)
    return found


def _answers(
    folder: Path, material: Material, setup: Setup, report: Callable[[int, int, str], None] | None
) -> list[str]:
    from xlam_lib.inference import LocalModel, generate

    style = material.settings.style
    chats = [messages(bfcl.trajectory(question), style, length="brief") for question in material.questions]
    answers = generate(
        chats,
        LocalModel.load(folder),
        max_new_tokens=setup.answer_tokens,
        batch_size=setup.answer_batch,
        progress=(lambda done, total: report(done, total, "answers")) if report else None,
    )
    return [answer.text for answer in answers]
