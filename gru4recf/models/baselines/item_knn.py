"""Item-kNN: the items that share most training sessions with the last item.

    similarity(i, j) = sessions with i and j / ((support(i) + lambda)^alpha (support(j) + lambda)^(1 - alpha))

With alpha = 1/2 this is the cosine of the two items' sessions; lambda takes weight from pairs of rare items, whose
meeting may be chance. The `n_similar` most similar items have a score; an item is not similar to itself.
Source: Hidasi et al. 2016 (ICLR), section 4, and `ItemKNN` of the public GRU4Rec code, whose defaults these are.
"""

import numpy as np
from scipy import sparse

from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.sparse_rows import keep_largest

ITEMS_AT_ONCE = 1024


class ItemKnn(Baseline):
    """Score by the similarity to the last item."""

    def __init__(
        self,
        train: Sessions,
        n_items: int,
        *,
        n_similar: int = 100,
        regularisation: float = 20.0,
        alpha: float = 0.5,
    ):
        super().__init__(train, n_items)
        support = self.support.double().numpy()
        self.similarities = _similarities(
            _incidence(train, n_items), support + regularisation, n_similar=n_similar, alpha=alpha
        )

    def score(self, histories: Histories) -> sparse.csr_array:
        """Return each last item's row of similarities (n, N)."""
        return self.similarities[histories.last]


def _incidence(train: Sessions, n_items: int) -> sparse.csr_array:
    """Return (sessions, N): 1 where the session has the item, however often."""
    ones = np.ones(train.n_events)
    shape = (train.n_sessions, n_items)
    array = sparse.csr_array((ones, train.items, train.offsets), shape=shape, copy=True)  # summing is done in place
    array.sum_duplicates()
    array.data[:] = 1
    return array


def _similarities(
    incidence: sparse.csr_array, support: np.ndarray, *, n_similar: int, alpha: float
) -> sparse.csr_array:
    """Return (N, N), some items at a time, so that no more than `n_similar` per item are held."""
    by_item = incidence.T.tocsr()
    parts = []
    for start in range(0, by_item.shape[0], ITEMS_AT_ONCE):
        part = by_item[start : start + ITEMS_AT_ONCE] @ incidence
        part.sort_indices()
        item = start + np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        part.data /= support[item] ** alpha * support[part.indices] ** (1 - alpha)
        part.data[part.indices == item] = 0
        part.eliminate_zeros()
        parts.append(keep_largest(part, n_similar).astype(np.float32))
    return sparse.vstack(parts, format="csr")
