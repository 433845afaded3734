"""What one GPU does with these trainings: its matrix rate, checks of its kernels, speeds, memory, a real run.

``python -m xlam_lib bench gpu [PART ...] [--seconds N] [--out FILE]`` runs all parts, or those named, within
N seconds (540) and merges what they find into ``xlam_lib/data/gpu.json``, where the planner reads it:

- ``rate``: the rate of bf16 matrix products that this GPU really reaches;
- ``check``: packed rows and the fused head against separate examples and plain logits, loss and gradients;
- ``1b``, ``7b``: full fine-tuning of the 1.3B and 7B shapes of DeepSeek, weights and AdamW in float32;
- ``8x7b``: LoRA on the shape of Mixtral-8x7B, its base in bfloat16;
- ``embedded``: the embedded model trained on as many verified samples as the time allows, or on ``--data``
  (JSON Lines, as chapter 5 writes them); ``--save FOLDER`` keeps the adapter (``--method full``: the model).

The shapes are made on the GPU with random weights and trained by :func:`xlam_lib.train.sft.fit` on packed
rows of random tokens: speed depends on shapes and lengths alone. A part shares the time that is left evenly
with those after it, begins nothing that it cannot finish, and writes each result at once, so that a call
which is cut off loses one result at most.

``--tiny`` rehearses everything with tiny models, on a CPU too; it measures nothing and wants ``--out``.

A row of the file has, beside its settings: ``utilisation``, executed FLOPs as a share of the data sheet's
rate (what the planner multiplies with; recomputation counts); ``of_measured_rate``, the model's own FLOPs,
without recomputation, as a share of the measured matrix rate; bytes at the peak, and what the planner
foresaw. A shape that does not fit has an ``error``, and ``None`` for what was not measured.
"""

from __future__ import annotations

import argparse
import copy
import gc
import math
import os
import shlex
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlam_lib import __version__, assets, mixture, models
from xlam_lib.bench.train import matrix_rate
from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.inference import best_device, best_dtype
from xlam_lib.mixture import Example
from xlam_lib.models import SERIES, Model
from xlam_lib.records import read_json, read_jsonl, write_json
from xlam_lib.runs import hardware
from xlam_lib.synthesis import synthesize
from xlam_lib.train import attention, common, data, planner, schedule, sft

_TINY_VOCABULARY = 512
_Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One way to train a shape: tokens of a micro-batch, and whether activations are recomputed."""

    micro_tokens: int
    recompute: bool


# The most promising first: what comes later may find no time.
TRIALS: dict[str, tuple[str, str, tuple[Trial, ...]]] = {
    "1b": (
        "xLAM-1b-fc-r",
        "full",
        (Trial(16_384, False), Trial(32_768, False), Trial(32_768, True), Trial(8192, False)),
    ),
    "7b": ("xLAM-7b-fc-r", "full", (Trial(16_384, True), Trial(32_768, True), Trial(4096, False))),
    "8x7b": ("xLAM-8x7b-r", "lora", (Trial(16_384, True), Trial(32_768, True), Trial(8192, True))),
}


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Sides of the measured matrices and seconds for each; steps that warm up and that are measured; lengths of
    the random examples (uniform between the two); by what a trial's tokens are divided; trials of a shape;
    tokens of the checked examples; the embedded model's first round of samples, held-out examples and tokens
    of a micro-batch.
    """

    matrices: tuple[int, ...] = (4096, 8192, 16_384)
    matrix_seconds: float = 3.0
    warm: int = 3
    steps: int = 9
    shortest: int = 256
    longest: int = 1792
    divisor: int = 1
    trials: int = 4
    checked: tuple[int, ...] = (5, 700, 1, 130, 333, 64)
    samples: int = 500
    held: int = 300
    micro_tokens: int = 16_384


TINY = Sizes((64,), 0.05, 1, 1, 4, 28, 256, 1, (5, 14, 1, 8), 12, 3, 4096)


class Results:
    """The file that results are merged into, written anew after each."""

    def __init__(self, path: Path, command: str, tiny: bool) -> None:
        device = best_device()
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        head: _Row = {"device": name, "tiny": True} if tiny else {"device": name}
        self.path, self.command = path, command
        self.found: _Row = read_json(path, dict[str, Any]) if path.exists() else {"rows": []}
        before = {key: self.found[key] for key in ("device", "tiny") if key in self.found}
        if before and before != head:
            raise ProfileError(
                f"{path} holds results of {before}, these would be of {head}; name another file with --out"
            )
        self.found = head | self.found | {"hardware": hardware(), "torch": str(torch.__version__)}
        if tiny:
            self.found["note"] = "a rehearsal with tiny models: these figures measure nothing"

    def put(self, part: str, value: _Row) -> None:
        """Write what a part found in place of what it found before."""
        self.found[part] = value | {"command": self.command, "version": __version__}
        write_json(self.path, self.found)

    def add(self, row: _Row) -> None:
        """Write a row in place of the one with the same settings; a model's fastest row stays first."""
        settings = ("part", "model", "method", "micro_tokens", "recompute")
        row = row | {"command": self.command, "version": __version__}
        others = [old for old in self.found["rows"] if any(old[key] != row[key] for key in settings)]
        self.found["rows"] = sorted(
            [*others, row], key=lambda r: (r["model"], r["method"], -(r["tokens_per_second"] or 0))
        )
        write_json(self.path, self.found)


@dataclass(frozen=True)
class Session:
    """What a part works with: where results go, the sizes, and the time (``time.monotonic``) it ends at."""

    results: Results
    sizes: Sizes
    tiny: bool
    until: float
    options: argparse.Namespace

    def left(self) -> float:
        """Seconds left."""
        return self.until - time.monotonic()

    def rate(self) -> float:
        """The measured matrix rate, FLOP/s; measured now if it was not before."""
        if "flops" not in self.results.found.get("rate", {}):
            rate(self)
        return self.results.found["rate"]["flops"]


def main(arguments: list[str]) -> None:
    """See the module's text.

    Raises
    ------
    ProfileError
        There is no GPU, a rehearsal has no file of its own, or the file is another device's.
    TrainingError
        A part failed (the others' results are written).
    """
    # Read when the GPU is first used. Blocks of many sizes come and go here, and would leave holes.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    options = _parse(arguments)
    if not options.tiny and best_device().type != "cuda":
        raise ProfileError(
            "bench gpu measures a GPU and torch sees none; run it on one, with torch's CUDA build, "
            "or rehearse it with --tiny --out FILE"
        )
    out = Path(options.out or planner.GPU_FILE)
    if options.tiny and (not options.out or out.resolve() == planner.GPU_FILE.resolve()):
        raise ProfileError(
            f"a rehearsal is no measurement and is not written to {out}; name a file with --out"
        )
    results = Results(out, shlex.join(["python", "-m", "xlam_lib", "bench", "gpu", *arguments]), options.tiny)
    ends = time.monotonic() + options.seconds
    failed = []
    for place, name in enumerate(options.parts):
        now = time.monotonic()
        until = now + (ends - now) / (len(options.parts) - place)
        session = Session(results, TINY if options.tiny else Sizes(), options.tiny, until, options)
        print(f"{name}: {session.left():.0f} s", flush=True)
        try:
            PARTS[name](session)
        except Exception as error:  # one part's failure must not cost the others a borrowed machine
            traceback.print_exc()
            failed.append(f"{name} ({type(error).__name__}: {_first_line(error)})")
        _free()
        print(f"{name}: took {time.monotonic() - now:.1f} s", flush=True)
    if failed:
        raise TrainingError(f"failed: {'; '.join(failed)}; what the others found is in {out}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m xlam_lib bench gpu")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=540, help="time for all parts together")
    parser.add_argument(
        "--out", help=f"the file of results (default: {planner.GPU_FILE.name} of the library)"
    )
    parser.add_argument("--tiny", action="store_true", help="rehearse with tiny models")
    parser.add_argument("--data", help="examples for the embedded model, JSON Lines")
    parser.add_argument("--save", help="folder for the embedded model's adapter and metrics")
    parser.add_argument("--method", choices=("lora", "full"), default="lora", help="of the embedded model")
    options = parser.parse_args(list(arguments))
    options.parts = options.parts or list(PARTS)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        raise ProfileError(f"part {unknown[0]!r} is unknown; choose from {', '.join(PARTS)}")
    return options


# --------------------------------------------------------------------------------------------------- rate


def rate(session: Session) -> None:
    """Square matrix products of several sizes; the best counts."""
    device = best_device()
    by_size = {
        str(size): matrix_rate(size, session.sizes.matrix_seconds, device) for size in session.sizes.matrices
    }
    best = max(by_size.values())
    session.results.put("rate", {"flops": best, "dtype": str(best_dtype(device)), "by_size": by_size})
    print(f"rate: {best / 1e12:.1f} TFLOP/s in {best_dtype(device)}", flush=True)


# -------------------------------------------------------------------------------------------------- check


def check(session: Session) -> None:
    """Packed attention and the fused head against separate examples and plain logits, loss and gradients.

    Errors are against the same weights in float64, each example by itself. A way passes if its errors are no
    more than twice those of separate examples with plain logits in the same precision, and if other tokens in
    a neighbour leave an example's log-probabilities as they are.
    """
    rows = []
    for name in ("xLAM-1b-fc-r", "xLAM-7b-r"):  # as many key-value heads as query heads, and fewer
        for dtype in (torch.float32, torch.bfloat16):
            rows += _compare(session, SERIES[name], dtype)
            _free()
    passed = all(row["passed"] for row in rows)
    session.results.put("check", {"passed": passed, "rows": rows})
    if not passed:
        bad = [f"{r['model']} {r['weights']} {r['way']}" for r in rows if not r["passed"]]
        raise TrainingError(f"the check failed for {', '.join(bad)}; see {session.results.path}")


def _compare(session: Session, shape: Model, dtype: torch.dtype) -> list[_Row]:
    device = best_device()
    model = _small(shape, session.tiny).to(device, dtype)
    vocabulary = model.config.vocab_size
    reference = copy.deepcopy(model).double()
    sft.ready(model)
    draw = np.random.default_rng(0)
    examples = [
        (draw.integers(1, vocabulary, length), length - max(length // 4, 1))
        for length in session.sizes.checked
    ]
    scored = [example for example in examples if len(example[0]) > 1]  # the first token has no label
    number = sum(len(ids) - max(start, 1) for ids, start in examples)

    def separately(model: Any, fused: bool) -> torch.Tensor:
        return torch.cat([_log_probs(model, [example], fused, packed=False) for example in scored])

    def score(
        model: Any, run: Callable[[], torch.Tensor], half: bool
    ) -> tuple[float, dict[str, torch.Tensor]]:
        model.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = -run().sum() / number
        loss.backward()
        grads = {n: p.grad.detach().double() for n, p in model.named_parameters() if p.grad is not None}
        return loss.item(), grads

    expected, wanted = score(reference, lambda: separately(reference, False), half=False)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "separate, plain": lambda: separately(model, False),
        "separate, fused": lambda: separately(model, True),
        "packed, plain": lambda: _log_probs(model, examples, False, packed=True),
        "packed, fused": lambda: _log_probs(model, examples, True, packed=True),
    }
    rows: list[_Row] = []
    for way, run in ways.items():
        loss, grads = score(model, run, half=True)
        # The worst parameter: a wrong mask or scale in one layer must not drown in the others.
        apart = max(float((grads[n] - g).norm() / g.norm()) for n, g in wanted.items() if g.norm() > 0)
        row = {
            "model": shape.name,
            "weights": str(dtype).removeprefix("torch."),
            "way": way,
            "attention": _attention_used(model) if "packed" in way else "separate",
            "loss_error": abs(loss - expected),
            "gradient_error": apart,
        }
        plain = rows[0] if rows else row
        row["passed"] = (
            math.isfinite(apart)
            and apart <= 2 * plain["gradient_error"] + 1e-3
            and row["loss_error"] <= 2 * plain["loss_error"] + 1e-3
        )
        if way == "packed, fused":
            row["neighbour_changed"] = moved = _bleeding(model, examples, vocabulary)
            row["passed"] = row["passed"] and moved <= 1e-3
        print(f"check: {row}", flush=True)
        rows.append(row)
    return rows


def _small(shape: Model, tiny: bool) -> Any:
    """Two layers of the shape: its head size and ratio of heads; a vocabulary that the fused head tiles."""
    from transformers import AutoModelForCausalLM

    if tiny:
        return models.tiny(shape, _TINY_VOCABULARY)
    group = shape.shapes["num_attention_heads"] // shape.shapes["num_key_value_heads"]
    changes = {
        "num_hidden_layers": 2,
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_attention_heads": 8,
        "num_key_value_heads": 8 // group,
        "vocab_size": 102_400,
    }
    common.set_seed(0)
    with torch.device(best_device()):
        return AutoModelForCausalLM.from_config(models.config(shape, **changes), dtype=torch.float32)


def _log_probs(
    model: Any, examples: Sequence[tuple[np.ndarray, int]], fused: bool, packed: bool
) -> torch.Tensor:
    """Log-probabilities of the labelled tokens, from one packed row or from the one example given."""
    device = next(model.parameters()).device
    batch = data.packed(examples, 0)
    if not packed:
        batch = {name: batch[name] for name in ("input_ids", "labels")}
    batch = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
    targets = batch["labels"][:, 1:]
    scored = targets != data.IGNORE
    if fused:
        return model(**batch, use_cache=False, fused_lm_head=True).log_probs[scored]
    del batch["labels"]
    logits = model(**batch, use_cache=False).logits[:, :-1][scored]
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return torch.log_softmax(logits, -1).gather(-1, targets[scored][:, None])[:, 0]


@torch.no_grad()
def _bleeding(model: Any, examples: Sequence[tuple[np.ndarray, int]], vocabulary: int) -> float:
    """How far the others' log-probabilities move when the longest example's tokens are others."""
    longest = max(range(len(examples)), key=lambda k: len(examples[k][0]))
    ids, start = examples[longest]
    changed = list(examples)
    changed[longest] = (vocabulary - ids, start)
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        both = [_log_probs(model, rows, True, packed=True) for rows in (examples, changed)]
    counts = [len(row) - max(first, 1) for row, first in examples]
    own = slice(sum(counts[:longest]), sum(counts[: longest + 1]))
    apart = (both[0] - both[1]).abs()
    apart[own] = 0
    return float(apart.max())


@torch.no_grad()
def _attention_used(model: Any) -> str:
    """Which attention a packed row of this model runs: ``flash``, or ``segments`` one by one.

    The row also readies the kernels. It must come before activations are recomputed: what flash attention is
    tried on before its first use would otherwise be recorded as part of a layer.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    class Names(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: set[str] = set()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.add(str(func))
            return func(*args, **(kwargs or {}))

    attention.install(model)
    device = next(model.parameters()).device
    batch = data.packed([(np.arange(1, 9), 1), (np.arange(1, 6), 1)], 0)
    del batch["labels"]
    batch = {name: v.to(device) if isinstance(v, torch.Tensor) else v for name, v in batch.items()}
    with torch.autocast(device.type, torch.bfloat16):
        model.base_model(**batch, use_cache=False)  # this is where flash attention is tried
        with Names() as names:
            model.base_model(**batch, use_cache=False)
    return "flash" if any("varlen_attn" in name for name in names.seen) else "segments"


# ------------------------------------------------------------------------------------------------- shapes


def shape_part(name: str) -> Callable[[Session], None]:
    """The part that trains a shape of :data:`TRIALS` in each of its ways."""

    def run(session: Session) -> None:
        model, method, trials = TRIALS[name]
        longest = 0.0
        for trial in trials[: session.sizes.trials]:
            trial = replace(trial, micro_tokens=trial.micro_tokens // session.sizes.divisor)
            if session.left() < 1.2 * longest:
                print(f"{name}: no time left for {trial}", flush=True)
                return
            started = time.monotonic()
            row = _trial(session, name, SERIES[model], method, trial)
            longest = max(longest, time.monotonic() - started)
            session.results.add(row)
            print(f"{name}: {row}", flush=True)

    return run


def _trial(session: Session, part: str, model: Model, method: str, trial: Trial) -> _Row:
    """Train a shape for some steps; a row, also where it does not fit into the memory."""
    sizes, device = session.sizes, best_device()
    config = models.tiny(model, _TINY_VOCABULARY).config if session.tiny else models.config(model)
    steps = sizes.warm + sizes.steps
    rows = random_rows(steps * trial.micro_tokens, config.vocab_size, sizes.shortest, sizes.longest)
    settings = sft.Settings(
        method=method,
        batch_tokens=trial.micro_tokens,
        learning_rate=1e-5,
        max_tokens=sizes.longest,
        checkpointing=trial.recompute,
    )
    row, work = _described(part, model, config, method, rows, trial)
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else math.inf
    if row["planned_memory"] > memory:
        return row | {"error": f"planned for more than this device's {memory / 1e9:.0f} GB; not tried"}
    clock = _Clock(session.until, sizes.warm + 1)
    history: list[dict[str, float]] = []
    used = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        with tempfile.TemporaryDirectory() as folder:
            built = _build(model, method, device, session.tiny)
            used = _attention_used(built)
            outcome = sft.fit(built, _tokenizer(), rows, None, Path(folder), settings, report=clock)
            history = outcome.history
    except _TimeIsUp:
        pass
    except (torch.OutOfMemoryError, TrainingError) as error:
        row["error"] = _first_line(error)
    built = None
    peaks = _peaks(device)
    _free()
    if "error" in row:
        return row | peaks
    read, spans = _read(rows, settings, clock, sizes.warm)
    return (
        row
        | peaks
        | _speeds(session, rows, read, spans, work)
        | {
            "attention": used,
            "losses": [round(entry["loss"], 4) for entry in history if "loss" in entry],
        }
    )


def _described(
    part: str, model: Model, config: Any, method: str, rows: data.Rows, trial: Trial
) -> tuple[_Row, planner.Flops]:
    """A row's settings, everything measured still ``None``; and the FLOPs a token."""
    tokens = sum(rows.lengths)
    # Attention grows with the square of each length: the length that, shared by all, makes the same work.
    length = round(sum(length**2 for length in rows.lengths) / tokens)
    recipe = planner.Recipe(
        method=method,  # type: ignore[arg-type]
        micro_tokens=trial.micro_tokens,
        length=length,
        labelled=sum(rows.answers) / tokens,
        recompute=trial.recompute,
    )
    work = planner.flops_per_token(config, recipe)
    row: _Row = {
        "part": part,
        "model": model.name,
        "method": method,
        "micro_tokens": trial.micro_tokens,
        "recompute": trial.recompute,
        "parameters": planner.shape_of(config).total,
        "mean_length": round(tokens / len(rows), 1),
        "attended_length": length,
        "labelled": round(recipe.labelled, 4),
        "flops_per_token": work.model,
        "executed_flops_per_token": work.executed,
        "planned_memory": max(sum(parts.values()) for parts in planner.memory(config, recipe).values()),
    }
    empty = ("peak_memory", "step_seconds", "tokens_per_second", "supervised_tokens_per_second")
    return row | dict.fromkeys((*empty, "utilisation", "of_measured_rate")), work


def _speeds(
    session: Session, rows: data.Rows, read: Sequence[int], spans: Sequence[float], work: planner.Flops
) -> _Row:
    """What steps of ``spans`` seconds that read these rows come to."""
    seconds = sum(spans)
    tokens = sum(rows.lengths[k] for k in read)
    pace = tokens / seconds
    sheet = _sheet_rate(session.results.found["device"])
    return {
        "steps": len(spans),
        "step_seconds": seconds / len(spans),
        "fastest_step": min(spans),
        "slowest_step": max(spans),
        "tokens_per_second": pace,
        "supervised_tokens_per_second": sum(rows.answers[k] for k in read) / seconds,
        "utilisation": None if sheet is None else work.executed * pace / sheet,
        "of_measured_rate": work.model * pace / session.rate(),
        "executed_of_measured_rate": work.executed * pace / session.rate(),
    }


def _sheet_rate(device: str) -> float | None:
    """The data sheet's bf16 rate of the planner's device of this name, FLOP/s."""
    plain = device.replace(" ", "").replace("-", "").lower()
    for known in planner.DEVICES.values():
        chip = "".join(p for p in known.name.split("-") if p != "SXM" and not p.endswith("GB"))
        if chip.lower() in plain:
            return known.rate * 1e12
    return None


def _peaks(device: torch.device) -> _Row:
    if device.type != "cuda":
        return {}
    return {
        "peak_memory": torch.cuda.max_memory_allocated(),
        "peak_reserved": torch.cuda.max_memory_reserved(),
    }


def _build(model: Model, method: str, device: torch.device, tiny: bool) -> Any:
    """The shape with random weights, made on the device itself: no copy of it elsewhere, no file."""
    from transformers import AutoModelForCausalLM

    dtype = common.precision(method)[0]
    if tiny:
        made: Any = models.tiny(model, _TINY_VOCABULARY)
        return made.to(device, dtype)
    common.set_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(models.config(model), dtype=dtype)


def _tokenizer() -> Any:
    """A tokenizer of two words: the trainer wants one, random tokens do not."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"<end>": 0, "<unknown>": 1}, unk_token="<unknown>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<end>")


def random_rows(tokens: int, vocabulary: int, shortest: int, longest: int, seed: int = 0) -> data.Rows:
    """Rows of random tokens, ``tokens`` in all or a few more; the last quarter of each is labelled."""
    from datasets import Dataset, Features, List, Value

    draw = np.random.default_rng(seed)
    lengths: list[int] = []
    while sum(lengths) < tokens:
        lengths.append(int(draw.integers(shortest, longest + 1)))
    starts = [length - max(length // 4, 1) for length in lengths]
    ids = [draw.integers(2, vocabulary, length, dtype=np.int32) for length in lengths]
    features = Features({"input_ids": List(Value("int32")), "start": Value("int32")})
    table = Dataset.from_dict({"input_ids": ids, "start": starts}, features=features).with_format("numpy")
    answers = [length - start for length, start in zip(lengths, starts, strict=True)]
    names = [f"random/{k}" for k in range(len(lengths))]
    return data.Rows(table, lengths, answers, ["random"] * len(lengths), names, 0)


class _TimeIsUp(Exception):
    """Ends a measurement whose part has used its time."""


class _Clock:
    """Called at each step's end: keeps the time at which the device had done it, and ends a late training."""

    def __init__(self, until: float, least: int) -> None:
        self.until, self.least = until, least
        self.at: list[float] = []

    def __call__(self, done: int, total: int, note: str) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.at.append(time.perf_counter())
        if time.monotonic() > self.until and len(self.at) >= self.least:
            raise _TimeIsUp


# ----------------------------------------------------------------------------------------------- embedded


def embedded(session: Session) -> None:
    """Train the embedded model on the largest mixture that fits the time; measure it on held-out examples.

    A quarter of the time goes into making samples, where none are given. A short training tells the pace;
    from it follow the epochs, three at most, or how many of the examples are read once. With ``--save`` the
    adapter (in bfloat16, half the size) or the model stays; it is loaded again and measured once more in any
    case.
    """
    method = session.options.method
    with tempfile.TemporaryDirectory() as scratch:
        base = _tiny_base(Path(scratch) / "base") if session.tiny else assets.model_folder()
        out = Path(session.options.save or Path(scratch) / "out")
        metrics, row = _run(session, base, Path(scratch), out, method)
        write_json(out / "metrics.json", metrics)
    session.results.put("embedded", metrics)
    session.results.add(row)
    print(f"embedded: {metrics['before']} -> {metrics['after']}; {row}", flush=True)


def _run(session: Session, base: Path, scratch: Path, out: Path, method: str) -> tuple[_Row, _Row]:
    """The training itself: what it came to, and its row of speeds."""
    sizes, device, dtype = session.sizes, best_device(), common.precision(method)[0]
    settings = sft.Settings(
        method=method, batch_tokens=sizes.micro_tokens, max_tokens=sizes.micro_tokens // 8, merge=False
    )
    model, tokenizer = common.load(base, dtype)
    examples, held_out = mixture.hold_out(_examples(session), sizes.held, seed=0)
    rows = data.encode(tokenizer, examples, settings.max_tokens)
    held = data.encode(tokenizer, held_out, settings.max_tokens)
    if session.left() < 60:
        raise TrainingError(
            f"{session.left():.0f} s are left to train in; give --seconds more, or less --data"
        )
    pace = _pace(session, copy.deepcopy(model), tokenizer, rows, settings, scratch / "pace")
    # The rest is for loading, three measurements and saving.
    epochs = 0.85 * (session.left() - 20) * pace / sum(rows.lengths)
    if epochs < 1:
        rows = _first(rows, max(int(epochs * len(rows)), 1))
    settings = replace(settings, epochs=min(max(epochs, 1.0), 3.0))
    print(f"embedded: {len(rows)} examples, {settings.epochs:.2f} epochs, {pace:.0f} tokens/s", flush=True)
    _free()
    used = _attention_used(model.to(device))
    clock = _Clock(math.inf, 0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    outcome = sft.fit(model, tokenizer, rows, held, scratch / "work", settings, out, base=base, report=clock)
    row, work = _described(
        "embedded",
        SERIES[assets.EMBEDDED_MODEL],
        model.config,
        method,
        rows,
        Trial(settings.batch_tokens, False),
    )
    row |= _peaks(device) | {"attention": used}
    before, after = (entry for entry in outcome.history if "eval_loss" in entry)
    read, spans = _read(rows, settings, clock)
    if spans:
        row |= _speeds(session, rows, read, spans, work)
    metrics: _Row = {
        "model": assets.EMBEDDED_MODEL,
        "data": Path(session.options.data).name if session.options.data else "synthesized",
        "examples": len(rows),
        "over_long": rows.over_long,
        "held_out": len(held),
        "settings": asdict(settings),
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "trained": outcome.trained,
        "before": _held(before),
        "after": _held(after),
        "saved": asdict(_saved(base, out, tokenizer, held, settings)),
        "losses": [round(entry["loss"], 4) for entry in outcome.history if "loss" in entry],
    }
    return metrics, row


def _tiny_base(folder: Path) -> Path:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(assets.model_folder()))
    models.tiny(SERIES[assets.EMBEDDED_MODEL], len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _examples(session: Session) -> list[Example]:
    """The examples given, or synthetic ones in rounds, each twice as large, for a quarter of the time."""
    if session.options.data:
        return list(read_jsonl(session.options.data, Example))
    count, seed = session.sizes.samples, 0
    budget = session.left() / 4
    started = time.monotonic()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    examples: list[Example] = []
    while True:
        begun = time.monotonic()
        made = synthesize(count, None, seed=seed, irrelevant=0.1, workers=1 if session.tiny else cores)
        examples += mixture.make_examples(made.verified, style="brackets")
        now = time.monotonic()
        if session.tiny or now - started + 2.4 * (now - begun) > budget:
            break
        count, seed = 2 * count, seed + 1
    return mixture.unique(examples)[0]


def _pace(
    session: Session, model: Any, tokenizer: Any, rows: data.Rows, settings: sft.Settings, work: Path
) -> float:
    """Tokens a second of a short training, which spoils the model."""
    wanted = (session.sizes.warm + session.sizes.steps) * settings.batch_tokens
    settings = replace(settings, epochs=min(wanted / sum(rows.lengths), 1.0))
    _attention_used(model.to(best_device()))
    clock = _Clock(math.inf, 0)
    sft.fit(model, tokenizer, rows, None, work, settings, report=clock)
    read, spans = _read(rows, settings, clock)
    if not spans:  # one step reads everything: as if an epoch took a second
        return float(sum(rows.lengths))
    return sum(rows.lengths[k] for k in read) / sum(spans)


def _read(
    rows: data.Rows, settings: sft.Settings, clock: _Clock, warm: int = 1
) -> tuple[list[int], list[float]]:
    """The rows that a training read, and the seconds of each step, without the first steps.

    They pay for what the others find ready.
    """
    plan = schedule.plan(
        rows.lengths,
        rows.sources,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens,
        epochs=settings.epochs,
    )
    spans = [b - a for a, b in zip(clock.at, clock.at[1:], strict=False)][warm - 1 :]
    return [k for step in plan.steps[warm : warm + len(spans)] for k in step[0][0]], spans


def _first(rows: data.Rows, count: int) -> data.Rows:
    return data.Rows(
        rows.dataset.select(range(count)),
        rows.lengths[:count],
        rows.answers[:count],
        rows.sources[:count],
        rows.ids[:count],
        rows.over_long,
    )


def _held(entry: dict[str, float]) -> _Row:
    return {
        "loss": entry["eval_loss"],
        "token_accuracy": entry["eval_token_accuracy"],
        "exact": entry["eval_exact"],
    }


def _saved(base: Path, out: Path, tokenizer: Any, held: data.Rows, settings: sft.Settings) -> sft.Held:
    """Measure what was saved, as it is loaded again; an adapter is first rounded to bfloat16."""
    dtype, half = common.precision(settings.method)
    if settings.method == "lora":
        from peft import PeftModel
        from safetensors.torch import load_file, save_file

        file = out / "adapter_model.safetensors"
        rounded = {name: weight.to(torch.bfloat16) for name, weight in load_file(file).items()}
        save_file(rounded, file, metadata={"format": "pt"})
        model = PeftModel.from_pretrained(common.load(base, dtype)[0], str(out)).merge_and_unload()
    else:
        model, _ = common.load(out, dtype)
    model = sft.ready(model.to(best_device()))
    with torch.autocast(best_device().type, torch.bfloat16, enabled=half):
        return sft.measure(model, tokenizer, held, settings)


# ------------------------------------------------------------------------------------------------- common


def _free() -> None:
    """Give the memory of what is no longer used back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


PARTS: dict[str, Callable[[Session], None]] = {
    "rate": rate,
    "check": check,
    **{name: shape_part(name) for name in TRIALS},
    "embedded": embedded,
}
