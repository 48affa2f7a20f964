"""Popularity: every session gets the items with the most training events. The floor beside every network."""

import torch

from gru4recf.models.baselines.base import Baseline, Histories


class Popularity(Baseline):
    """Score each item by its number of training events, whatever the session."""

    def score(self, histories: Histories) -> torch.Tensor:
        """Return the support of every item, once per row (n, N)."""
        return self.support.expand(len(histories), -1)
