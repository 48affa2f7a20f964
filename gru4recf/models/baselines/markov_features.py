"""First-order Markov chain backed off to the features: where items were rarely seen together, their values speak.

    P(j | i)   = max(c(i, j) - D, 0) / c(i) + (1 - kept(i)) B(j | i)
    B(j | i)   = mean over the features of sum over values v of i and w of m(v | i) P(w | v) P(j | w)
    P(w | v)   = (c(v, w) + a q(w)) / (c(v) + a)
    P(j | w)   = m(w | j) (support(j) + 1), scaled to sum to 1 over all items

c(i, j) counts transitions in training, c(i) = sum_j c(i, j), kept(i) is the sum of the first part over all items, so
that each row sums to 1; all of P is B where i was never left. m(v | i) shares an item among the values of a feature, a
missing one being a value too; c(v, w) = sum_ij m(v | i) c(i, j) m(w | j); q(w) is the share of w in support + 1. An
item that training never saw gets its part through B, both as i and as j.

D takes from each count what unseen pairs get: D = n1 / (n1 + 2 n2), n1 and n2 being the numbers of pairs seen once and
twice. Source: absolute discounting and D, Ney, Essen and Kneser 1994 (Computer Speech and Language 8, 1-38);
transitions between classes, Brown et al. 1992 (Computational Linguistics 18, 467-479).
"""

import numpy as np
import torch
from scipy import sparse

from gru4recf.data.features import Feature
from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.feature_values import values_of
from gru4recf.models.baselines.transitions import transitions


class MarkovFeatures(Baseline):
    """Score by the discounted share of transitions from the last item, and by those between feature values."""

    def __init__(
        self,
        train: Sessions,
        n_items: int,
        *,
        features: list[Feature],
        discount: float | None = None,
        additive: float = 1.0,
    ):
        super().__init__(train, n_items)
        counts = transitions(train, n_items)
        discount = neys_discount(counts) if discount is None else discount
        self.direct = _scaled_rows(counts, _inverse(counts.sum(axis=1)), discount)
        self.backed_off = 1 - self.direct.sum(axis=1)
        weight = self.support.double().numpy() + 1
        weight[0] = 0
        self.backoffs = [_ValueTransitions(values_of(feature), counts, weight, additive) for feature in features]

    def score(self, histories: Histories) -> torch.Tensor:
        """Return the probabilities (n, N) of all items after each last item, in float32."""
        last, place = np.unique(histories.last, return_inverse=True)
        scores = sum(backoff.probabilities(last) for backoff in self.backoffs) / len(self.backoffs)
        scores *= self.backed_off[last, None]
        scores += self.direct[last].toarray()
        return torch.from_numpy(scores.astype(np.float32)[place])


class _ValueTransitions:
    """B(j | i) for one feature: item to value, value to value, value to item."""

    def __init__(self, values: sparse.csr_array, counts: sparse.csr_array, weight: np.ndarray, additive: float):
        self.shares = _scaled_rows(values, _inverse(values.sum(axis=1)))
        between = self.shares.T @ counts @ self.shares
        followed = between.sum(axis=1)
        self.between = _scaled_rows(sparse.csr_array(between), 1 / (followed + additive))
        self.smoothed = additive / (followed + additive)
        weighted = sparse.csr_array(self.shares.T @ sparse.diags_array(weight))
        self.items = _scaled_rows(weighted, _inverse(weighted.sum(axis=1)))
        self.overall = weighted.sum(axis=1) / weight.sum() @ self.items

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """Return B(j | i) as (n, N) for the items i (n,)."""
        shares = self.shares[items]
        seen = (shares @ self.between @ self.items).toarray()
        return seen + np.outer(shares @ self.smoothed, self.overall)


def neys_discount(counts: sparse.csr_array) -> float:
    """Return D = n1 / (n1 + 2 n2), or one half where no pair was seen once."""
    once, twice = (counts.data == 1).sum(), (counts.data == 2).sum()
    return float(once / (once + 2 * twice)) if once else 0.5


def _scaled_rows(array: sparse.csr_array, factors: np.ndarray, discount: float = 0.0) -> sparse.csr_array:
    """Return each entry less the discount, but not below 0, times its row's factor."""
    data = np.maximum(array.data - discount, 0.0) * np.repeat(factors, np.diff(array.indptr))
    return sparse.csr_array((data, array.indices, array.indptr), shape=array.shape)


def _inverse(sums: np.ndarray) -> np.ndarray:
    return 1 / np.where(sums > 0, sums, 1.0)
