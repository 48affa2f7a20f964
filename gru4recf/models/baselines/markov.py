"""First-order Markov chain: the items that followed the last item in training, most often first.

    score(j) = number of times that j came directly after the last item

Source: `mc` in Ludewig and Jannach 2018 (UMUAI 28, doi 10.1007/s11257-018-9209-6), section 3.1. Items never seen
after the last one have no score. No rule is pruned (session-rec keeps 20 per item), which matters beyond rank 20 only.
"""

from scipy import sparse

from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.transitions import transitions


class Markov(Baseline):
    """Score by the count of transitions from the last item."""

    def __init__(self, train: Sessions, n_items: int):
        super().__init__(train, n_items)
        self.counts = transitions(train, n_items)

    def score(self, histories: Histories) -> sparse.csr_array:
        """Return each last item's row of transition counts (n, N)."""
        return self.counts[histories.last]
