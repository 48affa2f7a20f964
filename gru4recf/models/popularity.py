"""Popularity: every session gets the items with the most training events. The floor beside every network."""

import torch
from torch import nn


class Popularity(nn.Module):
    """Score each item by its number of training events, whatever the session."""

    trainable = False

    def __init__(self, support: torch.Tensor):
        super().__init__()
        self.register_buffer("support", support.to(torch.float32))

    def encode(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        """Return an empty description (n, 0) of each event: nothing of the session matters."""
        return self.support.new_empty(len(items), 0)

    def scores(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the support of every item, once per row (n, N)."""
        return self.support.expand(len(vectors), -1)
