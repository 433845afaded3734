"""What test processes train (``python -m tests.cluster_worker train JOB``): tiny models, several in a row.

The job lists trainings. Each notes its loss and gradient norm at every step, how its weights were held, and
saves the whole model. The batches of a step are the same for one process as for two.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import torch
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader

from xlam_lib.records import read_json, write_json
from xlam_lib.train import cluster

STEPS, STREAMS, ROWS, WORDS = 6, 2, 2, 128


def model(kind: str, tied: bool = False) -> Any:
    """A random model of three layers."""
    from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

    shape = {
        "vocab_size": WORDS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": tied,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    if kind == "mixtral":
        return MixtralForCausalLM(MixtralConfig(num_local_experts=4, **shape))
    return LlamaForCausalLM(LlamaConfig(**shape))


def batch(number: int) -> dict[str, torch.Tensor]:
    """The ``number``-th micro-batch: rows of 14 tokens, a different number of them labelled in each."""
    draw = torch.Generator().manual_seed(number)
    ids = torch.randint(3, WORDS, (ROWS, 14), generator=draw)
    labels = ids.clone()
    labels[:, : 2 + number % 9] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def train(todo: dict[str, Any]) -> dict[str, Any]:
    """One training: ``base``, ``out``, and any of ``lora``, ``bf16``, ``recompute``, ``save``, ``resume``."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(WORDS)}, unk_token="w3"))
    per_process = STREAMS // cluster.processes()
    config = SFTConfig(
        output_dir=todo["out"],
        max_steps=STEPS,
        per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=per_process,
        learning_rate=1e-2,
        warmup_steps=2,
        max_grad_norm=0.5,
        max_length=None,
        use_cpu=True,
        bf16=bool(todo.get("bf16")),
        activation_checkpointing=bool(todo.get("recompute")) and not cluster.sharded(),
        save_strategy="steps" if todo.get("save") else "no",
        save_steps=todo.get("save", 500),
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    # The frozen weights under LoRA are held in bfloat16 beside adapters in float32.
    dtype = torch.bfloat16 if todo.get("bf16") and todo.get("lora") else torch.float32
    if cluster.reads_weights():
        network = AutoModelForCausalLM.from_pretrained(todo["base"], dtype=dtype)
    else:
        network = cluster.empty_model(todo["base"], dtype)
    if todo.get("lora"):
        torch.manual_seed(1)
        network = get_peft_model(network, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))

    class Trainer(SFTTrainer):
        def get_train_dataloader(self) -> Any:
            first = cluster.rank() * per_process
            mine = [step * STREAMS + first + turn for step in range(STEPS) for turn in range(per_process)]
            return DataLoader(
                cast(Any, mine), batch_sampler=[[at] for at in range(len(mine))], collate_fn=_one
            )

    trainer = Trainer(
        model=network,
        args=config,
        train_dataset=Dataset.from_list([{"input_ids": [3], "labels": [3]}]),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1"),
    )
    cluster.settle_sharding(trainer, bool(todo.get("recompute")))
    trainer.train(resume_from_checkpoint=todo.get("resume"))
    trained: Any = trainer.model
    weights = dict(trained.named_parameters())
    whole = cluster.full_state_dict(trainer)
    if whole is not None:
        bare = trainer.accelerator.unwrap_model(trained)
        bare.save_pretrained(todo["out"], state_dict=whole)
    cluster.barrier()
    shards = [p for p in weights.values() if isinstance(p, DTensor)]
    return {
        "loss": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "norm": [float(entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry],
        "distributed": str(trainer.accelerator.distributed_type.value),
        "weights": len(weights),
        "shards": len(shards),
        "mesh": sorted({shard.device_mesh.device_type for shard in shards}),
        "part": sum(p.to_local().numel() for p in shards) / sum(p.numel() for p in weights.values()),
        "units": sorted({type(m).__name__ for m in trained.modules() if type(m).__name__.startswith("FSDP")}),
        "dtypes": sorted({str(p.dtype) for p in weights.values()}),
        "read": cluster.reads_weights(),
        "whole": None if whole is None else sorted(whole),
    }


def _one(numbers: list[int]) -> dict[str, torch.Tensor]:
    return batch(numbers[0])


def main(job: Path) -> int:
    cluster.start()
    noted = {name: train(todo) for name, todo in read_json(job).items()}
    write_json(job.with_suffix(f".{cluster.rank()}.json"), noted)
    cluster.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[2])))
