"""Negatives drawn anew for every step and shared by its events, for catalogues too large to score in full.

An item is drawn with probability q proportional to its training count to the power of `POWER`, n times with
replacement; n q is how often it is expected among the draws, and what the loss corrects its score by.
"""

from typing import NamedTuple

import numpy as np
import torch

POWER = 0.75


class Negatives(NamedTuple):
    """Items drawn for one step.

    Attributes:
        items: (M,) int64 item indices, with repetitions.
        log_expected: (M,) log of how often each is expected among the M draws.
    """

    items: torch.Tensor
    log_expected: torch.Tensor


class NegativeSampler:
    """Draws `n` items by their frequency in training; torch's generator decides which.

    Args:
        items: (n_events,) item indices of the training part; what is not in it is never drawn.
        n: draws per step.
        device: where the negatives are needed.
    """

    def __init__(self, items: np.ndarray, n: int, device: torch.device):
        counts = torch.from_numpy(np.bincount(items)).to(torch.float64)
        counts[0] = 0  # padding
        shares = counts**POWER
        self.cumulative = (shares / shares.sum()).cumsum(0)
        self.log_expected = (n * shares / shares.sum()).log().to(torch.float32).to(device)
        self.n, self.device = n, device

    def draw(self) -> Negatives:
        """Return the negatives of one step."""
        # float64 and not float32, whose steps are as wide as a rare item's share of a large catalogue
        uniform = torch.rand(self.n, dtype=torch.float64) * self.cumulative[-1]
        items = torch.searchsorted(self.cumulative, uniform, right=True).clamp(max=len(self.cumulative) - 1)
        items = items.to(self.device)
        return Negatives(items, self.log_expected[items])
