"""Tiny random models with the embedded model's tokenizer: they train in seconds."""

from __future__ import annotations

from pathlib import Path


def make(folder: Path, layers: int = 2, context: int = 512) -> Path:
    """Write a checkpoint of the embedded model's architecture (a Llama of 32 units) and return its folder."""
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
        max_position_embeddings=context,
        tie_word_embeddings=False,  # a tied random model repeats its last token for ever
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_series(folder: Path, name: str) -> Path:
    """Write a checkpoint of the architecture and chat template of a model in ``SERIES``; return its folder.

    ``name`` is the model's or its base's. The tokenizer's words are the embedded model's, so the special
    tokens that the template writes are, too.
    """
    from transformers import AutoTokenizer

    from xlam_lib import assets, models

    series = models.find(name)
    tokenizer = AutoTokenizer.from_pretrained(str(assets.embedded_model()))
    tokenizer.chat_template = None
    models.with_template(tokenizer, series)
    model = models.tiny(series, len(tokenizer))
    for settings in (model.config, model.generation_config):
        settings.bos_token_id = tokenizer.bos_token_id
        settings.eos_token_id = tokenizer.eos_token_id
        settings.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
