"""Session popularity: the items of the running session, most frequent first, then the most popular ones.

    score(j) = number of events of j in the session + support(j) / (1 + support(j))

Source: S-POP in Hidasi et al. 2016 (ICLR), section 4, and `spop` of session-rec, which gives the second part to the
100 most popular items only; here every item has it.
"""

import torch

from gru4recf.models.baselines.base import Baseline, Histories


class SessionPopularity(Baseline):
    """Score by the count in the session; popularity, always less than one event, orders equal counts."""

    def score(self, histories: Histories) -> torch.Tensor:
        """Return count plus popularity (n, N), in float64: supports of thousands differ in the ninth digit."""
        support = self.support.double()
        scores = (support / (1 + support)).repeat(len(histories), 1)
        rows, items = torch.from_numpy(histories.rows), torch.from_numpy(histories.items)
        return scores.index_put_((rows, items), torch.ones(len(items), dtype=scores.dtype), accumulate=True)
