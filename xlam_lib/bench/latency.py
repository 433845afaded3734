"""Latency and memory of one function call by our decoding loop, against the formula of what it should cost.

``python -m xlam_lib bench latency`` answers prompts of 400 tokens with 48 each on this machine's CPU, one at
a time, and for two shapes also eight at a time, with randomly initialised models, and writes
``xlam_lib/data/latency.json``, where chapter 12 reads it. What a token is makes no difference to its time, so
random weights and random prompts do. The rate of matrix products and the bandwidth of the memory are measured
in the same run; :mod:`xlam_lib.inference_cost` gets these and is to say how long it takes. One shape is a
mixture of experts, made for this. Each shape runs in a process of its own, whose peak of memory is measured.
Five minutes on two quiet cores, and 7 GB of memory. What else runs there is in the figures, so the load
beforehand is written down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from xlam_lib import __version__, models
from xlam_lib.bench.train import matrix_rate
from xlam_lib.errors import TrainingError
from xlam_lib.inference import LocalModel
from xlam_lib.inference_cost import Call, Reached, memory, serve
from xlam_lib.records import write_json
from xlam_lib.runs import hardware
from xlam_lib.train.planner import Device, shape_of

FILE = Path(__file__).parents[1] / "data" / "latency.json"
PROMPT, ANSWER = 400, 48
BASELINE, TOGETHER = 1, 8  # calls at a time: the baseline, and what is compared with it
MIXTURE = "8 experts, 2 chosen"
SMALL = "SmolLM2-135M-Instruct"
SHAPES = {  # and how many calls at a time
    SMALL: (BASELINE, TOGETHER),
    "SmolLM2-360M-Instruct": (BASELINE,),
    MIXTURE: (BASELINE, TOGETHER),
    "xLAM-1b-fc-r": (BASELINE,),
}
WIDTH = 4  # bytes a number: float32, which CPUs without half-precision arithmetic are fastest with
_CONTEXT = 4096  # positions; none of the shapes' own is shorter


@dataclass(frozen=True)
class Measured:
    """The fastest round of one shape and batch: seconds until the prompts are read, and until all is written.

    ``peak`` is the process's peak of memory beyond what it held before the model was made, in bytes.
    """

    prefill: float
    seconds: float
    peak: int


class Words:
    """A tokenizer for numbers in place of words: no token ends an answer."""

    eos_token_id = -1

    def decode(self, tokens: Any, **_: Any) -> str:
        """Nothing: the answers of random weights are not looked at."""
        return ""


class Numbers(LocalModel):
    """A model whose prompts are token ids, as many and as random as a chat's only message says."""

    def encode(self, chat: Any) -> list[int]:
        """The ids that ``"seed length"`` stands for."""
        seed, length = map(int, chat[0]["content"].split())
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, self.model.config.vocab_size, (length,), generator=generator).tolist()


def configuration(name: str) -> Any:
    """The configuration of a shape: a model of the series, or the mixture of experts."""
    if name != MIXTURE:
        return models.config(models.find(name))
    from transformers import MixtralConfig

    return MixtralConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=9,
        num_key_value_heads=3,
        num_local_experts=8,
        num_experts_per_tok=2,
        max_position_embeddings=_CONTEXT,
        sliding_window=None,
        tie_word_embeddings=True,
    )


def main(arguments: list[str]) -> None:
    """Argument: rounds of each measurement (2), of which the fastest counts. Writes the file, prints rows."""
    rounds = int(arguments[0]) if arguments else 2
    started, load = time.time(), os.getloadavg()[0]
    rate, bandwidth = matrix_rate(dtype=torch.float32), memory_bandwidth()
    rows = []
    for name, batches in SHAPES.items():
        for row in measure(name, batches, PROMPT, ANSWER, rounds):
            rows.append(compared(name, row, rate, bandwidth))
            print(json.dumps(rows[-1]), flush=True)
    for row in rows:
        alone = next(r for r in rows if r["shape"] == row["shape"] and r["calls_at_a_time"] == BASELINE)
        row["calls_ratio"] = round(row["calls_a_second"] / alone["calls_a_second"], 2)
    result = {
        "command": f"python -m xlam_lib bench latency{f' {rounds}' if arguments else ''}",
        "version": __version__,
        "hardware": hardware(),
        "prompt_tokens": PROMPT,
        "answer_tokens": ANSWER,
        "precision": "float32",
        "matrix_gflops": round(rate / 1e9, 1),
        "memory_GB_a_second": round(bandwidth / 1e9, 1),
        "baseline": f"{BASELINE} call at a time",
        "load_before": round(load, 2),
        "took_seconds": round(time.time() - started),
        "rows": rows,
    }
    write_json(FILE, result)
    print(f"{result['matrix_gflops']} GFLOP/s, {result['memory_GB_a_second']} GB/s")


def compared(name: str, row: dict[str, Any], rate: float, bandwidth: float) -> dict[str, Any]:
    """A measurement beside the formula at the machine's own rates, both fully reached."""
    config, call = configuration(name), Call(row["prompt"], row["answer"], row["batch"])
    shape, found = shape_of(config), Measured(**row["measured"])
    machine = Device("this CPU", 1e6, rate / 1e12, bandwidth / 1e9)
    expected = serve(config, call, machine, Reached(1.0, 1.0, "measured"), devices=1, width=WIDTH)
    parts = memory(shape, call, width=WIDTH)
    tensors = parts["weights"] + parts["keys and values"]
    written = found.seconds - found.prefill
    return {
        "shape": name,
        "parameters": shape.total,
        "active": shape.active_total,
        "calls_at_a_time": call.batch,
        "prefill_seconds": round(found.prefill, 4),
        "expected_prefill_seconds": round(expected.prefill_seconds, 4),
        "decode_seconds": round(written, 4),
        "expected_decode_seconds": round(expected.decode_seconds, 4),
        "seconds": round(found.seconds, 4),
        "expected_seconds": round(expected.seconds, 4),
        "measured_over_expected": round(found.seconds / expected.seconds, 3),
        "waits_for": expected.bound,
        "calls_a_second": round(call.batch / found.seconds, 4),
        "peak_GB": round(found.peak / 1e9, 3),
        "expected_GB": round(tensors / 1e9, 3),
    }


def memory_bandwidth(numbers: int = 1 << 28, rounds: int = 4) -> float:
    """Bytes a second that reading a long row of float32 numbers reaches, the best of several rounds."""
    row = torch.ones(numbers)
    best = 0.0
    for _ in range(rounds + 1):
        started = time.perf_counter()
        row.sum()
        best = max(best, 4 * numbers / (time.perf_counter() - started))
    return best


def measure(
    name: str, batches: tuple[int, ...], prompt: int, answer: int, rounds: int
) -> list[dict[str, Any]]:
    """Measure a shape in a fresh process; one row a batch.

    Raises
    ------
    TrainingError
        The process failed, for want of memory, say.
    """
    given = {"name": name, "batches": batches, "prompt": prompt, "answer": answer, "rounds": rounds}
    done = subprocess.run(
        [sys.executable, "-c", "from xlam_lib.bench import latency; latency._here()"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise TrainingError(f"{name}: the measuring process failed ({reason[0]}); free some memory")
    return json.loads(done.stdout.splitlines()[-1])


def _here() -> None:
    """Body of the measuring process: what to measure on standard input, rows on standard output."""
    given = json.load(sys.stdin)
    config = configuration(given["name"])
    timed(_model(models.tiny(models.find(SMALL), 64)), 1, 16, 4, 1)  # libraries load parts at first use
    before = _status("VmRSS")
    model = _model(_random(config))
    rows = []
    for batch in given["batches"]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        prefill, seconds = timed(model, batch, given["prompt"], given["answer"], given["rounds"])
        found = Measured(prefill, seconds, _status("VmHWM") - before)
        rows.append(
            {"batch": batch, "prompt": given["prompt"], "answer": given["answer"], "measured": asdict(found)}
        )
    print(json.dumps(rows))


def _model(network: Any) -> Numbers:
    network.config.eos_token_id = network.generation_config.eos_token_id = None  # nothing ends an answer
    return Numbers("random", network.eval(), Words(), stop_at_json=False)


def _random(config: Any) -> Any:
    """A model of a configuration with small random weights, made in place: a quick and lean start."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    buffers = dict(AutoModelForCausalLM.from_config(_shallow(config)).named_buffers())
    model.to_empty(device="cpu")
    model.tie_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
        for name, buffer in model.named_buffers():  # the rotary frequencies, which depend on no layer
            buffer.copy_(buffers[name])
    return model


def _shallow(config: Any) -> Any:
    """The configuration with one layer and few words: its buffers are those of the whole."""
    values = config.to_dict() | {"num_hidden_layers": 1, "vocab_size": 64, "intermediate_size": 8}
    return type(config)(**{key: value for key, value in values.items() if key != "layer_types"})


def timed(model: Numbers, batch: int, prompt: int, answer: int, rounds: int) -> tuple[float, float]:
    """Seconds of a batch's first token and of its whole answers, the fastest of so many rounds."""
    prompts = [[{"role": "user", "content": f"{number} {prompt}"}] for number in range(batch)]
    found = []
    model.generate(prompts[:1], 2)  # what is slower the first time
    for wanted in (1, answer):
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            answers = model.generate(prompts, wanted)
            times.append(time.perf_counter() - started)
            if any(one.tokens != wanted for one in answers):
                raise TrainingError(f"an answer ended before its {wanted} tokens; choose a larger context")
        found.append(min(times))
    return found[0], found[1]


def _status(key: str) -> int:
    """A figure of this process in bytes (Linux)."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in text.splitlines() if line.startswith(key)))
