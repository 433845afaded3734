"""Peaks of memory of one training step, traced on fake tensors or measured on this machine's CPU.

What :mod:`xlam_lib.train.planner` computes is checked against both: ``python -m xlam_lib bench planner``.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlam_lib.errors import TrainingError
from xlam_lib.train.planner import Recipe, configuration, hands_on_fp32, shape_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from xlam_lib.train.planner import Modelled


def trace_peak(model: Modelled, recipe: Recipe, devices: int = 1) -> int:
    """Peak bytes of the tensors of one optimizer step on one device, on fake tensors: no memory, any size.

    Real modules, autograd, checkpointing, peft and AdamW run; only the attention is a stand-in that keeps
    what fused kernels keep. A sharded recipe runs FSDP2 as one of ``devices`` processes, the others imagined,
    and torch's own tracker follows it.

    Raises
    ------
    TrainingError
        The recipe shards and is LoRA's or accumulates: torch's tracker follows neither frozen weights nor a
        second pass. Or it multiplies a mixture's experts in fp32: torch knows the shapes of grouped matrix
        products in bf16 alone.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    if shape_of(model).expert and (hands_on_fp32(recipe) or recipe.precision == "fp32"):
        raise TrainingError("a mixture's experts are traced in bf16; trace the recipe with precision='bf16'")
    if recipe.sharding == "fsdp":
        if recipe.method != "full" or recipe.accumulation > 1:
            raise TrainingError(
                "sharded LoRA and sharded accumulation cannot be traced; "
                "trace with accumulation=1, LoRA with sharding='none'"
            )
        return _in_process("_trace_here", model, recipe, devices)
    built = _build(model, recipe, "meta")
    with FakeTensorMode():
        _materialise(built)
        mode = _bytes_mode()
        for tensor in (*built.parameters(), *built.buffers()):
            mode.follow(tensor)
        with mode:
            _run_step(built, recipe)
    return mode.peak


def measure_peak(model: Modelled, recipe: Recipe) -> int:
    """Peak bytes of this machine's memory that one optimizer step takes on its CPU, with random weights.

    It runs in a fresh process: the peak of its resident memory, less what it was before the model was
    made. The allocator is set to give freed tensors back at once. One device, no sharding.

    Raises
    ------
    TrainingError
        The recipe is sharded, or the process failed (for want of memory, say).
    """
    if recipe.sharding != "none":
        raise TrainingError("a measurement is of one device; measure the recipe with sharding='none'")
    return _in_process("_measure_here", model, recipe, 1)


def _in_process(body: str, model: Modelled, recipe: Recipe, devices: int) -> int:
    """Run one of the two functions below in a fresh process, and return the number it prints."""
    given = {"config": configuration(model).to_dict(), "recipe": asdict(recipe), "devices": devices}
    allocator = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", f"from xlam_lib.train import peaks; peaks.{body}()"],
        input=json.dumps(given, default=str),
        env={**os.environ, **allocator},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise TrainingError(
            f"the measuring process failed ({reason[0]}); fewer micro_tokens take less memory"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _given() -> tuple[PretrainedConfig, Recipe, int]:
    from transformers import AutoConfig

    given = json.load(sys.stdin)
    values = given["config"]
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    return config, Recipe(**given["recipe"]), given["devices"]


def _measure_here() -> None:
    """Body of the measuring process: model and recipe on standard input, bytes on standard output."""
    from transformers import LlamaConfig

    config, recipe, _ = _given()
    # Libraries load their parts at first use; that is not the training's memory.
    small = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    warm = replace(recipe, micro_tokens=32, length=32)
    _run_step(_build(small, warm, "cpu"), warm)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    _run_step(_build(config, recipe, "cpu"), recipe)
    print(_status("VmHWM") - before)


def _trace_here() -> None:
    """Body of the process that traces a sharded step, because it joins a process group of its own."""
    import torch
    import torch.distributed as dist
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    from torch.testing._internal.distributed.fake_pg import FakeStore

    config, recipe, devices = _given()
    dist.init_process_group("fake", rank=0, world_size=devices, store=FakeStore())
    mesh = dist.init_device_mesh("cpu", (devices,))
    policy = MixedPrecisionPolicy()
    if recipe.precision == "mixed":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    built = _build(config, recipe, "meta")
    with FakeTensorMode():
        _materialise(built)
        for layer in built.model.layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(built, mesh=mesh, mp_policy=policy)
        tracker: Any = None

        def follow(optimizer: Any) -> Any:
            nonlocal tracker
            tracker = FSDPMemTracker(built, optimizer)
            tracker.track_inputs(())
            return tracker

        _run_step(built, recipe, follow)
    peaks = tracker.get_tracker_snapshot("peak")
    print(sum(parts["Total"] for parts in peaks.values()))


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise TrainingError(f"this system does not tell a process its {field}; measure on Linux")


def _build(model: Modelled, recipe: Recipe, device: str) -> Any:
    """The causal model on a device, adapted and set to recompute as the recipe says."""
    import warnings

    import torch
    from transformers import AttentionInterface, AutoModelForCausalLM

    config = copy.deepcopy(configuration(model))
    config.use_cache = False
    if getattr(config, "num_local_experts", 0):
        config._experts_implementation = "grouped_mm"
    whole = recipe.precision == "fp32" or (recipe.method == "full" and recipe.precision == "mixed")
    attention = "sdpa"
    if device == "meta":
        attention = "xlam_planner"
        AttentionInterface.register(attention, _fused_attention)
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32 if whole else torch.bfloat16, attn_implementation=attention
        )
        if recipe.method == "lora":
            from peft import LoraConfig, get_peft_model

            names = ["q_proj", "k_proj", "v_proj", "o_proj"]
            modules = names if recipe.modules == "attention" else "all-linear"
            get_peft_model(
                built, LoraConfig(r=recipe.rank, target_modules=modules, task_type="CAUSAL_LM")
            )  # puts the adapters into `built` itself
        if recipe.recompute:
            built.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return built.train()


def _materialise(model: Any) -> None:
    """Give meta tensors the fake mode's storage, shared parameters still shared."""
    import torch

    made: dict[int, tuple[Any, Any]] = {}
    for module in model.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None:
                if id(tensor) not in made:
                    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
                    # The old tensor is kept, so that no other gets its id.
                    made[id(tensor)] = tensor, torch.nn.Parameter(fake, tensor.requires_grad)
                module._parameters[name] = made[id(tensor)][1]
        for name, tensor in module._buffers.items():
            if tensor is not None:
                module._buffers[name] = torch.empty(tensor.shape, dtype=tensor.dtype)


def _run_step(model: Any, recipe: Recipe, follow: Callable[[Any], Any] | None = None) -> None:
    """Forward, backward and AdamW as the trainer does them, scoring the first ``head_tokens`` positions.

    AdamW has its states from the start, as it has in every step but the first. ``follow`` makes a context
    for the step of the optimizer.
    """
    import torch
    from torch.nn import functional

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, fused=recipe.sharding == "none", foreach=False)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    rows = max(recipe.micro_tokens // recipe.length, 1)
    length = recipe.micro_tokens // rows
    count = min(recipe.head_tokens, rows * length)

    def score(ids: Any) -> Any:
        hidden = model.model(input_ids=ids).last_hidden_state
        return model.lm_head(hidden.reshape(rows * length, -1)[:count]).float()

    model.forward = score  # FSDP gathers the embedding and the head in the whole model's forward
    cast = recipe.precision == "mixed" and recipe.sharding == "none"
    with follow(optimizer) if follow else nullcontext():
        for _ in range(min(recipe.accumulation, 2)):  # a third micro-batch takes no more than the second
            ids = torch.zeros(rows, length, dtype=torch.long)
            with torch.autocast("cpu", torch.bfloat16) if cast else nullcontext():
                logits = model(ids)
                loss = functional.cross_entropy(logits, torch.zeros(count, dtype=torch.long))
            del logits
            loss.backward()
            del loss
        optimizer.step()
        optimizer.zero_grad()


def _fused_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **kwargs: Any
) -> tuple[Any, None]:
    """Attention that computes nothing and keeps what a fused kernel keeps, for traces."""
    import torch

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any) -> Any:
            rows, heads, length, width = query.shape
            out = query.new_empty(rows, length, heads, width)
            sums = query.new_empty(rows, heads, length, dtype=torch.float32)
            ctx.save_for_backward(query, key, value, out, sums)
            return out

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            query, key, value, _, _ = ctx.saved_tensors
            return tuple(torch.empty_like(tensor) for tensor in (query, key, value))

    if torch.is_autocast_enabled("cpu"):
        query, key, value = (tensor.to(torch.bfloat16) for tensor in (query, key, value))
    return Fused.apply(query, key, value), None


def _bytes_mode() -> Any:
    """A dispatch mode that follows the bytes of all storages alive."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_iter

    class Bytes(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.current = self.peak = 0
            self.alive: dict[int, Any] = {}

        def follow(self, tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            key, size = id(storage), storage.nbytes()
            if key in self.alive:
                return

            def gone(_: Any) -> None:
                self.current -= size
                del self.alive[key]

            self.alive[key] = weakref.ref(storage, gone)
            self.current += size
            self.peak = max(self.peak, self.current)

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            for value in tree_iter(out):
                if isinstance(value, torch.Tensor):
                    self.follow(value)
            return out

    return Bytes()
