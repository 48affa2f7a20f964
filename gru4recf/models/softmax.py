"""Softmax cross-entropy over the whole catalogue, without ever holding the scores of all events.

    loss = -mean_i log p_i[t_i]        p_i = softmax(v_i W^T)
    d loss / d v_i = (p_i - onehot(t_i)) W / n        d loss / d W = sum_i (p_i - onehot(t_i))^T v_i / n

It computes what `cross_entropy(vectors @ weight.T, targets)` does, and is faster on a CPU because:

* events are worked through a few hundred rows at a time, so that their scores stay in cache and in one small buffer;
* the gradients are made in the same pass, while the rows' probabilities are at hand, and wait for the backward pass;
* the softmax is taken in place, and the loss is read off the probabilities it leaves.

What remains is three matrix products. On other devices the plain expression is used.

Source: the gradients are those of Bridle, NIPS 1989; row by row in one pass as in Hsu et al., Liger Kernel, 2024.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from gru4recf.losses import cross_entropy

N_SCORES = 2**20
"""Scores held at a time where this gives `N_ROWS` rows or more: 4 MB of float32, chosen by measuring."""
N_ROWS = 128
"""Rows below which the matrix products lose more than the cache gives."""
MOST_SCORES = 2**24
"""Scores held at most, however large the catalogue: 64 MB of float32."""

Gradients = tuple[torch.Tensor | None, torch.Tensor | None]


def linear_cross_entropy(vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean softmax cross-entropy () of the targets among all rows of `weight`.

    Args:
        vectors: (n, D), one per event.
        weight: (N, D), one per item.
        targets: (n,) int64 rows of `weight`.
    """
    if not vectors.is_cpu or not len(vectors):
        return cross_entropy(vectors @ weight.T, targets)
    if torch.is_grad_enabled() and (vectors.requires_grad or weight.requires_grad):
        return LinearCrossEntropy.apply(vectors, weight, targets)
    return _pass(vectors, weight, targets, (False, False))[0]


def rows_at_a_time(n_items: int) -> int:
    """Return how many events are scored at a time against `n_items` items."""
    return max(N_SCORES // n_items, min(N_ROWS, MOST_SCORES // n_items), 1)


class LinearCrossEntropy(torch.autograd.Function):
    """vectors (n, D), weight (N, D), targets (n,) -> loss (); the gradients are made by the forward pass."""

    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(vectors, weight, targets)
        loss, ctx.gradients = _pass(vectors, weight, targets, ctx.needs_input_grad[:2])
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors  # complains where an input was changed in between
        # given away without a copy; who goes backward once more has them made anew
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            _, gradients = _pass(*saved, ctx.needs_input_grad[:2])
        if upstream.item() != 1:
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(upstream)
        return *gradients, None


def _pass(
    vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, wanted: tuple[bool, bool]
) -> tuple[torch.Tensor, Gradients]:
    """Return the loss () and the `wanted` gradients of vectors (n, D) and weight (N, D)."""
    n_events, n_rows = len(vectors), rows_at_a_time(len(weight))
    buffer = vectors.new_empty(min(n_rows, n_events), len(weight))
    losses = vectors.new_empty(n_events)
    by_vector = torch.empty_like(vectors) if wanted[0] else None
    by_weight = torch.empty_like(weight) if wanted[1] else None
    for first in range(0, n_events, n_rows):
        rows = slice(first, first + n_rows)
        some, target = vectors[rows], targets[rows, None]
        shares = torch.mm(some, weight.T, out=buffer[: len(some)])
        torch.softmax(shares, dim=1, out=shares)
        of_target = shares.gather(1, target)
        losses[rows] = _losses(of_target[:, 0], some, weight, targets[rows])
        if any(wanted):
            shares.scatter_(1, target, of_target - 1)
        if by_vector is not None:
            torch.mm(shares, weight, out=by_vector[rows]).div_(n_events)
        if by_weight is not None:
            by_weight.addmm_(shares.T, some, beta=0 if first == 0 else 1, alpha=1 / n_events)
    return losses.mean(), (by_vector, by_weight)


def _losses(shares: torch.Tensor, vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return -log of the targets' softmax shares (n,), exact where a share is too small for its own precision."""
    losses = -shares.log()
    tiny = shares < torch.finfo(shares.dtype).tiny ** 0.5
    if tiny.any():
        losses[tiny] = torch.nn.functional.cross_entropy(vectors[tiny] @ weight.T, targets[tiny], reduction="none")
    return losses
