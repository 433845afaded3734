"""Seconds, memory and money of one function call, served by a model on devices of one's own or bought.

A call is read and then written. *Reading* the prompt multiplies all of its tokens at once, so its time is
that of the arithmetic. *Writing* makes one token after the other, and for each the weights are read from
memory once, however many calls are answered together, beside the keys and values of each call: so its time is
that of reading, until the batch is large. A mixture of experts multiplies a token with the chosen experts
only; what it reads is what any call of the batch has chosen (:func:`experts_read`).

Both reports say nothing of latency or cost. Rates come from data sheets (:mod:`xlam_lib.train.planner`), the
share of them that is reached is assumed (:class:`Reached`), and ``python -m xlam_lib bench latency`` compares
the formula with measured calls on a CPU. Prices of hosted models are data with their source and date
(:func:`prices`). Bytes are bytes, GB are 10^9 bytes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from xlam_lib.errors import ProfileError
from xlam_lib.train.planner import (
    ASSUMED_UTILISATION,
    CONTEXT,
    FRAGMENTATION,
    Device,
    Shape,
    attended,
    shape_of,
)

if TYPE_CHECKING:
    from xlam_lib.train.planner import Modelled

ASSUMED_BANDWIDTH = 0.60
"""Share of the data sheet's memory bandwidth that writing an answer reaches, where nothing was measured."""
MOST_DEVICES = 64
PARTS = ("weights", "keys and values", "allowance")

# ------------------------------------------------------------------------------------------- what is served


@dataclass(frozen=True)
class Call:
    """One function call: ``prompt`` tokens are read, ``answer`` tokens written, ``batch`` such at a time."""

    prompt: int
    answer: int
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.prompt, self.answer, self.batch) < 1:
            raise ProfileError(
                f"a call of {self.prompt} prompt and {self.answer} answer tokens, {self.batch} at a time, is "
                "none; each must be at least 1"
            )


@dataclass(frozen=True)
class Reached:
    """Shares of a device's two rates that are reached, and where they are from: ``assumed`` or ``measured``.

    ``arithmetic`` is of the matrix products' rate, ``bandwidth`` of the memory's.
    """

    arithmetic: float = ASSUMED_UTILISATION
    bandwidth: float = ASSUMED_BANDWIDTH
    source: str = "assumed"

    def __post_init__(self) -> None:
        if not (0 < self.arithmetic <= 1 and 0 < self.bandwidth <= 1):
            raise ProfileError(
                f"shares reached are {self.arithmetic} and {self.bandwidth}; each is above 0 and at most 1"
            )


@dataclass(frozen=True)
class Served:
    """What a call needs.

    Attributes
    ----------
    devices
        That hold the model together, each doing an equal part.
    prefill_seconds, decode_seconds, seconds
        Until the prompts of the batch are read, until their answers are written after that, and both.
    device_seconds
        Of one call: seconds x devices / batch.
    memory
        Bytes on each device by part (:data:`PARTS`).
    bound
        What writing waits for: ``reading`` or ``arithmetic``.
    """

    devices: int
    prefill_seconds: float
    decode_seconds: float
    seconds: float
    device_seconds: float
    memory: dict[str, float]
    bound: str

    def cost(self, price: float) -> float:
        """Of one call, where a device costs ``price`` an hour, in the price's currency."""
        return self.device_seconds * price / 3600


# --------------------------------------------------------------------------------------------- the formula


def experts_read(shape: Shape, tokens: int) -> float:
    """Mean number of a layer's experts that any of so many tokens has chosen; 1 without experts.

    As if every token drew its experts evenly and without regard to the others: one token meets the chosen
    experts, many meet all of them. Routers that prefer some experts meet fewer.
    """
    return shape.experts * (1 - (1 - shape.active / shape.experts) ** tokens)


def weights_read(shape: Shape, tokens: int) -> float:
    """Parameters that are read from memory for a pass over so many tokens; of the embedding their rows."""
    layer = shape.layer - shape.expert + shape.expert * experts_read(shape, tokens) / shape.experts
    return shape.layers * layer + (shape.head or shape.embedding) + tokens * shape.hidden


def cache_bytes(shape: Shape, width: int = 2) -> int:
    """Bytes of keys and values that one token of a call leaves; ``width`` bytes a number."""
    return 2 * shape.layers * shape.key * width


def prefill_flops(shape: Shape, prompt: int) -> float:
    """FLOPs of reading one prompt: every token through the layers, the last alone through the head."""
    linear = 2.0 * shape.layers * shape.active_linear
    attention = shape.layers * 4.0 * shape.query * attended(prompt, shape.window)
    return prompt * (linear + attention) + 2.0 * shape.hidden * shape.vocabulary


def step_flops(shape: Shape, context: float) -> float:
    """FLOPs of writing one token of one call whose prompt and answer have ``context`` tokens so far."""
    linear = 2.0 * (shape.layers * shape.active_linear + shape.hidden * shape.vocabulary)
    return linear + shape.layers * 4.0 * shape.query * _seen(shape, context)


def memory(shape: Shape, call: Call, devices: int = 1, width: int = 2) -> dict[str, float]:
    """Bytes on each device by part: weights, keys and values of the batch, and the planner's allowance."""
    weights = width * shape.total / devices
    tokens = _seen(shape, call.prompt + call.answer)
    cache = call.batch * tokens * cache_bytes(shape, width) / devices
    return dict(zip(PARTS, (weights, cache, FRAGMENTATION * (weights + cache) + CONTEXT), strict=True))


def serve(
    model: Modelled,
    call: Call,
    device: Device,
    reached: Reached | None = None,
    devices: int | None = None,
    width: int = 2,
) -> Served:
    """What a call needs on ``devices`` of a kind; without a number on the fewest that hold it.

    A batch is read and then written, and all of its answers are equally long. A pass takes as long as the
    slower of its arithmetic and its reading. Devices that share a model are as fast as their number: what
    they tell each other, and the time between two batches, are left out, so the figure is a lower bound.

    Parameters
    ----------
    model
        Of the series, its name, or a configuration of transformers.
    devices
        1, 2, 4, ...
    width
        Bytes a number: 2 for half precision, 4 for float32.

    Raises
    ------
    ProfileError
        It does not fit :data:`MOST_DEVICES` devices.
    TrainingError
        The model's kind is unknown.
    """
    shape, reached = shape_of(model), reached or Reached()
    devices = devices or fewest_devices(shape, call, device, width)
    rate = devices * device.rate * 1e12 * reached.arithmetic
    bandwidth = devices * device.bandwidth * 1e9 * reached.bandwidth

    prompts = call.batch * call.prompt
    prefill = max(
        call.batch * prefill_flops(shape, call.prompt) / rate,
        width * weights_read(shape, prompts) / bandwidth,
    )
    # The prompt's pass gives the first token, and the last one needs no pass of its own.
    steps, context = call.answer - 1, call.prompt + call.answer / 2
    arithmetic = call.batch * step_flops(shape, context) / rate
    cache = call.batch * _seen(shape, context) * cache_bytes(shape, width)
    reading = (width * weights_read(shape, call.batch) + cache) / bandwidth
    decode = steps * max(arithmetic, reading)
    seconds = prefill + decode
    return Served(
        devices=devices,
        prefill_seconds=prefill,
        decode_seconds=decode,
        seconds=seconds,
        device_seconds=seconds * devices / call.batch,
        memory=memory(shape, call, devices, width),
        bound="arithmetic" if arithmetic > reading else "reading",
    )


def fewest_devices(shape: Shape, call: Call, device: Device, width: int = 2) -> int:
    """The fewest devices (1, 2, 4, ...) that hold the model and the batch.

    Raises
    ------
    ProfileError
        :data:`MOST_DEVICES` are too few.
    """
    count = 1
    while count <= MOST_DEVICES:
        if sum(memory(shape, call, count, width).values()) <= device.memory * 1e9:
            return count
        count *= 2
    raise ProfileError(
        f"{shape.total / 1e9:.1f} billion parameters with {call.batch} calls at a time do not fit "
        f"{MOST_DEVICES} x {device.name}; lower the batch or choose a larger device"
    )


def _seen(shape: Shape, context: float) -> float:
    """Tokens that a new one looks back at: all, or those of its window."""
    return min(context, shape.window or context)


# ------------------------------------------------------------------------------------------- hosted models


@dataclass(frozen=True)
class Price:
    """A hosted model's list price: ``input`` and ``output`` in US dollars a million tokens.

    ``model`` is its name in the report's table 5, without the way it was asked; ``source`` an address where
    the price was read, and ``seen`` the day on which it stood there.
    """

    model: str
    input: float
    output: float
    seen: str
    source: str

    def of(self, prompt: float, answer: float) -> float:
        """US dollars of one call with so many tokens."""
        return (prompt * self.input + answer * self.output) / 1e6


def prices() -> tuple[Price, ...]:
    """List prices of models in the report's table 5, those that could be confirmed (``api_prices.csv``)."""
    text = resources.files("xlam_lib").joinpath("data", "api_prices.csv").read_text(encoding="utf-8")
    return tuple(
        Price(row["model"], float(row["input"]), float(row["output"]), row["seen"], row["source"])
        for row in csv.DictReader(text.splitlines())
    )


# -------------------------------------------------------------------------------------------------- tables


def table(
    models: Iterable[Modelled],
    call: Call,
    batches: Iterable[int],
    device: Device,
    price: float | None = None,
    reached: Reached | None = None,
) -> list[dict[str, Any]]:
    """One row for each model and batch: latency, memory, and what a call costs (``None`` without a price).

    Sizes in GB, times in seconds; ``cost of 1,000 calls`` in the price's currency.
    """
    rows = []
    for model in models:
        for batch in batches:
            found = serve(model, Call(call.prompt, call.answer, batch), device, reached)
            rows.append(
                {
                    "model": model if isinstance(model, str) else getattr(model, "name", "configuration"),
                    "at a time": batch,
                    "devices": found.devices,
                    "GB on each": sum(found.memory.values()) / 1e9,
                    "seconds to read": found.prefill_seconds,
                    "seconds to write": found.decode_seconds,
                    "seconds a call takes": found.seconds,
                    "device seconds a call": found.device_seconds,
                    "writing waits for": found.bound,
                    "cost of 1,000 calls": None if price is None else 1000 * found.cost(price),
                }
            )
    return rows


def break_even(rows: Iterable[Mapping[str, Any]], hosted: Iterable[str], call: Call) -> list[dict[str, Any]]:
    """For each row of :func:`table`, what a device may cost an hour for calls to cost what hosted ones do.

    US dollars, in a column for each hosted model, if the devices are never idle: busy for a tenth of the
    time, they may cost a tenth.

    Raises
    ------
    ProfileError
        A hosted model has no price in :func:`prices`.
    """
    listed = {price.model: price for price in prices()}
    chosen = list(hosted)
    for name in chosen:
        if name not in listed:
            raise ProfileError(f"hosted model {name!r} has no price; choose from {', '.join(listed)}")
    return [
        {"model": row["model"], "at a time": row["at a time"]}
        | {
            name: 3600 * listed[name].of(call.prompt, call.answer) / row["device seconds a call"]
            for name in chosen
        }
        for row in rows
    ]
