"""Decoding speed: our loop against ``model.generate`` of transformers, on the same prompts and limit."""

from __future__ import annotations

import json
import time

import torch

from xlam_lib import assets
from xlam_lib.evaluate import bfcl
from xlam_lib.inference import LocalModel, generate
from xlam_lib.prompts import messages


def main(arguments: list[str]) -> None:
    """Print seconds of both, their ratio, and how many answers agree to the letter."""
    count = int(arguments[0]) if arguments else 32
    questions = bfcl.sample(bfcl.questions(["simple_python"]), count, 0)
    chats = [messages(bfcl.trajectory(q), "plain", length="brief") for q in questions]
    model = LocalModel.load(assets.model_folder(), stop_at_json=False)
    started = time.time()
    ours = generate(chats, model, max_new_tokens=64, batch_size=count)
    mine = time.time() - started

    tokenizer = model.tokenizer
    tokenizer.padding_side = "left"
    texts = [tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in chats]
    started = time.time()
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = model.model.generate(**inputs, max_new_tokens=64, do_sample=False)
    theirs = time.time() - started
    width = inputs["input_ids"].shape[1]
    same = sum(
        tokenizer.decode(row[width:], skip_special_tokens=True).strip() == answer.text
        for row, answer in zip(out, ours, strict=True)
    )
    print(
        f"transformers' generate (baseline): {theirs:.1f} s; ours: {mine:.1f} s ({count} prompts, 64 tokens)"
    )
    print(json.dumps({"ratio": round(theirs / mine, 2), "equal_answers": same, "answers": count}))
