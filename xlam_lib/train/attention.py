"""Attention over packed rows: examples side by side in one row, none of which sees another.

A packed row has no padding, so no work is done for tokens that are not there. Stock sdpa attention would
need a mask of length x length to keep the examples apart; here every example is attended to by itself.
The layout travels to each layer as keyword arguments, by the names that transformers gives them for flash
attention: ``cu_seq_lens_q`` (int32, where the segments begin, and the row's length), ``max_length_q`` (int).

Examples that begin alike, as chosen and rejected answers to one prompt do, can share what they have in
common (:func:`pack`, CPU only): the second is a segment that continues the beginning of the first. Causal
attention gives the shared tokens the same states whatever follows, so nothing but the work changes. Random
dropout would be drawn once for a shared token instead of once for each example.

Rows without a layout, padded batches and generation, run transformers' own sdpa attention.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from itertools import accumulate
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from xlam_lib.errors import TrainingError

NAME = "xlam_packed"

Span = tuple[int, int]  # tokens of a packed row: where they begin, and how many they are

# What some architectures add to the scores of attention; none of the series does.
_SCORE_CHANGES = ("softcap", "s_aux", "position_bias")
# A shared beginning saves the network's work on it, and costs its row the kernel for plain causal attention.
# With 135M parameters sharing pays from a twentieth of a row of 350 tokens on, and a tenth of one of 1,200.
_WORTH = 0.1
_LAYERS = {"full_attention", "sliding_attention"}


def install(model: Any) -> None:
    """Switch ``model``, plain or wrapped by PEFT, to packed attention; a second call changes nothing.

    On a GPU in half precision it runs torch's flash attention for rows of several lengths, after that has
    agreed with the plain computation on a small example; where it does not, a warning says so and each
    segment is computed by itself.

    Raises
    ------
    TrainingError
        The architecture's attention cannot be replaced, or its layers mix tokens in other ways.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = base.config.get_text_config()
    kind = getattr(config, "model_type", type(base).__name__)
    others = set(getattr(config, "layer_types", None) or ()) - _LAYERS
    if others or getattr(base, "_is_stateful", False):
        raise TrainingError(
            f"{kind} has layers ({', '.join(sorted(others)) or 'recurrent'}) that would carry one packed "
            "example into the next; train a model of attention layers only (Llama, Mistral, Mixtral)"
        )
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    if getattr(base, "_supports_attention_backend", False):
        base.set_attn_implementation(NAME)
    if config._attn_implementation != NAME:
        raise TrainingError(
            f"{kind} does not take another attention function (transformers' AttentionInterface); "
            "choose a model that does (Llama, Mistral, Mixtral), or train without packing"
        )
    decoder = base.base_model
    if not getattr(decoder, "_xlam_packed", False):
        decoder.register_forward_pre_hook(_without_mask, with_kwargs=True)
        decoder._xlam_packed = True
    weight = next(base.parameters())
    if weight.is_cuda and weight.dtype in (torch.bfloat16, torch.float16):
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        windowed = getattr(config, "sliding_window", None) is not None
        _flash_agrees(weight.device, weight.dtype, heads, config.num_key_value_heads, size, windowed)


def installed(model: Any) -> bool:
    """Whether :func:`install` was called on ``model`` (or the base of a PEFT model)."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.config.get_text_config()._attn_implementation == NAME


# ------------------------------------------------------------------------------------------------- layout


@dataclass(frozen=True)
class Packed:
    """Rows side by side in one (see :func:`pack`).

    Attributes
    ----------
    inputs
        Keyword arguments for the decoder: ``input_ids`` and ``position_ids`` of shape (1, tokens), the
        layout ``cu_seq_lens_q`` and ``cu_seq_lens_k``, ``max_length_q`` and ``max_length_k``, and, if any
        row continues another, ``prefixes``: for each segment the spans of what comes before it.
    spans
        For each row, where its tokens are in the packed one, in order.
    """

    inputs: dict[str, Any]
    spans: tuple[tuple[Span, ...], ...]

    def places(self, row: int) -> torch.Tensor:
        """Where each token of a row is in the packed one, shape (length,)."""
        return torch.cat([torch.arange(begin, begin + size) for begin, size in self.spans[row]])


def pack(rows: Sequence[torch.Tensor], share: bool = True) -> Packed:
    """Lay token ids side by side, for a model on a CPU.

    Parameters
    ----------
    rows
        Token ids of each example, shape (length,), at least one token each.
    share
        Let a row continue the longest beginning that it has in common with an earlier one.
        At least one token of each row stays its own.
    """
    pieces, positions, prefixes = [], [], []
    spans: list[tuple[Span, ...]] = []
    total = 0
    for row in rows:
        alike = [common(other, row[:-1]) for other in rows[: len(spans)]] if share else []
        size = max(alike, default=0)
        prefix = _first(spans[alike.index(size)], size) if size >= _WORTH * len(row) else ()
        size = sum(length for _, length in prefix)
        pieces.append(row[size:])
        positions.append(torch.arange(size, len(row)))
        prefixes.append(prefix)
        spans.append((*prefix, (total, len(row) - size)))
        total += len(row) - size
    bounds = torch.tensor([*(own[-1][0] for own in spans), total], dtype=torch.int32)
    longest = max(len(piece) for piece in pieces)
    inputs: dict[str, Any] = {
        "input_ids": torch.cat(pieces)[None],
        "position_ids": torch.cat(positions)[None],
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": longest,
        "max_length_k": longest,
    }
    if any(prefixes):
        inputs["prefixes"] = tuple(prefixes)
    return Packed(inputs, tuple(spans))


def _first(spans: tuple[Span, ...], size: int) -> tuple[Span, ...]:
    """The spans of the first ``size`` tokens."""
    kept: list[Span] = []
    for begin, length in spans:
        if size > 0:
            kept.append((begin, min(length, size)))
        size -= length
    return tuple(kept)


def common(one: torch.Tensor, two: torch.Tensor) -> int:
    """How many tokens two rows begin with in common."""
    length = min(len(one), len(two))
    differ = (one[:length] != two[:length]).nonzero()
    return int(differ[0]) if len(differ) else length


# ---------------------------------------------------------------------------------------------- attention


def _without_mask(decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Before a packed row enters the decoder: give it a mask that is taken as it is, and so none is built.

    transformers would see positions restart and build a mask of length x length; on a GPU it would also wait
    for the device to find out. A mask of four dimensions passes unread, and attention ignores it.
    """
    if kwargs.get("cu_seq_lens_q") is None:
        return None
    ids = args[0] if args else kwargs.get("input_ids")
    where = (kwargs["inputs_embeds"] if ids is None else ids).device
    return args, kwargs | {"attention_mask": torch.empty((1, 1, 0, 0), dtype=torch.bool, device=where)}


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer; the output has the shape (batch, length, heads, head size)."""
    bounds = kwargs.get("cu_seq_lens_q")
    if bounds is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    for name in _SCORE_CHANGES:
        if kwargs.get(name) is not None:
            raise TrainingError(
                f"{type(module).__name__} changes attention's scores ({name}), which packed attention "
                "does not know; train this model without packing"
            )
    if query.shape[0] != 1 or key.shape[2] != query.shape[2]:
        raise TrainingError(
            f"a packed row is one row without a key-value cache; got {query.shape[0]} rows of "
            f"{query.shape[2]} queries and {key.shape[2]} keys"
        )
    window, prefixes = kwargs.get("sliding_window"), kwargs.get("prefixes")
    if query.is_cuda and prefixes is None and not dropout:
        output = _flash(query, key, value, bounds, kwargs.get("max_length_q"), window, scaling)
        if output is not None:
            return output, None
    lengths = torch.diff(bounds).tolist()
    return _segments(query, key, value, lengths, prefixes, window, scaling, dropout), None


def _segments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    prefixes: Sequence[tuple[Span, ...]] | None = None,
    window: int | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Causal attention of each segment to itself, and to its prefix if it has one.

    A prefix is made of spans, each of which begins where a segment begins.
    ``query`` has the shape (1, heads, length, head size), ``key`` and ``value`` those of the grouped heads;
    the output (1, length, heads, head size).
    """
    # One split instead of a slice a segment: the backward pass of a slice fills a whole row with zeros.
    pieces = [x.split(lengths, dim=2) for x in (query, key, value)]
    first = {start: number for number, start in enumerate(accumulate(lengths, initial=0))}
    outputs = []
    for number, (own, k, v) in enumerate(zip(*pieces, strict=True)):
        prefix = prefixes[number] if prefixes else ()
        size = sum(length for _, length in prefix)
        if size:
            k, v = (
                torch.cat([*(x[first[begin]][:, :, :length] for begin, length in prefix), last], dim=2)
                for x, last in ((pieces[1], k), (pieces[2], v))
            )
        mask = None
        if size or (window is not None and own.shape[2] > window):
            mask = band(own.shape[2], size, window, own.device)
        output = functional.scaled_dot_product_attention(
            own,
            k,
            v,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, dim=1)


def band(length: int, before: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which of ``before + length`` keys each of the last ``length`` positions sees, itself included."""
    places = torch.arange(before + length, device=device)
    distance = places[before:, None] - places
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)


# -------------------------------------------------------------------------------------------------- flash


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int | None,
    window: int | None,
    scaling: float | None,
) -> torch.Tensor | None:
    """The same by torch's flash attention on a GPU, without waiting for it; None where that cannot be."""
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    if dtype not in (torch.bfloat16, torch.float16):
        return None
    _, heads, length, size = query.shape
    if not _flash_agrees(query.device, dtype, heads, key.shape[1], size, window is not None):
        return None
    q, k, v = (x[0].transpose(0, 1).to(dtype) for x in (query, key, value))
    # The row's own length bounds a segment's where the caller does not say.
    return _varlen(q, k, v, bounds, int(longest or length), window, scaling)[None]


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    window: int | None,
    scaling: float | None,
) -> torch.Tensor:
    """torch's attention over rows of several lengths; all shapes (length, heads, head size)."""
    from torch.nn.attention.varlen import varlen_attn

    # torch before 2.12 has no argument for grouped heads; its kernel takes them all the same, or the check
    # below finds that it does not.
    grouped: dict[str, Any] = (
        {"enable_gqa": True}
        if query.shape[1] != key.shape[1] and "enable_gqa" in signature(varlen_attn).parameters
        else {}
    )
    output = varlen_attn(
        query,
        key,
        value,
        bounds,
        bounds,
        longest,
        longest,
        scale=scaling,
        # Counted in keys before the query's own, which transformers' window includes.
        window_size=(-1 if window is None else window - 1, 0),
        **grouped,
    )
    assert isinstance(output, torch.Tensor)
    return output


@lru_cache(maxsize=16)
def _flash_agrees(
    device: torch.device, dtype: torch.dtype, heads: int, groups: int, size: int, windowed: bool
) -> bool:
    """Whether flash attention is there and gives what :func:`_segments` gives, forward and backward.

    Tried once for each shape of heads, on a few random segments of uneven length; else it warns.
    """
    lengths, window = [5, 130, 1, 64], 24 if windowed else None
    bounds = torch.tensor([0, 5, 135, 136, 200], dtype=torch.int32, device=device)
    draw = torch.Generator().manual_seed(0)
    drawn = [
        torch.randn(200, n, size, generator=draw).to(device, dtype) for n in (heads, groups, groups, heads)
    ]
    try:
        # Its own hooks: the first call may come from within a checkpointed layer, whose count of saved
        # tensors must not include these.
        own = torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)
        plainly = torch.autocast(device.type, enabled=False)
        with torch.inference_mode(False), torch.enable_grad(), plainly, own:
            ours = [x.clone().requires_grad_() for x in drawn[:3]]
            flash = _varlen(ours[0], ours[1], ours[2], bounds, 130, window, None)
            found = [flash, *torch.autograd.grad(flash, ours, drawn[3])]
            plain = [x.float().requires_grad_() for x in drawn[:3]]
            q, k, v = (x.transpose(0, 1)[None] for x in plain)
            expected = _segments(q, k, v, lengths, None, window)[0]
            wanted = [expected, *torch.autograd.grad(expected, plain, drawn[3].float())]
    except (RuntimeError, ImportError, AttributeError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(f"packed examples are attended to one by one, which is slower: {reason}", stacklevel=2)
        return False
    # Half precision keeps 8 bits or more; a wrong mask or scale is off by the size of the values themselves.
    apart = [
        float((one.detach().float() - two.detach()).norm() / two.detach().norm())
        for one, two in zip(found, wanted, strict=True)
    ]
    if max(apart) > 0.03:
        warnings.warn(
            f"flash attention differs from the plain computation by {max(apart):.0%} here "
            f"(heads of {size}, {dtype}): packed examples are attended to one by one, which is slower",
            stacklevel=2,
        )
        return False
    return True
