"""A local model as a back end, greedy by default; :func:`generate` comes from :mod:`xlam_lib.generation`.

The decoding loop is our own, over the causal models of ``transformers`` whose attention can be replaced
(Llama, Mistral, Mixtral and their like). What it does differently from ``model.generate``, in the order of
what each is worth on a CPU:

* Prompts of one batch that begin alike are read once up to where they part: function-calling questions share
  instructions and often all their tools. Nothing is padded; prompts lie side by side in one packed row.
* A batch can go on from the prompts of the one before it (``keep``), as an agent's next step does.
* The key-value cache is allocated once and written in place. A row that has ended leaves the batch, and the
  last row takes its slot.
* Heads that share a key are computed against it together, so keys and values are never expanded.
* A row ends at the end of its first whole JSON value as well as at the end-of-text token.

The tokens are those of greedy ``model.generate`` but for near ties that another order of additions decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from xlam_lib.errors import TrainingError, XlamError
from xlam_lib.formats import find_end
from xlam_lib.generation import Backend, Generation, Message, Progress, generate
from xlam_lib.train import attention

__all__ = [
    "Backend",
    "Generation",
    "LocalModel",
    "Message",
    "Progress",
    "best_device",
    "best_dtype",
    "ends_json",
    "generate",
]


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


def ends_json(tokenizer: Any, tokens: Sequence[int]) -> bool:
    """Whether the last of an answer's tokens ends its first whole JSON value; false where it is no JSON."""
    last = tokenizer.decode(tokens[-1:])
    if "}" not in last and "]" not in last:
        return False
    text = tokenizer.decode(tokens, skip_special_tokens=True).lstrip()
    return text[:1] in ("{", "[") and find_end(text) is not None


class _KeyValues:
    """A key-value cache allocated once, a slot a row, written in place.

    ``keys[layer]`` and ``values[layer]`` have the shape (slots, key-value heads, capacity, head size), and
    ``lengths`` says how many tokens of each slot are there. It speaks the two methods of transformers'
    caches that a decoder calls. While ``packed`` is set, it takes the rows of one packed row apart; while
    ``continued`` is, one row is written behind a beginning that an earlier batch had read.
    """

    is_compileable = False

    def __init__(self, slots: int, capacity: int, device: torch.device) -> None:
        self.capacity = capacity
        self.lengths = torch.zeros(slots, dtype=torch.long, device=device)
        self.longest = 0  # of the slots in use, before this step's token
        self.slots = torch.arange(slots, device=device)
        self.packed: tuple[Sequence[int], attention.Packed] | None = None  # the rows, and their slots
        self.continued: tuple[int, _Kept, int] | None = None  # a slot, and so many tokens of what was kept
        self.keys: dict[int, torch.Tensor] = {}
        self.values: dict[int, torch.Tensor] = {}

    # Zeros, for a masked place still takes part: nothing times what memory happens to hold may be no number.
    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self.keys:
            shape = (len(self.slots), key.shape[1], self.capacity)
            self.keys[layer] = key.new_zeros(*shape, key.shape[-1])
            self.values[layer] = value.new_zeros(*shape, value.shape[-1])
        kept = (self.keys[layer], self.values[layer])
        if self.packed is not None:
            slots, rows = self.packed
            for row, spans in zip(slots, rows.spans, strict=True):
                at = 0
                for begin, size in spans:
                    for cache, new in zip(kept, (key, value), strict=True):
                        cache[row, :, at : at + size] = new[0, :, begin : begin + size]
                    at += size
            return key, value
        if self.continued is not None:
            row, before, size = self.continued
            end = size + key.shape[2]
            for cache, old, new in zip(kept, (before.keys, before.values), (key, value), strict=True):
                cache[row, :, :size] = old[layer][:, :size]
                cache[row, :, size:end] = new[0]
            return kept[0][row : row + 1, :, :end], kept[1][row : row + 1, :, :end]
        count = len(key)
        for cache, new in zip(kept, (key, value), strict=True):
            cache[self.slots[:count], :, self.lengths[:count]] = new[:, :, 0]
        return kept[0][:count, :, : self.longest + 1], kept[1][:count, :, : self.longest + 1]

    def get_seq_length(self, *_: Any) -> int:
        if self.continued is not None:
            return self.continued[2]
        return 0 if self.packed is not None else self.longest

    def copy(self, slot: int, tokens: list[int]) -> _Kept:
        """What the cache holds of a prompt."""
        keys, values = (
            {layer: cache[slot, :, : len(tokens)].clone() for layer, cache in caches.items()}
            for caches in (self.keys, self.values)
        )
        return _Kept(tokens, keys, values)

    def move(self, source: int, target: int) -> None:
        """Let a slot take the place of one that is no longer needed."""
        size = int(self.lengths[source])
        for cache in (*self.keys.values(), *self.values.values()):
            cache[target, :, :size] = cache[source, :, :size]
        self.lengths[target] = size


@dataclass(frozen=True)
class _Kept:
    """A prompt that was read, and of each layer its keys and values: (key-value heads, tokens, head size)."""

    tokens: list[int]
    keys: dict[int, torch.Tensor]
    values: dict[int, torch.Tensor]

    def common(self, prompt: Sequence[int]) -> int:
        """How many tokens a prompt begins with in common, its last one never among them."""
        return attention.common(torch.tensor(self.tokens), torch.tensor(prompt[:-1]))

    def covers(self, prompt: Sequence[int]) -> bool:
        """Whether another prompt differs in its last tenth at most."""
        return self.common(prompt) >= 0.9 * len(prompt)


_NAME = "xlam_inference"


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one new token a row to the cache, or of a row that continues; else as in training."""
    lengths, before = kwargs.get("lengths"), kwargs.get("continues")
    if before is not None:
        output = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention.band(query.shape[2], before, kwargs.get("sliding_window"), query.device),
            scale=scaling,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return output.transpose(1, 2), None
    if lengths is None:  # a packed row, or a model that is used in another way
        return attention.attend(module, query, key, value, attention_mask, scaling, **kwargs)
    rows, heads, _, size = query.shape
    mask, window = attention_mask, kwargs.get("sliding_window")
    if mask is not None and window is not None:
        places = torch.arange(mask.shape[-1], device=mask.device)
        mask = mask & (places > lengths[:, None, None, None] - window)
    # The heads that share a key are asked as several positions of one head, so that keys are read once and
    # never copied.
    output = functional.scaled_dot_product_attention(
        query.view(rows, key.shape[1], -1, size), key, value, attn_mask=mask, scale=scaling
    )
    return output.reshape(rows, 1, heads, value.shape[-1]), None


_PORTION = 16_384
_WORTH = 32  # tokens in common from which on a row goes on from what was kept


def _portions(prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Stretches of prompts that are read in one pass, of at most that many tokens unless one is longer."""
    begin, size = 0, 0
    for end, prompt in enumerate(prompts):
        if size and size + len(prompt) > _PORTION:
            yield begin, end
            begin, size = end, 0
        size += len(prompt)
    yield begin, len(prompts)


@dataclass
class LocalModel:
    """A causal language model of transformers as a back end.

    Attributes
    ----------
    name
        For tables and cache keys.
    model, tokenizer
        Loaded. The model's attention is replaced when the first batch is answered.
    temperature, seed
        ``None`` for greedy decoding, or a temperature above 0 with the seed of its draws.
    stop_at_json
        End an answer with its first whole JSON value.
    keep
        Keep the keys and values of the last prompts, of so many tokens together at most, for prompts that
        begin alike: an agent's next step, a chat's next turn. By default, nothing is kept.
    """

    name: str
    model: Any
    tokenizer: Any
    temperature: float | None = None
    seed: int = 0
    stop_at_json: bool = True
    keep: int = 0

    constrains: ClassVar[bool] = True
    _constrainer: Any = field(default=None, repr=False)
    _kept: list[_Kept] = field(default_factory=list, repr=False)

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

    def generate(
        self,
        chats: Sequence[Sequence[Message]],
        max_new_tokens: int,
        schemas: Sequence[str | None] | None = None,
    ) -> list[Generation]:
        """Answer one batch of chats; memory grows with its size times its longest prompt.

        ``schemas`` holds each answer to a JSON Schema (as JSON text), see :mod:`xlam_lib.constrained`.

        Raises
        ------
        XlamError
            The architecture's attention cannot be replaced.
        """
        prompts = [self.encode(chat) for chat in chats]
        limit = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30
        fits = [i for i, prompt in enumerate(prompts) if len(prompt) + max_new_tokens <= limit]
        out = [Generation("", len(prompt), 0, "context") for prompt in prompts]
        if fits:
            own = [schemas[i] for i in fits] if schemas else None
            decoded = self._decode([prompts[i] for i in fits], max_new_tokens, own)
            for i, (tokens, finish) in zip(fits, decoded, strict=True):
                text = self.tokenizer.decode(tokens, skip_special_tokens=True)
                out[i] = Generation(text.strip(), len(prompts[i]), len(tokens), finish)
        return out

    def _prepare(self) -> None:
        """Let the model attend to packed rows and to our cache."""
        if self.model.config._attn_implementation == _NAME:
            return
        AttentionInterface.register(_NAME, _attend)
        AttentionMaskInterface.register(_NAME, sdpa_mask)
        try:
            attention.install(self.model)
        except TrainingError as error:
            raise XlamError(
                f"{self.name}: {error}. To answer with such a model, serve it and use its endpoint"
            ) from error
        self.model.set_attn_implementation(_NAME)

    def _masks(self, schemas: Sequence[str | None]) -> list[Any]:
        """What holds each row to its schema; None where it is free."""
        if not any(schemas):
            return [None] * len(schemas)
        if self._constrainer is None:
            from xlam_lib.constrained import Constrainer

            self._constrainer = Constrainer(self.tokenizer, self.model.config.vocab_size)
        return [self._constrainer.mask(schema) if schema else None for schema in schemas]

    @torch.inference_mode()
    def _decode(
        self, prompts: list[list[int]], max_new_tokens: int, schemas: Sequence[str | None] | None = None
    ) -> list[tuple[list[int], str]]:
        self._prepare()
        model, tokenizer = self.model, self.tokenizer
        device, total = model.device, len(prompts)
        stops = {tokenizer.eos_token_id}
        for own in (model.config, model.generation_config):
            ends = getattr(own, "eos_token_id", None)
            stops |= set(ends) if isinstance(ends, list) else {ends}
        generator = torch.Generator(device=device).manual_seed(self.seed)
        masks = self._masks(schemas or [None] * total)

        cache = _KeyValues(total, max(map(len, prompts)) + max_new_tokens, device)
        hidden = self._read(prompts, cache)
        rows = list(range(total))  # the prompt that each slot answers
        tokens: list[list[int]] = [[] for _ in prompts]
        finish = ["length"] * total
        for step in range(max_new_tokens):
            logits = model.lm_head(hidden).float()
            for slot, row in enumerate(rows):
                if (mask := masks[row]) is not None:
                    mask.apply(logits[slot])
            if self.temperature:
                chances = torch.softmax(logits / self.temperature, -1)
                chosen = torch.multinomial(chances, 1, generator=generator)[:, 0]
            else:
                chosen = logits.argmax(-1)
            picked = chosen.tolist()
            ended = []
            for slot, (row, token) in enumerate(zip(rows, picked, strict=True)):
                if token in stops:
                    finish[row] = "stop"
                    ended.append(slot)
                    continue
                tokens[row].append(token)
                mask = masks[row]
                if mask is not None:
                    mask.accept(token)
                whole = self.stop_at_json and ends_json(tokenizer, tokens[row])
                if whole or (mask is not None and mask.ended):
                    finish[row] = "json"
                    ended.append(slot)
            # The last slot takes the place of one that has ended: one row is copied, not all.
            for slot in reversed(ended):
                last = len(rows) - 1
                if slot != last:
                    cache.move(last, slot)
                    rows[slot], picked[slot] = rows[last], picked[last]
                rows.pop()
                picked.pop()
            if not rows or step + 1 == max_new_tokens:
                break
            hidden = self._next(picked, cache)
        return list(zip(tokens, finish, strict=True))

    def _read(self, prompts: list[list[int]], cache: _KeyValues) -> torch.Tensor:
        """Fill the cache with the prompts, rows packed; the last hidden state of each."""
        device = self.model.device
        share = device.type == "cpu"
        found: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
        begun = [max(((old.common(prompt), n) for n, old in enumerate(self._kept)), default=(0, 0))
                 for prompt in prompts]  # fmt: skip
        going_on = [slot for slot, (size, _) in enumerate(begun) if size >= _WORTH]
        new = [slot for slot, (size, _) in enumerate(begun) if size < _WORTH]
        # Both kinds of rows bring their own attention, so the mask is never read.
        empty = {"attention_mask": torch.empty((1, 1, 0, 0), dtype=torch.bool, device=device)}
        for slot in going_on:
            size, which = begun[slot]
            cache.continued = (slot, self._kept[which], size)
            rest = torch.tensor([prompts[slot][size:]], device=device)
            places = torch.arange(size, len(prompts[slot]), device=device)[None]
            whole = self.model.model(
                input_ids=rest,
                position_ids=places,
                **empty,
                past_key_values=cache,
                use_cache=True,
                continues=size,
            ).last_hidden_state
            found[slot] = whole[0, -1]
        cache.continued = None
        for begin, end in _portions([prompts[slot] for slot in new]) if new else ():
            slots = new[begin:end]
            packed = attention.pack([torch.tensor(prompts[slot]) for slot in slots], share)
            cache.packed = (slots, packed)
            inputs = {
                name: value.to(device) if isinstance(value, torch.Tensor) else value
                for name, value in packed.inputs.items()
            }
            whole = self.model.model(
                **inputs, **empty, past_key_values=cache, use_cache=True
            ).last_hidden_state[0]
            for slot, spans in zip(slots, packed.spans, strict=True):
                found[slot] = whole[spans[-1][0] + spans[-1][1] - 1]
        cache.packed = None
        cache.lengths[:] = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self._remember(prompts, cache)
        return torch.stack(found)

    def _remember(self, prompts: list[list[int]], cache: _KeyValues) -> None:
        """Keep the newest prompts for which there is room, and none that another all but contains."""
        kept: list[_Kept] = []
        room = self.keep
        for slot, prompt in sorted(enumerate(prompts), key=lambda pair: -len(pair[1])):
            if len(prompt) <= room and not any(one.covers(prompt) for one in kept):
                kept.append(cache.copy(slot, prompt))
                room -= len(prompt)
        for old in self._kept:
            if len(old.tokens) <= room and not any(one.covers(old.tokens) for one in kept):
                kept.append(old)
                room -= len(old.tokens)
        self._kept = kept

    def _next(self, chosen: list[int], cache: _KeyValues) -> torch.Tensor:
        """The last hidden states after one more token of each row."""
        device, count = self.model.device, len(chosen)
        lengths = cache.lengths[:count]
        cache.longest = int(lengths.max())
        seen = torch.arange(cache.longest + 1, device=device) <= lengths[:, None]
        hidden = self.model.model(
            input_ids=torch.tensor(chosen, device=device)[:, None],
            attention_mask=seen[:, None, None],
            position_ids=lengths[:, None].clone(),
            past_key_values=cache,
            use_cache=True,
            lengths=lengths,
        ).last_hidden_state[:, -1]
        cache.lengths[:count] += 1
        return hidden
