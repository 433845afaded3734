"""Memory, time and cost of a training from the model's shapes, before anything is loaded.

Three ways to the same figure, from the fastest to the surest: :func:`estimate` adds up what each tensor of
a step takes; :mod:`xlam_lib.train.peaks` runs the step on fake tensors, which have shapes and no storage, and
really, on this machine's CPU. ``python -m xlam_lib bench planner`` compares them.

A model is a configuration of transformers, or a name or :class:`~xlam_lib.models.Model` of the series.
Bytes are bytes; GB are 10^9 bytes, as on data sheets. The report (sections 3.5 and 4) names H100s, FSDP and
LoRA, and neither GPU counts nor batch sizes: those are the recipe's to choose.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xlam_lib.errors import TrainingError
from xlam_lib.models import SERIES, Model
from xlam_lib.models import config as model_config
from xlam_lib.models import find as find_model
from xlam_lib.records import read_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    Modelled = PretrainedConfig | Model | str

GPU_FILE = Path(__file__).parents[1] / "data" / "gpu.json"
ASSUMED_UTILISATION = 0.40
"""Share of the data sheet's matrix rate that a step reaches, where nothing was measured."""
FRAGMENTATION = 0.05
"""Allowance for what the allocator holds and cannot use, as a share of the tensors' bytes."""
CONTEXT = 1e9
"""Allowance for the driver's context and the communication library's buffers, bytes a device."""

# ---------------------------------------------------------------------------------------------- machines


@dataclass(frozen=True)
class Device:
    """An accelerator as its vendor's data sheet describes it.

    Attributes
    ----------
    name
        As in :data:`DEVICES`.
    memory
        GB. Taken as 10^9 bytes, which is up to 7% less than most drivers report: the safe side.
    rate
        Dense bf16 matrix products, TFLOP/s (data sheets print twice that for sparse matrices).
    bandwidth
        Of the memory, GB/s.
    inside, between
        GB/s that a device can send, and receive at the same time, to others of its node and of another
        node (data sheets print the sum of both directions). ``None``: unknown; ``between`` is the
        network's and stands on no device's data sheet.
    """

    name: str
    memory: float
    rate: float
    bandwidth: float
    inside: float | None = None
    between: float | None = None


DEVICES = {
    device.name: device
    for device in (
        Device("H100-SXM-80GB", 80, 989.4, 3350, inside=450),
        Device("H200-SXM-141GB", 141, 989.4, 4800, inside=450),
        Device("A100-SXM-40GB", 40, 312, 1555, inside=300),
        Device("A100-SXM-80GB", 80, 312, 2039, inside=300),
        Device("RTX-4090-24GB", 24, 165.2, 1008, inside=32),
        Device("L4-24GB", 24, 121, 300, inside=32),
    )
}


def find_device(name: str) -> Device:
    """The device of this name.

    Raises
    ------
    TrainingError
        There is none; the message lists them.
    """
    if name not in DEVICES:
        raise TrainingError(
            f"device {name!r} is unknown; choose one of {', '.join(DEVICES)}, or make a planner.Device"
        )
    return DEVICES[name]


@dataclass(frozen=True)
class Cluster:
    """Equal devices in equal nodes; ``price`` is what a device costs an hour, ``None`` where not known."""

    device: Device
    per_node: int = 1
    nodes: int = 1
    price: float | None = None

    def __post_init__(self) -> None:
        if self.per_node < 1 or self.nodes < 1:
            raise TrainingError(f"a cluster of {self.nodes} nodes with {self.per_node} devices has no device")

    @property
    def devices(self) -> int:
        return self.per_node * self.nodes


@dataclass(frozen=True)
class Recipe:
    """What is trained, in which precision, and how much of it at a time.

    Attributes
    ----------
    method
        ``full``, or ``lora``: the base frozen and in bf16 (fp32 where that is the precision), the adapters
        and their states in fp32.
    objective
        ``sft``, or ``dpo``: chosen and rejected answers both count as tokens, and the reference (the model
        with its adapter off, or a copy of it without) is one forward pass more.
    precision
        ``mixed``: what is trained, its gradients and AdamW's two states in fp32, matrix products in bf16, by
        autocast on one device and by FSDP's cast when sharded. ``fp32``: everything, which is how a CPU
        without bf16 instructions trains. ``bf16``: everything, half the memory at the price of updates that
        round away; it is also what one layer does under FSDP.
    rank, modules
        Of LoRA. ``all-linear`` is peft's: every linear layer but the head, which for a mixture of experts
        takes in the router and the experts (and makes their adapted weights anew in each layer);
        ``attention`` is the four projections of the attention.
    micro_tokens
        Tokens of one micro-batch on one device, packed without padding.
    length
        Mean tokens of an example: the attention's cost grows with it.
    labelled
        Share of the tokens that carry a label; only these are scored against the vocabulary.
    accumulation
        Micro-batches an optimizer step.
    recompute
        Keep each layer's input only and run the layer again in the backward pass (checkpointing).
    sharding
        ``none``: every device holds everything. ``fsdp``: weights, gradients and states are spread over all
        devices, and a layer's weights gathered when its turn comes (FSDP2, full shard).
    total_tokens
        Of the whole training: examples x mean tokens x epochs.
    """

    method: Literal["full", "lora"] = "full"
    objective: Literal["sft", "dpo"] = "sft"
    precision: Literal["mixed", "bf16", "fp32"] = "mixed"
    rank: int = 16
    modules: Literal["all-linear", "attention"] = "all-linear"
    micro_tokens: int = 8192
    length: int = 1024
    labelled: float = 0.25
    accumulation: int = 1
    recompute: bool = True
    sharding: Literal["none", "fsdp"] = "none"
    total_tokens: float = 1e8

    def __post_init__(self) -> None:
        for name, allowed in (
            ("method", ("full", "lora")),
            ("objective", ("sft", "dpo")),
            ("precision", ("mixed", "bf16", "fp32")),
            ("modules", ("all-linear", "attention")),
            ("sharding", ("none", "fsdp")),
        ):
            if getattr(self, name) not in allowed:
                raise TrainingError(
                    f"{name} {getattr(self, name)!r} is unknown; choose {' or '.join(allowed)}"
                )
        for name in ("rank", "micro_tokens", "length", "accumulation", "total_tokens"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.labelled <= 1:
            raise TrainingError(f"labelled is {self.labelled}; it is a share, above 0 and at most 1")

    @property
    def head_tokens(self) -> int:
        """Positions of a micro-batch that are scored against the vocabulary."""
        return max(int(self.labelled * self.micro_tokens), 1)


# ------------------------------------------------------------------------------------------------- shapes


@dataclass(frozen=True)
class Shape:
    """The sizes that the formulas need, of a decoder with gated feed-forward layers.

    ``query`` and ``key`` are the widths of all query heads and of all key (or value) heads together.
    ``experts`` is 1 and ``active`` 1 where the feed-forward layer is one. Parameters: ``linear`` of one
    layer's matrices without its experts, ``expert`` of all experts of one layer (0 without), ``layer`` of
    everything in a layer, ``embedding`` of the input embedding, ``head`` of the output head, 0 where the two
    are one matrix (``tied``), and ``total`` of the model.
    """

    layers: int
    hidden: int
    query: int
    key: int
    heads: int
    feed: int
    vocabulary: int
    window: int | None
    experts: int
    active: int
    tied: bool
    linear: int
    expert: int
    layer: int
    embedding: int
    head: int
    total: int

    @property
    def active_linear(self) -> int:
        """Parameters of one layer's matrices that a token is multiplied with."""
        return self.linear + self.expert * self.active // self.experts

    @property
    def active_total(self) -> int:
        """Parameters of the model that take part in a token's forward pass (the embedding counted)."""
        return self.total - self.layers * self.expert * (self.experts - self.active) // self.experts


def configuration(model: Modelled) -> PretrainedConfig:
    """The transformers configuration of a model of the series, its name, or a configuration as it is."""
    if isinstance(model, str):
        model = find_model(model)
    return model_config(model) if isinstance(model, Model) else model


def shape_of(model: Modelled) -> Shape:
    """Count a model's parts on the meta device.

    Raises
    ------
    TrainingError
        Its layers are not of the kind that the formulas describe.
    """
    return _shape(json.dumps(configuration(model).to_dict(), sort_keys=True, default=str))


@lru_cache(maxsize=64)
def _shape(text: str) -> Shape:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = json.loads(text)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    layers = [(name, p) for name, p in model.named_parameters() if ".layers." in name]
    if not layers or not hasattr(config, "intermediate_size"):
        raise TrainingError(
            f"the planner knows decoders like Llama, Mistral and Mixtral, not {config.model_type}"
        )
    expert = sum(p.numel() for name, p in layers if ".experts." in name)
    matrices = sum(p.numel() for name, p in layers if p.ndim > 1 and ".experts." not in name)
    count = config.num_hidden_layers
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    tied = embedding is head
    return Shape(
        layers=count,
        hidden=config.hidden_size,
        query=heads * width,
        key=(getattr(config, "num_key_value_heads", None) or heads) * width,
        heads=heads,
        feed=config.intermediate_size,
        vocabulary=embedding.shape[0],
        window=getattr(config, "sliding_window", None),
        experts=getattr(config, "num_local_experts", 1) if expert else 1,
        active=getattr(config, "num_experts_per_tok", 1) if expert else 1,
        tied=tied,
        linear=matrices // count,
        expert=expert // count,
        layer=sum(p.numel() for _, p in layers) // count,
        embedding=embedding.numel(),
        head=0 if tied else head.numel(),
        total=sum(p.numel() for p in model.parameters()),
    )


def adapter_parameters(shape: Shape, recipe: Recipe) -> int:
    """Parameters of LoRA's adapters: rank x (inputs + outputs) for each adapted matrix.

    peft adapts a mixture's fused gate and up projection with twice the rank.
    """
    h, q, k, f, r = shape.hidden, shape.query, shape.key, shape.feed, recipe.rank
    layer = r * (2 * (h + q) + 2 * (h + k))
    if recipe.modules == "all-linear" and shape.expert:
        layer += r * (h + shape.experts) + shape.experts * (2 * r * (h + 2 * f) + r * (f + h))
    elif recipe.modules == "all-linear":
        layer += r * 3 * (h + f)
    return shape.layers * layer


# -------------------------------------------------------------------------------------------------- FLOPs


@dataclass(frozen=True)
class Flops:
    """FLOPs of a training a token, with every kind of pass that is executed.

    ``model`` is forward and backward alone, the numerator of the usual model FLOPs utilisation;
    ``executed`` adds recomputation and, for DPO, the reference's forward pass. ``linear``, ``attention`` and
    ``head`` are of one forward pass.
    """

    linear: float
    attention: float
    head: float
    model: float
    executed: float


def attended(length: int, window: int | None = None) -> float:
    """Mean number of positions that a token of an example sees: itself, those before, within the window."""
    window = min(window or length, length)
    return (window * (window + 1) / 2 + (length - window) * window) / length


def flops_per_token(model: Modelled, recipe: Recipe) -> Flops:
    """FLOPs a token of the training, a multiplication and an addition counted as two.

    One forward pass: ``linear`` = 2 x (parameters of the matrices a token meets: all of a dense layer, of a
    mixture the chosen experts and the router); ``attention`` = layers x 4 x (width of all query heads) x
    (positions seen, (length + 1) / 2 when causal), for the scores and the weighted sum; ``head`` =
    2 x hidden x vocabulary x (share of labelled tokens).

    Backward: each matrix product makes two (one for its input, one for its weights), the attention two and a
    half forward passes, because its kernels compute the scores again. With LoRA the frozen matrices have no
    product for their weights, and the adapters, three times 2 x their active parameters, come on top. (peft
    makes the adapted experts' weights of a mixture once a step: that does not grow with the tokens and is
    left out.) Recomputation adds one forward pass of the layers, the reference of DPO one of everything.
    """
    shape = shape_of(model)
    linear = 2.0 * shape.layers * shape.active_linear
    attention = shape.layers * 4.0 * shape.query * attended(recipe.length, shape.window)
    head = 2.0 * shape.hidden * shape.vocabulary * recipe.labelled
    forward = linear + attention + head
    if recipe.method == "full":
        trained = 3 * linear + 3.5 * attention + 3 * head
        again = linear + attention
    else:
        adapters = 2.0 * _dense_adapters(shape, recipe)
        experts = 0.0
        if shape.expert and recipe.modules == "all-linear":
            # The adapted experts are trained through their made weights, so these do have a product.
            experts = 2.0 * shape.layers * shape.expert * shape.active / shape.experts
        trained = 2 * linear + 3.5 * attention + 2 * head + 3 * adapters + experts
        again = linear + attention + adapters
    executed = trained + (again if recipe.recompute else 0) + (forward if recipe.objective == "dpo" else 0)
    return Flops(linear, attention, head, trained, executed)


def _dense_adapters(shape: Shape, recipe: Recipe) -> int:
    """Adapters that every token is multiplied with: all but the experts'."""
    h, f, r = shape.hidden, shape.feed, recipe.rank
    experts = shape.layers * shape.experts * (2 * r * (h + 2 * f) + r * (f + h))
    adapted = bool(shape.expert) and recipe.modules == "all-linear"
    return adapter_parameters(shape, recipe) - (experts if adapted else 0)


# ------------------------------------------------------------------------------------------------- memory

PARTS = (
    "weights",
    "optimizer states",
    "gradients",
    "activations",
    "logits",
    "weight copies",
    "allowance",
)
"""The parts of a device's memory, in the order of a stacked bar. ``weight copies`` are made for the step: a
bf16 cast of fp32 weights, layers that FSDP gathered, a mixture's adapted experts."""


def layer_activations(shape: Shape, recipe: Recipe) -> float:
    """Bytes a token that autograd keeps of one decoder layer for its backward pass, nothing recomputed.

    Of the two norms: their input in fp32, and the normalized input where their weights are trained. Of the
    attention: queries, keys, values, output, and a sum in fp32 a head: nothing grows with the square of the
    length. Of the feed-forward layer: gate, activated gate, up, and their product as the input of down, for
    each chosen expert. Inputs of the linear layers once where they share them, and once for each where they
    are cast for it: by autocast from fp32, and by peft to the adapters' fp32.
    """
    h, q, k, f = shape.hidden, shape.query, shape.key, shape.feed
    full, wide, mixture = recipe.method == "full", hands_on_fp32(recipe), shape.expert > 0
    b = _computed(recipe)
    norms = 2 * (4 * h + ((4 if wide else b) * h if full else 0))
    kept = norms + b * (2 * q + 2 * k) + 4 * shape.heads + 3 * b * f * shape.active
    adapted = full or recipe.modules == "all-linear"  # the feed-forward layer has trained weights
    if mixture:
        kept += b * shape.active * (2 * h + f if adapted else h) + 8 * shape.experts
    if full:
        return (
            kept
            + b * h * ((3 if wide else 1) + (2 if wide and not mixture else 1))
            + (0 if mixture else b * f)
        )
    low = 4 * recipe.rank  # what the adapters' first halves make, for each of the attention's projections
    if recipe.precision == "fp32":  # nothing is cast, so the inputs are shared
        kept += b * (h + low)
        return kept + (b * (h + (0 if mixture else f + 3 * recipe.rank)) if adapted else 0)
    cast = 2 if recipe.precision == "mixed" else 4
    kept += cast * (3 * h + q + low)
    if adapted:
        kept += b * h if mixture else cast * (2 * h + f + 3 * recipe.rank)
    return kept


def _computed(recipe: Recipe) -> int:
    """Bytes of a number that the matrix products read and write."""
    return 4 if recipe.precision == "fp32" else 2


def hands_on_fp32(recipe: Recipe) -> bool:
    """Whether the layers hand on fp32 between bf16 products: autocast casts those of fp32 weights alone."""
    return recipe.method == "full" and recipe.precision == "mixed" and recipe.sharding == "none"


def memory(model: Modelled, recipe: Recipe, devices: int = 1) -> dict[str, dict[str, float]]:
    """Bytes of each part on one device at the moments when a step may need most.

    ``forward`` is the forward pass's end, ``scoring`` when the loss's gradient leaves the vocabulary: all
    that the layers kept is still there. ``top layer`` is the backward pass of the layer below the head, the
    first to run, ``bottom layer`` that of the layer above the embedding, when nearly all gradients are
    there, ``end`` when the embedding's is added. AdamW's states are there throughout, as they are after the
    first step.

    FSDP2 cuts a parameter along its first dimension. That of transformers' fused experts is the number of
    experts: where more devices share a model than it has experts, some hold none of them and the others as
    much as if there were fewer devices. The figures are those of a device that holds some.
    """
    shape, sharded = shape_of(model), recipe.sharding == "fsdp"
    shards = devices if sharded else 1
    # How much larger the experts are as the shards lie, padded to equal ones.
    padded = math.ceil(shape.experts / shards) * shards / shape.experts if shape.expert and sharded else 1.0
    extra = (padded - 1) * shape.expert  # of a layer
    tokens, full, wide = recipe.micro_tokens, recipe.method == "full", hands_on_fp32(recipe)
    b = _computed(recipe)
    trained_bytes = 2 if full and recipe.precision == "bf16" else 4
    held = shape.total + extra * shape.layers
    trained = held if full else adapter_parameters(shape, recipe)
    weights = (trained_bytes * trained + (0 if full else b * held)) / shards
    gradients = trained_bytes * trained / shards
    of_embedding = trained_bytes * shape.embedding / shards if full else 0.0
    of_head = trained_bytes * shape.head / shards if full and not shape.tied else of_embedding
    of_layer = (trained_bytes * (shape.layer + extra) / shards) if full else gradients / shape.layers

    kept = layer_activations(shape, recipe) * tokens
    passed = (4 if wide else b) * shape.hidden * tokens  # what one layer hands the next
    layers = shape.layers * (passed if recipe.recompute else kept) + passed
    above = layers + (2 if full else 1) * 4 * shape.hidden * tokens  # with the norm above them
    scored = float(shape.vocabulary * recipe.head_tokens)

    made = _made_weights(shape, recipe)
    casts = made * shape.layers + (2 * (shape.head or shape.embedding) if wide else 0)
    # Autocast keeps its casts to the end of the forward pass, whatever is recomputed later.
    passing, staying = (casts if wide else 0.0), (0.0 if recipe.recompute else casts)
    # What FSDP has whole, as wide as the products: the embedding and the head all the time, in the backward
    # pass two layers (one in use, one on its way), and of what is trained the gradients of a layer and of
    # the head, once more in the fp32 that they are added up in.
    ends = b * (shape.embedding + shape.head) if sharded else 0
    gathered = ends + (2 * b * (shape.layer + extra) if sharded else 0)
    last = ends
    if sharded and full:
        gathered += b * shape.layer + 4 * (shape.layer + extra) + b * (shape.head or shape.embedding)
        last += ends * 4 / b + 2 * b * shape.embedding * shape.tied
    # Inside a layer's backward pass: the gradients of its activations, or, in a mixture, the moment when the
    # gradients of all experts' gate and up projections, two thirds of their weights, appear at once.
    inside, copies = _working(shape, recipe) * tokens, made
    burst = 0.0
    if not (sharded and full) and (full or recipe.modules == "all-linear"):
        burst = (trained_bytes if full else b) * shape.expert * 2 / 3
    if burst + made * 2 / 3 > inside + made:
        inside, copies = 0.0, burst + made * 2 / 3

    # Down's gradient is there while those of gate, up and their product are made.
    down = trained_bytes * shape.hidden * shape.feed if full and not (shape.expert or sharded) else 0.0
    below = 0.0 if shape.tied else of_embedding  # not there before the end, nor is the head's under FSDP
    below += of_head if sharded else 0.0

    waiting = gradients if recipe.accumulation > 1 else 0.0
    moments = {
        "forward": (waiting, above, 8 * scored, ends + max(passing, staying)),
        "scoring": (waiting, above, 12 * scored, ends + staying),
        "top layer": (
            max(waiting, 0.0 if sharded else of_head) + down,
            layers + inside + (kept if recipe.recompute else 0),
            0.0,
            gathered + copies + (0.0 if recipe.recompute else made * (shape.layers - 1)),
        ),
        "bottom layer": (
            max(waiting, gradients - of_layer + down - below),
            kept + passed + inside,
            0.0,
            gathered + copies,
        ),
        # A tied matrix's two gradients are added to a third, and that to what the micro-batches before left.
        "end": (
            gradients + (0.0 if sharded else of_embedding * (2 * shape.tied + (waiting > 0))),
            passed,
            0.0,
            last,
        ),
    }
    names = ("gradients", "activations", "logits", "weight copies")
    states = {"weights": weights, "optimizer states": 2 * gradients}
    return {moment: states | dict(zip(names, parts, strict=True)) for moment, parts in moments.items()}


def _working(shape: Shape, recipe: Recipe) -> float:
    """Bytes a token of the gradients inside one layer's backward pass, beside what the layer kept."""
    h, f = shape.hidden, shape.feed * shape.active
    if recipe.method == "full" or recipe.precision == "fp32" or shape.expert:
        return _computed(recipe) * (2 * f + 2 * h)
    return 8 * f + (4 if recipe.precision == "mixed" else 2) * h  # casts from the adapters' fp32 and back


def _made_weights(shape: Shape, recipe: Recipe) -> float:
    """Bytes of weights made anew in a layer and kept for its backward pass: casts, and adapted experts."""
    if recipe.method == "full":
        return 2.0 * (shape.linear + shape.expert) if hands_on_fp32(recipe) else 0.0
    adapters = adapter_parameters(shape, recipe) / shape.layers
    b = _computed(recipe)
    if shape.expert and recipe.modules == "all-linear":
        return b * (shape.expert + adapters)
    return 2.0 * adapters if recipe.precision == "mixed" else 0.0


# ----------------------------------------------------------------------------------------------- estimate


@dataclass(frozen=True)
class Estimate:
    """What a training needs on one cluster.

    Attributes
    ----------
    parts
        Bytes on one device at the moment of the peak, by name (:data:`PARTS`); without the allowance they
        sum to ``tensors``, with it to ``total``.
    moment
        Which moment that is (:func:`memory`).
    fits
        Whether ``total`` is within the device's memory.
    flops
        A token (:class:`Flops`).
    compute_seconds, communication_seconds
        Of one optimizer step: executed FLOPs over rate x utilisation, and FSDP's traffic over the slowest
        link that it takes; ``None`` where that link's speed is unknown.
    step_seconds
        The larger of the two, because FSDP gathers the next layer while one is computed.
    tokens_per_second
        Of the whole cluster.
    steps, days, device_hours, cost
        Of the whole training; ``cost`` in the price's currency, ``None`` without a price.
    utilisation, utilisation_source
        Share of the data sheet's rate for executed FLOPs, and where it is from: ``measured``, ``given`` or
        ``assumed``.
    """

    parts: dict[str, float]
    tensors: float
    total: float
    moment: str
    fits: bool
    flops: Flops
    compute_seconds: float
    communication_seconds: float | None
    step_seconds: float
    tokens_per_second: float
    steps: int
    days: float
    device_hours: float
    cost: float | None
    utilisation: float
    utilisation_source: str


def measured_utilisation(model: Modelled, recipe: Recipe, device: Device) -> float | None:
    """What the GPU benchmark measured for this model and method on this device, if it did."""
    if not GPU_FILE.exists():
        return None
    found = read_json(GPU_FILE, dict[str, Any])
    # "RTX-4090-24GB" and "NVIDIA GeForce RTX 4090": the memory and the socket are not in every driver's name.
    chip = "".join(part for part in device.name.split("-") if part != "SXM" and not part.endswith("GB"))
    if chip.lower() not in found["device"].lower().replace(" ", "").replace("-", ""):
        return None
    name = model.name if isinstance(model, Model) else model if isinstance(model, str) else None
    for row in found["rows"]:
        if name is not None and row["model"] == name and row["method"] == recipe.method:
            return row["utilisation"]
    return None


def communication_bytes(model: Modelled, recipe: Recipe, devices: int) -> float:
    """Bytes that a device receives in one optimizer step under FSDP.

    A micro-batch gathers the weights, as wide as they are multiplied, twice, forward and backward (a
    recomputed layer is gathered once for both), and reduces the trained weights' gradients in fp32; of each
    the device's own share is there. The reference of DPO gathers once more. Without sharding, one device
    sends nothing and several average their gradients once a step, which moves each twice.
    """
    shape = shape_of(model)
    full = recipe.method == "full"
    trained = shape.total if full else adapter_parameters(shape, recipe)
    everything = shape.total if full else shape.total + trained
    others = (devices - 1) / devices
    if recipe.sharding == "none":
        return 2 * (2 if recipe.precision == "bf16" and full else 4) * trained * others
    passes = 3 if recipe.objective == "dpo" else 2
    return recipe.accumulation * others * (passes * _computed(recipe) * everything + 4 * trained)


def estimate(model: Modelled, recipe: Recipe, cluster: Cluster, utilisation: float | None = None) -> Estimate:
    """Memory, time and cost of a training (see :class:`Estimate`).

    Parameters
    ----------
    utilisation
        Share of the data sheet's matrix rate; without it what was measured for this model, method and
        device, else :data:`ASSUMED_UTILISATION`.

    Raises
    ------
    TrainingError
        The utilisation is no share, or the model's kind is unknown.
    """
    if utilisation is not None and not 0 < utilisation <= 1:
        raise TrainingError(f"utilisation is {utilisation}; it is a share, above 0 and at most 1")
    source = "given"
    if utilisation is None:
        utilisation, source = measured_utilisation(model, recipe, cluster.device), "measured"
    if utilisation is None:
        utilisation, source = ASSUMED_UTILISATION, "assumed"
    device, devices = cluster.device, cluster.devices
    moments = memory(model, recipe, devices)
    moment = max(moments, key=lambda name: sum(moments[name].values()))
    tensors = sum(moments[moment].values())
    parts = moments[moment] | {"allowance": FRAGMENTATION * tensors + CONTEXT}
    flops = flops_per_token(model, recipe)
    tokens = recipe.micro_tokens * recipe.accumulation
    compute = flops.executed * tokens / (device.rate * 1e12 * utilisation)
    traffic = communication_bytes(model, recipe, devices)
    link = device.inside if cluster.nodes == 1 else device.between
    communication = 0.0 if not traffic else traffic / (link * 1e9) if link else None
    seconds = max(compute, communication or 0.0)
    steps = math.ceil(recipe.total_tokens / (tokens * devices))
    hours = steps * seconds * devices / 3600
    return Estimate(
        parts=parts,
        tensors=tensors,
        total=sum(parts.values()),
        moment=moment,
        fits=sum(parts.values()) <= device.memory * 1e9,
        flops=flops,
        compute_seconds=compute,
        communication_seconds=communication,
        step_seconds=seconds,
        tokens_per_second=tokens * devices / seconds,
        steps=steps,
        days=steps * seconds / 86400,
        device_hours=hours,
        cost=None if cluster.price is None else hours * cluster.price,
        utilisation=utilisation,
        utilisation_source=source,
    )


def fewest_devices(model: Modelled, recipe: Recipe, cluster: Cluster, most: int = 1024) -> int | None:
    """The fewest devices (1, 2, 4, ... of a node, then whole nodes) on which the training fits.

    More than one are sharded with FSDP. ``None`` where ``most`` are too few.
    """
    count = 1
    while count <= most:
        nodes = -(-count // cluster.per_node)
        part = replace(cluster, per_node=min(count, cluster.per_node), nodes=nodes)
        if estimate(model, replace(recipe, sharding="none" if count == 1 else "fsdp"), part).fits:
            return count
        count = min(2 * count, cluster.per_node) if count < cluster.per_node else 2 * count
    return None


def table(
    cluster: Cluster,
    recipe: Recipe | None = None,
    models: Iterable[Model | str] = (),
    methods: Sequence[str] = (),
    utilisation: float | None = None,
) -> list[dict[str, Any]]:
    """One row for each model (the whole series) and method (the model's own) on a cluster.

    Sizes in GB, shares as fractions. ``fewest devices`` is by memory alone; memory and times are of the
    whole cluster, sharded with FSDP where it has more than one device.
    """
    recipe = recipe or Recipe()
    rows = []
    for given in tuple(models) or SERIES.values():
        model = find_model(given) if isinstance(given, str) else given
        for method in methods or (model.sft,):
            sharding = "none" if cluster.devices == 1 else "fsdp"
            wanted = replace(recipe, method=method, sharding=sharding)  # type: ignore[arg-type]
            found = estimate(model, wanted, cluster, utilisation)
            rows.append(
                {
                    "model": model.name,
                    "method": method,
                    "parameters": shape_of(model).total,
                    "active": shape_of(model).active_total,
                    "fewest devices": fewest_devices(model, wanted, cluster),
                    "devices": cluster.devices,
                    "GB a device": found.total / 1e9,
                    "fits": found.fits,
                    "parts": {name: size / 1e9 for name, size in found.parts.items()},
                    "step seconds": found.step_seconds,
                    "communication seconds": found.communication_seconds,
                    "tokens a second": found.tokens_per_second,
                    "days": found.days,
                    "device hours": found.device_hours,
                    "cost": found.cost,
                    "utilisation": found.utilisation,
                    "utilisation source": found.utilisation_source,
                }
            )
    return rows
