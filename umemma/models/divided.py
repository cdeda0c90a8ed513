"""Encoders that share the rows of a batch among ranks, and give the features of all rows to every one.

The result is that of one process with the whole batch, up to the order of additions (a test holds it to 1e-5), because
inside a divided encoder whatever depends on the batch sees the whole one:

- batch normalisation takes mean and variance over all ranks' rows. torch's SyncBatchNorm does that on GPUs only.
- dropout draws for all rows, on every rank, from the same generator, and takes its own.

A rank's gradients of an encoder are those of its rows; `Ranks.sum_gradients` adds them up. The rows of a modality are
divided, not the samples: each rank has the same work whoever misses what, and a loss that weights classes needs no care.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from umemma.errors import SettingError
from umemma.models.early_fusion import EarlyFusion
from umemma.models.given_encoder import GivenEncoder
from umemma.models.ranks import Ranks
from umemma.models.unimodal import Encoder


def parts(model: nn.Module) -> list[nn.Module]:
    """Return the modules whose rows are divided: all encoders, each (batch, ...) -> (batch, dim)."""
    return [
        module.body if isinstance(module, EarlyFusion) else module
        for module in model.modules()
        if isinstance(module, Encoder | GivenEncoder | EarlyFusion)
    ]


@contextmanager
def divided(model: nn.Module, ranks: Ranks) -> Iterator[None]:
    """In this context every encoder that is trained through encodes this rank's rows, and returns those of all ranks."""
    modules = parts(model) if ranks.number > 1 else []
    for module in modules:
        module.forward = partial(_encoded, module.forward, ranks)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def sum_gradients(model: nn.Module, ranks: Ranks) -> None:
    """Make every rank's gradients those of the whole batch, after `backward`."""
    if ranks.number > 1:
        inside = {id(parameter): parameter for module in parts(model) for parameter in module.parameters()}
        ranks.sum_gradients(inside.values(), (p for p in model.parameters() if id(p) not in inside))


@dataclass(frozen=True)
class Share:
    """The rows `start` to `start + taken` of `total`, of which `counted` count: with more ranks than rows some have none.

    Such a rank takes a row that does not count, as a network need not accept an empty batch.
    """

    start: int
    taken: int
    counted: int
    total: int

    @classmethod
    def of(cls, total: int, ranks: Ranks) -> "Share":
        """Divide `total` rows evenly."""
        start, end = (total * rank // ranks.number for rank in (ranks.rank, ranks.rank + 1))
        return cls(start, end - start, end - start, total) if end > start else cls(0, 1, 0, total)

    @property
    def rows(self) -> slice:
        """Return the rows taken."""
        return slice(self.start, self.start + self.taken)

    def times(self, factor: int) -> "Share":
        """Return the share where each row has become `factor` rows, such as a video's frames."""
        return Share(self.start * factor, self.taken * factor, self.counted * factor, self.total * factor)


def _encoded(forward: Callable[[torch.Tensor], torch.Tensor], ranks: Ranks, value: torch.Tensor) -> torch.Tensor:
    if not torch.is_grad_enabled():  # inference goes through `run_encoders`
        return forward(value)
    share = Share.of(len(value), ranks)
    own: torch.Tensor = _Own.apply(value, share, ranks)
    with _WholeBatch(share, ranks):
        encoded = forward(own)
    gathered: torch.Tensor = _Gathered.apply(encoded, share, ranks)
    return gathered


class _Own(Function):
    """(total, ...) -> (taken, ...); the gradient is that of all rows, on every rank."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor, share: Share, ranks: Ranks) -> torch.Tensor:
        context.share, context.ranks = share, ranks
        return value[share.rows]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        share = context.share
        whole = gradient.new_zeros(share.total, *gradient.shape[1:])
        whole[share.rows] = gradient
        return context.ranks.summed(whole), None, None


class _Gathered(Function):
    """(taken, dim) -> (total, dim), the same bits on every rank, which all go on to the same loss."""

    @staticmethod
    def forward(context: Any, encoded: torch.Tensor, share: Share, ranks: Ranks) -> torch.Tensor:
        context.share = share
        whole = encoded.new_zeros(share.total, *encoded.shape[1:])
        if share.counted:
            whole[share.rows] = encoded
        return ranks.summed(whole)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        own = gradient[context.share.rows]
        return own if context.share.counted else torch.zeros_like(own), None, None


class _WholeBatch(TorchFunctionMode):
    """In this context, what depends on the batch or draws for it is computed as with all ranks' rows."""

    def __init__(self, share: Share, ranks: Ranks) -> None:
        super().__init__()
        self._share, self._ranks = share, ranks
        self._replaced: dict[Any, Callable[..., Any]] = {
            functional.batch_norm: self._batch_norm,
            functional.scaled_dot_product_attention: self._attention,
            torch.rand: self._rand,
        }
        for dropout in (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d):
            self._replaced[dropout] = partial(self._dropped, dropout)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or what stands for it."""
        return self._replaced.get(func, func)(*args, **(kwargs or {}))

    def _share_of(self, size: int) -> Share:
        if size % self._share.taken:
            raise SettingError(
                f"compute.devices: an encoder has a first axis of {size} where {self._share.taken} samples came in, so "
                "its rows cannot be divided among devices; 1 trains it"
            )
        return self._share.times(size // self._share.taken)

    def _dropped(
        self,
        dropout: Callable[..., torch.Tensor],
        value: torch.Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> torch.Tensor:
        if not training or p == 0:
            return value
        share = self._share_of(len(value))
        layout = torch.channels_last if _is_channels_last(value) else torch.contiguous_format
        ones = value.new_ones(share.total, *value.shape[1:]).contiguous(memory_format=layout)
        return value * dropout(ones, p, True)[share.rows]

    def _rand(self, *size: Any, **options: Any) -> torch.Tensor:
        first, *others = size[0] if isinstance(size[0], Sequence) else size
        share = self._share_of(first)
        return torch.rand(share.total, *others, **options)[share.rows]

    def _attention(  # noqa: PLR0917 - the signature is torch's
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **options: Any,
    ) -> torch.Tensor:
        if dropout_p == 0:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, 0.0, is_causal, scale=scale, **options
            )
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return self._dropped(functional.dropout, scores.softmax(dim=-1), dropout_p) @ value

    def _batch_norm(  # noqa: PLR0917 - the signature is torch's
        self,
        value: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if not training:
            return functional.batch_norm(value, running_mean, running_var, weight, bias, False, momentum, eps)
        share = self._share_of(len(value)).times(value[0, 0].numel())
        mean, var = _moments(value, share, self._ranks)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean), momentum)
                running_var.lerp_((var * (share.total / max(1, share.total - 1))).to(running_var), momentum)
        normalised: torch.Tensor = _Normalised.apply(
            value, weight, bias, mean.float(), var.float(), eps, share, self._ranks
        )
        return normalised


@torch.no_grad()
def _moments(value: torch.Tensor, share: Share, ranks: Ranks) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance (channel,) float64 over all ranks, each of this one's entries counted once."""
    axes = [axis for axis in range(value.ndim) if axis != 1]
    var, mean = (moment.double() for moment in torch.var_mean(value.float(), axes, correction=0))
    first, second = ranks.summed(torch.stack([mean, var + mean.square()]) * share.counted) / share.total
    return first, (second - first.square()).clamp_min(0)


class _Normalised(Function):
    """Batch normalisation with moments of all ranks (Ioffe and Szegedy 2015); they depend on the values, too."""

    @staticmethod
    def forward(  # noqa: PLR0917 - `apply` takes no keywords
        context: Any,
        value: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        mean: torch.Tensor,
        var: torch.Tensor,
        eps: float,
        share: Share,
        ranks: Ranks,
    ) -> torch.Tensor:
        context.save_for_backward(value, weight, mean, var)
        context.eps, context.share, context.ranks = eps, share, ranks
        return functional.batch_norm(value, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        value, weight, mean, var = context.saved_tensors
        share = context.share
        of_value, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, value, weight, mean, var, None, None, False, context.eps, [True, True, True]
        )
        scale = (var + context.eps).rsqrt()
        by_scale, by_mean = context.ranks.summed(torch.stack([of_weight, of_bias]).double()) / share.total
        factor = scale if weight is None else scale * weight
        slope = factor * scale * by_scale.float()
        level = factor * by_mean.float() - slope * mean
        shape = (1, -1, *[1] * (value.ndim - 2))
        of_value = of_value - level.view(shape) - slope.view(shape) * value
        if not share.counted:
            of_value = torch.zeros_like(of_value)
        affine = (None, None) if weight is None else (of_weight, of_bias)
        return of_value.to(value.dtype), *affine, None, None, None, None, None


def _is_channels_last(value: torch.Tensor) -> bool:
    return value.ndim == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
