"""Losses as pure functions of scores."""

import torch
from torch.nn import functional


def cross_entropy(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean softmax cross-entropy over all N columns, the padding column included, as RecBole takes it.

    Args:
        scores: (B, N).
        targets: (B,) int64 item indices.

    Source: Hidasi & Karatzoglou, CIKM 2018, eq. 6, with every item as a negative.
    """
    return functional.cross_entropy(scores, targets)


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(1e-10 + sigmoid(positive - negative)) over rows of shape (B,).

    Source: Rendle et al., UAI 2009, sec. 4.1; the constant is RecBole 1.2.1's.
    """
    return -torch.log(1e-10 + torch.sigmoid(positive - negative)).mean()
