"""The processes of one training: who am I, wait, add up, gather; and FSDP2 on CPUs, for rehearsals.

Everything here also works in a single process, with or without ``torch.distributed``.

What fully sharded training (FSDP2 through Accelerate 1.15, transformers 5.23, TRL 1.16, torch 2.13) asks of a
trainer, each point found or confirmed by training tiny models in one process and in two and comparing the
curves:

* ``fsdp_cpu_ram_efficient_loading`` hands process 0's weights on to the others, but transformers reads them
  from disk in all of them: eight copies of a 46.7-billion-parameter model in float32 are 1.5 TB of a
  machine's memory. So only process 0 reads (:func:`reads_weights`), the others make an :func:`empty_model`.
* TRL's fused head reads ``lm_head.weight`` outside the head's own forward, where it may be a shard; TRL
  gathers it then. Ours calls the head as a module, so FSDP gathers it. Tied embeddings are in one group with
  the head and need nothing; gathered, they are two tensors, so :func:`full_state_dict` makes them one again.
* Every process must make the same number of forward and backward passes, also of empty micro-batches, in
  training and in evaluation: each pass gathers weights from all.
* Trained parameters of one layer must have one dtype; frozen ones may differ. So LoRA's base can stay in
  bfloat16 beside adapters in float32. Accelerate itself raises trained parameters to float32 when mixed
  precision is on.
* Mixed precision as Accelerate sets it adds gradients up in bfloat16 and rounds what the model returns, the
  log-probabilities of tokens among it, to bfloat16: on a tiny model the loss was off by 1e-2 where float32
  is off by 1e-3. Activations are best recomputed inside the sharded layer, or its weights are gathered once
  more. :func:`settle_sharding` sees to both.
* Gradient clipping, gradient accumulation, LoRA, fused experts (Mixtral) and sharded checkpoints work as
  they are. Accelerate wraps decoder layers by the model's own ``_no_split_modules``.
* A trainer that reads a ``DataLoader`` of its own must give it a batch sampler: Accelerate skips batches by
  it when a training resumes.
* Under ``SHARDED_STATE_DICT`` the trainer's ``save_model`` writes nothing: :func:`full_state_dict` and
  ``save_pretrained`` do it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# Long enough for one process to merge and write the largest model while the others wait for it. A process
# that dies is noticed by its launcher, not by this.
_PATIENCE = timedelta(hours=2)
_PR_SET_PDEATHSIG = 1

LAUNCHED = "XLAM_LAUNCHED"
"""The environment variable by which :mod:`xlam_lib.train.launch` marks the processes it starts."""


def start() -> None:
    """Join the other processes of this training, if it was launched with any; call it before all else.

    A process that :mod:`xlam_lib.train.launch` started also ends from here on when its launcher does.
    """
    if LAUNCHED in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if processes() == 1 or _joined():
        return
    from accelerate import PartialState

    cpu = _flag("ACCELERATE_USE_CPU")
    if cpu and sharded():
        allow_fsdp_on_cpu()
    PartialState(cpu=cpu, timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes; no call of this module that needs them may follow."""
    if _joined():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0, among all of the training on all machines."""
    return dist.get_rank() if _joined() else int(os.environ.get("RANK", "0"))


def processes() -> int:
    """The number of processes of this training on all machines."""
    return dist.get_world_size() if _joined() else int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is process 0, which alone writes what all share."""
    return rank() == 0


def sharded() -> bool:
    """Whether this training was launched with fully sharded data parallelism."""
    return _flag("ACCELERATE_USE_FSDP")


def barrier() -> None:
    """Wait until every process has come here."""
    if processes() > 1:
        start()
        dist.barrier()


def gather_sum(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes; the argument itself stays as it is.

    Every process calls it with the same shape and dtype, on its own device.
    """
    total = values.detach().clone()
    if processes() > 1:
        start()
        dist.all_reduce(total)
    return total


def reads_weights() -> bool:
    """Whether this process reads a checkpoint's weights; the others may be handed them by FSDP."""
    return is_main() or not (sharded() and _flag("FSDP_CPU_RAM_EFFICIENT_LOADING"))


def empty_model(folder: str | Path, dtype: torch.dtype) -> Any:
    """A checkpoint's model without its weights, for a process that does not read them.

    Its weights are memory that was never written to, so the system has not set any aside. They are on the
    CPU all the same and not on the meta device, where Accelerate could not tell one from another.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.tie_weights()
    return model


def full_state_dict(trainer: Any) -> dict[str, torch.Tensor] | None:
    """The trainer's weights, whole and on the CPU, in process 0; ``None`` in the others.

    Every process calls it together, whether the model is sharded (FSDP2), copied (DDP) or alone. The names
    are those of the unwrapped model, fit for ``save_pretrained(state_dict=...)``. Of a LoRA model only the
    trained weights are gathered, which is what its ``save_pretrained`` writes: the frozen base is where it
    came from.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    model = trainer.accelerator.unwrap_model(trainer.model)
    adapter = hasattr(model, "peft_config")
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
    state: dict[str, Any] = get_model_state_dict(model, options=options)
    if not is_main():
        return None
    first: dict[torch.nn.Parameter, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        name = name.replace("_checkpoint_wrapped_module.", "")
        if adapter and not parameter.requires_grad:
            state.pop(name, None)  # the second name of a frozen tied weight
        elif name != first.setdefault(parameter, name):
            state[name] = state[first[parameter]]
    return state


def settle_sharding(trainer: Any, recompute: bool) -> None:
    """Give FSDP2 what an Accelerate file cannot say; does nothing to a trainer that is not sharded.

    Call it between making the trainer and training. In mixed precision gradients are added up in float32 and
    the model's outputs keep their dtype. With ``recompute`` the activations of each decoder layer are made
    again in the backward pass, inside the sharded layer; the trainer's own ``activation_checkpointing`` must
    then be off.
    """
    if not trainer.is_fsdp_enabled:
        return
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = trainer.accelerator.state.fsdp_plugin
    plugin.activation_checkpointing = recompute
    if trainer.accelerator.mixed_precision == "bf16":
        plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )


def allow_fsdp_on_cpu() -> None:
    """Let Accelerate shard a training over CPU processes; calling it again changes nothing.

    Accelerate turns FSDP on for processes with accelerators only: those on CPUs it calls ``MULTI_CPU`` and
    copies the model to each, although torch shards over gloo as it does over NCCL. This looks at the state
    after Accelerate has made it, and does for CPU processes what it does for the others.
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    original = AcceleratorState.__init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is None or self.distributed_type != DistributedType.MULTI_CPU:
            return
        if self.mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self.mixed_precision)
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = DistributedType.FSDP
        # As Accelerate's own constructor ends: later states are made from what is kept here.
        PartialState._shared_state["distributed_type"] = self.distributed_type

    AcceleratorState.__init__ = initialise


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _flag(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1", "yes")
