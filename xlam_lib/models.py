"""The model series as data (xLAM report, table 1), and the small models that train on less.

:data:`SERIES` names each model that a profile can train: what it starts from, how long its context is,
what the report says about its training, the shapes of its architecture, and the prompt form of its base.
A model is built from the shapes alone, without its weights: on the meta device to count parameters
(:func:`count_parameters`) and to plan memory, or tiny and random (:func:`tiny`) to test a recipe.

Where the report is silent:

- It names Mistral-7B and the two Mixtrals without their version. Only Mistral-7B-Instruct-v0.2 fits
  table 1: version 0.1 was made for 8 thousand tokens and not 32, and version 0.3 has 768 more words, which
  makes 7.25 billion parameters and not 7.24. Of the Mixtrals there is one instruct version each, v0.1.
- Revisions of the bases are not reported. Those given here are commits of the Hub's repositories at which
  others, independently of one another, published work on the same base; none is known to be the authors'.
  ``None`` would mean that a run records the revision it resolved.
- The shapes give the parameters of table 1, to its precision. For DeepSeek-Coder-7B-instruct-v1.5, whose
  training went on from DeepSeek-LLM 7B, the rotary base and the epsilon of the norms, which no count can
  confirm, are the family's. What is trained is always what the checkpoint's own configuration says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from xlam_lib.errors import ProfileError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FUNCTION_CALLING = "function calling"
GENERAL = "general"

# ------------------------------------------------------------------------------------------ prompt forms
# Ours, for a tokenizer that brings none. Each writes an answer directly after the prompt that asks for it
# and ends it with the end-of-text token, which is how the training puts them together.

_ROLES = (
    "{% if message['role'] not in ('user', 'assistant') %}"
    "{{ raise_exception('only user and assistant messages may follow the first: ' ~ message['role']) }}"
    "{% endif %}"
)
_SPLIT = (
    "{% if messages and messages[0]['role'] == 'system' %}"
    "{% set system, turns = messages[0]['content'], messages[1:] %}"
    "{% else %}{% set system, turns = '', messages %}{% endif %}"
)
DEEPSEEK = (
    _SPLIT
    + "{{ bos_token }}{{ system or 'You are an assistant that carries out instructions with tools.' }}"
    + "{{ '\n' }}{% for message in turns %}"
    + _ROLES
    + "{% if message['role'] == 'user' %}{{ '### Instruction:\n' ~ message['content'] ~ '\n' }}"
    + "{% else %}{{ '### Response:\n' ~ message['content'] ~ eos_token ~ '\n' }}{% endif %}"
    + "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
)
MISTRAL = (
    _SPLIT
    + "{{ bos_token }}{% for message in turns %}"
    + _ROLES
    + "{% if message['role'] == 'user' %}"
    + "{{ '[INST] ' ~ (system ~ '\n\n' if system and loop.first else '') ~ message['content'] ~ ' [/INST]' }}"
    + "{% else %}{{ message['content'] ~ eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' ~ message['role'] ~ '\n' ~ message['content'] ~ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# ------------------------------------------------------------------------------------------------- series


@dataclass(frozen=True)
class Model:
    """A model of the series and what its training starts from.

    Attributes
    ----------
    name
        The report's name for what the training makes; a small model's is its base's.
    base, revision
        Hub id of the instruct model it starts from, and the commit (see the module's text).
    context
        Tokens, prompt and answer together.
    licence
        The base's licence: an SPDX name, or the name of a licence of its own.
    kind
        ``function calling`` or ``general``.
    sft, dpo
        ``full`` or ``lora``; the report's for the xLAM models, ours for the small ones.
    recipe
        The mixture, a name in :data:`xlam_lib.mixture.RECIPES`.
    shapes
        ``model_type`` and the values that make a configuration of it (:func:`config`).
    template
        Chat template (Jinja), used only where the tokenizer brings none (:func:`with_template`).
    """

    name: str
    base: str
    revision: str | None
    context: int
    licence: str
    kind: Literal["function calling", "general"]
    sft: Literal["full", "lora"]
    dpo: Literal["lora"]
    recipe: str
    shapes: Mapping[str, Any] = field(repr=False, hash=False)
    template: str = field(repr=False)


def _rope(theta: float, **scaling: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta} | scaling


_MODELS = (
    Model(
        name="xLAM-1b-fc-r",
        base="deepseek-ai/deepseek-coder-1.3b-instruct",
        revision="e063262dac8366fc1f28a4da0ff3c50ea66259ca",
        context=16_384,
        licence="DeepSeek License",
        kind=FUNCTION_CALLING,
        sft="full",
        dpo="lora",
        recipe="fc",
        shapes={
            "model_type": "llama",
            "vocab_size": 32_256,
            "hidden_size": 2048,
            "intermediate_size": 5504,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "max_position_embeddings": 16_384,
            "rms_norm_eps": 1e-6,
            "rope_parameters": _rope(100_000.0, rope_type="linear", factor=4.0),
            "tie_word_embeddings": False,
        },
        template=DEEPSEEK,
    ),
    Model(
        name="xLAM-7b-fc-r",
        base="deepseek-ai/deepseek-coder-7b-instruct-v1.5",
        revision="2a050a4c59d687a85324d32e147517992117ed30",
        context=4096,
        licence="DeepSeek License",
        kind=FUNCTION_CALLING,
        sft="full",
        dpo="lora",
        recipe="fc",
        shapes={
            "model_type": "llama",
            "vocab_size": 102_400,
            "hidden_size": 4096,
            "intermediate_size": 11_008,
            "num_hidden_layers": 30,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "rope_parameters": _rope(10_000.0),
            "tie_word_embeddings": False,
        },
        template=DEEPSEEK,
    ),
    Model(
        name="xLAM-7b-r",
        base="mistralai/Mistral-7B-Instruct-v0.2",
        revision="63a8b081895390a26e140280378bc85ec8bce07a",
        context=32_768,
        licence="Apache-2.0",
        kind=GENERAL,
        sft="full",
        dpo="lora",
        recipe="general",
        shapes={
            "model_type": "mistral",
            "vocab_size": 32_000,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(1_000_000.0),
            "sliding_window": None,  # version 0.1 had one; a configuration that says nothing gets it
            "tie_word_embeddings": False,
        },
        template=MISTRAL,
    ),
    Model(
        name="xLAM-8x7b-r",
        base="mistralai/Mixtral-8x7B-Instruct-v0.1",
        revision="41bd4c9e7e4fb318ca40e721131d4933966c2cc1",
        context=32_768,
        licence="Apache-2.0",
        kind=GENERAL,
        sft="full",
        dpo="lora",
        recipe="general",
        shapes={
            "model_type": "mixtral",
            "vocab_size": 32_000,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(1_000_000.0),
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
        template=MISTRAL,
    ),
    Model(
        name="xLAM-8x22b-r",
        base="mistralai/Mixtral-8x22B-Instruct-v0.1",
        revision="cc88a6cc19fbd17d9f1c0ee0b0d70a748dce698d",
        context=65_536,
        licence="Apache-2.0",
        kind=GENERAL,
        sft="lora",
        dpo="lora",
        recipe="general",
        shapes={
            "model_type": "mixtral",
            "vocab_size": 32_768,
            "hidden_size": 6144,
            "intermediate_size": 16_384,
            "num_hidden_layers": 56,
            "num_attention_heads": 48,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 65_536,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(1_000_000.0),
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
        template=MISTRAL,
    ),
    Model(
        name="SmolLM2-135M-Instruct",
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        context=8192,
        licence="Apache-2.0",
        kind=FUNCTION_CALLING,
        sft="full",
        dpo="lora",
        recipe="laptop",
        shapes={
            "model_type": "llama",
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(100_000.0),
            "tie_word_embeddings": True,
        },
        template=CHATML,
    ),
    Model(
        name="SmolLM2-360M-Instruct",
        base="HuggingFaceTB/SmolLM2-360M-Instruct",
        revision="a10cc1512eabd3dde888204e902eca88bddb4951",
        context=8192,
        licence="Apache-2.0",
        kind=FUNCTION_CALLING,
        sft="full",
        dpo="lora",
        recipe="fc",
        shapes={
            "model_type": "llama",
            "vocab_size": 49_152,
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(100_000.0),
            "tie_word_embeddings": True,
        },
        template=CHATML,
    ),
    Model(
        name="SmolLM2-1.7B-Instruct",
        base="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        revision="31b70e2e869a7173562077fd711b654946d38674",
        context=8192,
        licence="Apache-2.0",
        kind=FUNCTION_CALLING,
        sft="full",
        dpo="lora",
        recipe="fc",
        shapes={
            "model_type": "llama",
            "vocab_size": 49_152,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": _rope(130_000.0),
            "tie_word_embeddings": True,
        },
        template=CHATML,
    ),
)
SERIES: Mapping[str, Model] = {model.name: model for model in _MODELS}


def lookup(name: str) -> Model | None:
    """The model of this name, or the one that starts from the base of this Hub id; else ``None``."""
    return SERIES.get(name) or next((model for model in _MODELS if model.base == name), None)


def find(name: str) -> Model:
    """As :func:`lookup`, for a name that must be known.

    Raises
    ------
    ProfileError
        It is neither a name nor a base of the series; the message lists both.
    """
    model = lookup(name)
    if model is None:
        known = ", ".join(f"{model.name} ({model.base})" for model in _MODELS)
        raise ProfileError(f"model {name!r} is not of the series; choose a name or a base of: {known}")
    return model


# ----------------------------------------------------------------------------------------- architectures


def config(model: Model, **changes: Any) -> PretrainedConfig:
    """The configuration of the model's architecture.

    Token ids are left out: they are the tokenizer's to give.

    Parameters
    ----------
    model
        Of :data:`SERIES`.
    changes
        Values in place of the model's shapes.
    """
    from transformers import AutoConfig

    no_ids = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    return AutoConfig.for_model(**{**model.shapes, **no_ids, **changes})


def on_meta(model: Model) -> PreTrainedModel:
    """The model with parameters that have shapes and no storage: any size takes no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config(model))


@dataclass(frozen=True)
class Count:
    """Parameters of a model.

    Attributes
    ----------
    total
        All of them, each counted once where the input embedding is also the output head.
    active
        Those that take part in one token's forward pass: of the experts only the chosen ones. The
        embedding counts in full, as in published figures.
    embedding
        The input embedding and, where it is a matrix of its own, the output head.
    """

    total: int
    active: int
    embedding: int


def count_parameters(model: Model) -> Count:
    """The model's parameters, counted on the meta device."""
    module: Any = on_meta(model)
    total = sum(parameter.numel() for parameter in module.parameters())
    # The head is the input embedding itself where they are tied.
    ends = {id(end.weight): end.weight.numel() for end in (module.model.embed_tokens, module.lm_head)}
    experts = sum(p.numel() for name, p in module.named_parameters() if ".experts." in name)
    idle = 0
    if experts:
        chosen, every = model.shapes["num_experts_per_tok"], model.shapes["num_local_experts"]
        idle = experts * (every - chosen) // every
    return Count(total, total - idle, sum(ends.values()))


def tiny(model: Model, vocabulary: int, seed: int = 0) -> PreTrainedModel:
    """A small random model of the same architecture, in float32: what works on it works on the large one.

    It has two layers of 48 or 64 hidden units, the base's ratio of query to key-value heads, its rotary
    embedding and its tied or untied head; of a mixture of experts, four experts and as many chosen per
    token as in the base. torch's own random state is left as it was.

    Parameters
    ----------
    model
        Of :data:`SERIES`.
    vocabulary
        Number of token ids, of the tokenizer it is used with.
    seed
        Of the weights.
    """
    import torch
    from transformers import AutoModelForCausalLM

    group = model.shapes["num_attention_heads"] // model.shapes["num_key_value_heads"]
    kv_heads = max(8 // group, 1)
    hidden = 8 * group * kv_heads  # heads of 8 units
    changes = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": group * kv_heads,
        "num_key_value_heads": kv_heads,
    }
    if "num_local_experts" in model.shapes:
        changes["num_local_experts"] = 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config(model, **changes), dtype=torch.float32)


def with_template(tokenizer: Any, model: Model) -> Any:
    """The same tokenizer, with the model's chat template if it had none; its own is kept."""
    if not tokenizer.chat_template:
        tokenizer.chat_template = model.template
    return tokenizer


__all__ = [
    "CHATML", "DEEPSEEK", "FUNCTION_CALLING", "GENERAL", "MISTRAL", "SERIES", "Count", "Model", "config",
    "count_parameters", "find", "lookup", "on_meta", "tiny", "with_template",
]  # fmt: skip
