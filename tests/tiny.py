"""A tiny random model of the embedded model's architecture, with its tokenizer: trains in seconds."""

from __future__ import annotations

from pathlib import Path


def make(folder: Path, layers: int = 2) -> Path:
    """Write the checkpoint (a Llama of 32 hidden units) and return its folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from xlam_lib import assets

    tokenizer = AutoTokenizer.from_pretrained(str(assets.embedded_model()))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=False,  # a tied random model repeats its last token for ever
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
