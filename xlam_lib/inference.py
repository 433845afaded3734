"""Text generation for evaluation and preferences: one :func:`generate`, greedy by default.

The decoding loop is our own, over any causal model of ``transformers``, because on a CPU the cost of
``model.generate`` for a small model is copying: it concatenates the key-value cache at every step and
carries finished rows to the end. Here the cache is allocated once, rows leave the batch when they
stop, and a row stops at the end of its first whole JSON value as well as at the end-of-text token.

Batches are fixed by the prompts alone (sorted by length, then cut), and answers are kept in a cache
file batch by batch, so that an interrupted call goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import torch

from xlam_lib.errors import XlamError
from xlam_lib.formats import find_end
from xlam_lib.records import read_jsonl

Message = dict[str, str]
Progress = Callable[[int, int], None]


class Generation(msgspec.Struct):
    """One answer.

    Attributes: the ``text`` without special tokens, the number of ``prompt_tokens`` and ``tokens``
    generated, and why it ended: ``stop`` (end-of-text token), ``json`` (a whole JSON value),
    ``length`` (the limit) or ``context`` (the prompt does not fit the model's context; text is empty).
    """

    text: str
    prompt_tokens: int
    tokens: int
    finish: str


class Backend(Protocol):
    """Anything that answers chats: a local model here, an HTTP endpoint or an engine elsewhere."""

    name: str

    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        """Answer one batch of chats, in order."""
        ...


def best_dtype(device: str | torch.device = "cpu") -> torch.dtype:
    """The fastest dtype that trains well on this device.

    bfloat16 on GPUs and on CPUs with bfloat16 or AMX instructions; float32 on other CPUs, where
    bfloat16 is emulated and about twenty times slower.
    """
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _KeyValues:
    """A key-value cache allocated once: ``update`` writes in place and returns views.

    ``keys[layer]`` and ``values[layer]`` have the shape (rows, key-value heads, capacity, head size).
    It speaks the two methods of transformers' caches that a decoder with a 4-d mask calls.
    """

    is_compileable = False

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.keys: dict[int, torch.Tensor] = {}
        self.values: dict[int, torch.Tensor] = {}

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, heads, count, size = key.shape
        if layer not in self.keys:
            self.keys[layer] = key.new_zeros(rows, heads, self.capacity, size)
            self.values[layer] = value.new_zeros(rows, heads, self.capacity, value.shape[-1])
        end = self.length + count
        self.keys[layer][:, :, self.length : end] = key
        self.values[layer][:, :, self.length : end] = value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def get_seq_length(self, *_: Any) -> int:
        return self.length

    def keep(self, rows: torch.Tensor) -> None:
        for layer in self.keys:
            self.keys[layer] = self.keys[layer][rows]
            self.values[layer] = self.values[layer][rows]


@dataclass
class LocalModel:
    """A causal language model of transformers as a back end.

    Attributes: ``name`` for tables and cache keys, the ``model`` and its ``tokenizer``; ``sampling``
    is ``None`` for greedy decoding or a temperature above 0, with ``seed`` for its draws.
    """

    name: str
    model: Any
    tokenizer: Any
    temperature: float | None = None
    seed: int = 0
    stop_at_json: bool = True

    @classmethod
    def load(
        cls, folder: str | Path, name: str | None = None, adapter: str | Path | None = None, **options: Any
    ) -> LocalModel:
        """Load a safetensors checkpoint, and a LoRA ``adapter`` merged into it if one is given."""
        from transformers import AutoModelForCausalLM, AutoTokenizer, logging

        logging.disable_progress_bar()
        device = best_device()
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=best_dtype(device), trust_remote_code=False, use_safetensors=True
        )
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        return cls(name or Path(folder).name, model.to(device).eval(), tokenizer, **options)

    def encode(self, chat: Sequence[Message]) -> list[int]:
        """A chat's token ids, up to and including the header of the assistant's turn."""
        return list(
            self.tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, return_dict=False)
        )

    @torch.inference_mode()
    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        """Answer one batch of chats; memory grows with its size times its longest prompt."""
        prompts = [self.encode(chat) for chat in chats]
        limit = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30
        fits = [i for i, prompt in enumerate(prompts) if len(prompt) + max_new_tokens <= limit]
        out = [Generation("", len(prompt), 0, "context") for prompt in prompts]
        if fits:
            decoded = self._decode([prompts[i] for i in fits], max_new_tokens)
            for i, (tokens, finish) in zip(fits, decoded, strict=True):
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                out[i] = Generation(text.strip(), len(prompts[i]), len(tokens), finish)
        return out

    def _decode(self, prompts: list[list[int]], max_new_tokens: int) -> list[tuple[list[int], str]]:
        model, tokenizer = self.model, self.tokenizer
        device, dtype = model.device, model.dtype
        width, total = max(map(len, prompts)), len(prompts)
        stops = {tokenizer.eos_token_id, getattr(model.config, "eos_token_id", None)}
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        generator = torch.Generator(device=device).manual_seed(self.seed)

        # Rows are padded on the left so that all of them continue at the same column.
        ids = torch.full((total, width), pad, device=device)
        real = torch.zeros((total, width + max_new_tokens), dtype=torch.bool, device=device)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, device=device)
            real[row, width - len(prompt) :] = True
        lengths = real[:, :width].sum(1)
        positions = (torch.arange(width, device=device) - (width - lengths)[:, None]).clamp_min(0)

        cache = _KeyValues(width + max_new_tokens)
        lowest = torch.finfo(dtype).min
        causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        mask = torch.where(causal & real[:, None, None, :width], 0.0, lowest).to(dtype)

        rows = torch.arange(total, device=device)  # the prompts still being answered
        tokens: list[list[int]] = [[] for _ in prompts]
        finish = ["length"] * total
        for step in range(max_new_tokens):
            hidden = model.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            cache.length += ids.shape[1]
            logits = model.lm_head(hidden).float()
            if self.temperature:
                chances = torch.softmax(logits / self.temperature, -1)
                chosen = torch.multinomial(chances, 1, generator=generator)[:, 0]
            else:
                chosen = logits.argmax(-1)
            going = []
            for place, (row, token) in enumerate(zip(rows.tolist(), chosen.tolist(), strict=True)):
                if token in stops:
                    finish[row] = "stop"
                    continue
                tokens[row].append(token)
                if self.stop_at_json and self._json_ended(tokens[row]):
                    finish[row] = "json"
                    continue
                going.append(place)
            if not going or step + 1 == max_new_tokens:
                break
            if len(going) < len(rows):
                kept = torch.tensor(going, device=device)
                rows, chosen, real, lengths = rows[kept], chosen[kept], real[kept], lengths[kept]
                cache.keep(kept)
            ids = chosen[:, None]
            positions = (lengths + step)[:, None]
            mask = torch.where(real[:, None, None, : cache.length + 1], 0.0, lowest).to(dtype)
        return list(zip(tokens, finish, strict=True))

    def _json_ended(self, tokens: list[int]) -> bool:
        last = self.tokenizer.decode(tokens[-1:])
        if "}" not in last and "]" not in last:
            return False
        text = self.tokenizer.decode(tokens, skip_special_tokens=True).lstrip()
        return text[:1] in ("{", "[") and find_end(text) is not None


def generate(
    chats: Sequence[Sequence[Message]],
    backend: Backend,
    *,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    batch_characters: int = 32_000,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Generation]:
    """Answer every chat, in order.

    Parameters
    ----------
    chats
        Lists of ``{"role", "content"}`` messages.
    backend
        Who answers.
    max_new_tokens
        The longest answer, in tokens.
    batch_size
        Chats a batch, at most. Sorted by length first, so that little of a batch is padding.
    batch_characters
        Characters a batch, padding included: long prompts go in smaller batches, which bounds memory.
    cache
        A JSON Lines file of answered batches; those found there are not generated again.
    progress
        Called with (chats answered, chats) after each batch.

    Raises
    ------
    XlamError
        The batch size or the limit is not positive.
    """
    if batch_size < 1 or max_new_tokens < 1:
        raise XlamError(
            f"batch_size {batch_size} and max_new_tokens {max_new_tokens} must both be at least 1"
        )
    answers: list[Generation | None] = [None] * len(chats)
    known = _read_cache(cache)
    lengths = [sum(len(message["content"]) for message in chat) for chat in chats]
    done = 0
    for batch in _batches(lengths, batch_size, batch_characters):
        key = _key(backend.name, max_new_tokens, [chats[i] for i in batch])
        found = known.get(key)
        if found is None:
            found = backend.generate([chats[i] for i in batch], max_new_tokens)
            _append(cache, key, found)
        for i, answer in zip(batch, found, strict=True):
            answers[i] = answer
        done += len(batch)
        if progress:
            progress(done, len(chats))
    return [answer for answer in answers if answer is not None]


def _batches(lengths: Sequence[int], size: int, characters: int) -> Iterator[list[int]]:
    """Indices in batches, shortest first; a batch's count times its longest stays within ``characters``."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and (len(batch) == size or (len(batch) + 1) * lengths[i] > characters):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _key(name: str, limit: int, chats: Sequence[Sequence[Message]]) -> str:
    return hashlib.sha256(json.dumps([name, limit, chats], sort_keys=True).encode()).hexdigest()


class _Batch(msgspec.Struct):
    key: str
    answers: list[Generation]


def _read_cache(path: str | Path | None) -> dict[str, list[Generation]]:
    if path is None or not Path(path).exists():
        return {}
    _drop_torn_line(Path(path))
    return {batch.key: batch.answers for batch in read_jsonl(path, _Batch)}


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without its newline: the batch that was being written when the run was killed."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _append(path: str | Path | None, key: str, answers: list[Generation]) -> None:
    if path is None:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(_Batch(key, answers)) + b"\n")
