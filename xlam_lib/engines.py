"""A compiled CPU engine as a back end: CTranslate2, for whoever asks one question at a time.

Of the engines that come as wheels for this Python, three were tried beside :mod:`xlam_lib.inference` with the
embedded model, on two cores (AVX2, no bfloat16), 16 prompts of about 400 tokens, 48 tokens each:

* CTranslate2 in float32 gives the same tokens. One chat at a time it writes 31 tokens a second where our loop
  writes 13, which makes an answer twice as fast. In batches our loop is ahead (it reads what prompts have in
  common once): 24 against 43 seconds for all.
* CTranslate2 in int8 was no faster than in float32 here, and its answers are others.
* OpenVINO GenAI, from the 4-bit checkpoint, was the fastest in batches (19 seconds) and as fast as
  CTranslate2 alone, and its answers are others: it computes with other weights.

So benchmarks, which want the model's own answers to thousands of questions, use our loop, and this engine is
there for single questions. It cannot hold answers to a schema.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xlam_lib import assets
from xlam_lib.errors import XlamError
from xlam_lib.generation import Generation, Message
from xlam_lib.inference import ends_json
from xlam_lib.records import hash_folder

INSTALL = 'pip install "ctranslate2>=4.8"'
PREFIX = "ctranslate2:"
"""What a model's name begins with where :func:`xlam_lib.endpoint.open_backend` is to use this engine."""


@dataclass
class CTranslate2Model:
    """A checkpoint of transformers, converted once, as a back end with greedy decoding.

    Attributes
    ----------
    name
        For tables and cache keys.
    engine, tokenizer
        A ``ctranslate2.Generator`` and the checkpoint's tokenizer.
    longest
        The longest prompt and answer together, in tokens.
    stops
        Tokens that end an answer.
    stop_at_json
        Cut an answer off behind its first whole JSON value.
    """

    name: str
    engine: Any
    tokenizer: Any
    longest: int
    stops: tuple[str, ...]
    stop_at_json: bool = True

    constrains: ClassVar[bool] = False

    @classmethod
    def load(
        cls, folder: str | Path, name: str | None = None, *, compute_type: str = "float32", threads: int = 0
    ) -> CTranslate2Model:
        """Load a safetensors checkpoint; it is converted at the first time and kept in the cache.

        Parameters
        ----------
        folder, name
            The checkpoint (merge an adapter first), and what to call it.
        compute_type
            ``float32`` for the checkpoint's own answers; ``int8`` needs a quarter of the memory.
        threads
            0: as many as there are cores.

        Raises
        ------
        XlamError
            ctranslate2 is not installed, or it does not know the architecture.
        """
        try:
            import ctranslate2
        except ImportError as error:
            raise XlamError(f"the engine needs ctranslate2: {INSTALL}") from error
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        converted = _converted(Path(folder), compute_type)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        stops = {tokenizer.eos_token_id}
        owners: list[Any] = [config]
        if (Path(folder) / "generation_config.json").exists():
            owners.append(GenerationConfig.from_pretrained(str(folder)))
        for owner in owners:
            ends = getattr(owner, "eos_token_id", None)
            stops |= set(ends) if isinstance(ends, list) else {ends}
        return cls(
            name or Path(folder).name,
            ctranslate2.Generator(
                str(converted), compute_type=compute_type, intra_threads=threads or os.cpu_count() or 1
            ),
            tokenizer,
            getattr(config, "max_position_embeddings", None) or 1 << 30,
            tuple(tokenizer.convert_ids_to_tokens(sorted(stop for stop in stops if stop is not None))),
        )

    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        """Answer one batch of chats."""
        prompts = [
            list(
                self.tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, return_dict=False)
            )
            for chat in chats
        ]
        out = [Generation("", len(prompt), 0, "context") for prompt in prompts]
        fits = [i for i, prompt in enumerate(prompts) if len(prompt) + max_new_tokens <= self.longest]
        if not fits:
            return out
        found = self.engine.generate_batch(
            [self.tokenizer.convert_ids_to_tokens(prompts[i]) for i in fits],
            max_length=max_new_tokens,
            include_prompt_in_result=False,
            sampling_topk=1,
            end_token=list(self.stops),
        )
        # Its callback would end an answer at once, but crashes now and then: so what follows is cut off.
        for i, result in zip(fits, found, strict=True):
            tokens = result.sequences_ids[0]
            finish = "stop" if len(tokens) < max_new_tokens else "length"
            for size in range(1, len(tokens) + 1) if self.stop_at_json else ():
                if ends_json(self.tokenizer, tokens[:size]):
                    tokens, finish = tokens[:size], "json"
                    break
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            out[i] = Generation(text.strip(), len(prompts[i]), len(tokens), finish)
        return out


def _converted(folder: Path, compute_type: str) -> Path:
    """The checkpoint in the engine's form, in the cache; converted if it is not there."""
    from ctranslate2.converters import TransformersConverter

    target = assets.cache() / "engines" / f"ctranslate2-{hash_folder(folder)[:16]}-{compute_type}"
    if target.exists():
        return target

    def convert(out: Path) -> None:
        try:
            TransformersConverter(str(folder)).convert(str(out), quantization=compute_type, force=True)
        except (ValueError, NotImplementedError) as error:
            raise XlamError(
                f"{folder}: ctranslate2 cannot take this checkpoint ({error}); use LocalModel or a server"
            ) from error

    return assets.fill_folder(target, convert)
