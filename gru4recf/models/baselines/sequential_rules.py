"""Sequential rules: the items that came soon after the last item in training, the nearer the more they count.

    score(j) = sum of 1 / d over all training pairs with j coming d <= steps events after the last item

Source: SR in Kamehkhosh, Jannach and Ludewig 2017 (TempRec at RecSys) and in Ludewig and Jannach 2018 (UMUAI 28),
section 3.1; steps = 10 and the weight 1 / d are session-rec's defaults. No rule is pruned.
"""

import numpy as np
from scipy import sparse

from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.transitions import transitions


class SequentialRules(Baseline):
    """Score by rules from the last item, weighted by distance."""

    def __init__(self, train: Sessions, n_items: int, *, steps: int = 10):
        super().__init__(train, n_items)
        rules = transitions(train, n_items, steps=steps, weight=lambda distance: 1 / distance)
        self.rules = rules.astype(np.float32)  # sums that differ by rounding alone become equal

    def score(self, histories: Histories) -> sparse.csr_array:
        """Return each last item's row of rules (n, N)."""
        return self.rules[histories.last]
