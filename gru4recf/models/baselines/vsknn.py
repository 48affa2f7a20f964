"""V-SKNN: the items of the training sessions that are most like the running one, late items counting more.

    similarity(s) = sum over the distinct items i of the running session that s has, of w(place of i)
    score(j)      = (1 + idf_weight idf(j)) sum over the k most similar sessions s with j, of similarity(s) v(step of s)
    w(p)          = p / length ("div"), (p / length)^2 ("quadratic"), 1 ("same")
    v(d)          = 1 / d ("div"), 1 / d^2 ("quadratic"), 1 - d / 10 ("linear"), 1 ("same")
    idf(j)        = log(training sessions / training events of j)

with p the place of an item's last event in the running session, and d the steps from its end to its last item that s
has, 1 for the last event. The k sessions come out of the `sample_size` most recent ones that share an item.

Source: Ludewig and Jannach 2018 (UMUAI 28, doi 10.1007/s11257-018-9209-6), section 3.2, and `vsknn` of session-rec,
whose example configuration gives the defaults (k 500 of 5000, quadratic, div, idf 5). Chosen here: of equally similar
sessions the more recent ones are neighbours; a linear v ends at 0, where session-rec's falls below; sessions are in
order of their first event, where session-rec takes their last.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from gru4recf.data.sessions import Sessions
from gru4recf.errors import unknown_name
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.neighbours import TrainingSessions, distinct_items, inverse_frequency
from gru4recf.models.baselines.sparse_rows import keep_largest

# times a power of the length, the same for all of a target's sessions: whole numbers add up without rounding, so that
# sessions that are equally similar are found to be so
WEIGHTINGS = {"same": np.ones_like, "div": lambda p: p, "quadratic": lambda p: p**2}
SCORE_WEIGHTINGS = {
    "same": np.ones_like,
    "div": lambda d: 1 / d,
    "linear": lambda d: np.maximum(1 - d / 10, 0.0),
    "quadratic": lambda d: 1 / d**2,
}


class Vsknn(Baseline):
    """Score by the items of the most similar training sessions."""

    def __init__(
        self,
        train: Sessions,
        n_items: int,
        *,
        k: int = 500,
        sample_size: int = 5000,
        weighting: str = "quadratic",
        score_weighting: str = "div",
        idf_weight: float = 5.0,
    ):
        super().__init__(train, n_items)
        self.k = k
        self.weighting = _named("weighting", weighting, WEIGHTINGS)
        self.score_weighting = _named("score_weighting", score_weighting, SCORE_WEIGHTINGS)
        self.past = TrainingSessions(train, n_items, sample_size)
        self.item_weight = 1 + idf_weight * inverse_frequency(train, n_items)

    def score(self, histories: Histories) -> sparse.csr_array:
        """Return the scores (n, N) of the items of each history's neighbours."""
        weights = self.weighting(histories.positions.astype(np.float64))
        similarities = self.past.similarities(distinct_items(histories, weights, self.n_items))
        neighbours = keep_largest(similarities, self.k)
        steps = self.past.match(histories, neighbours).steps
        neighbours.data = neighbours.data * self.score_weighting(steps.astype(np.float64))
        scores = neighbours @ self.past.incidence
        scores.data *= self.item_weight[scores.indices]
        return scores.astype(np.float32)  # sums that differ by rounding alone become equal


def _named(option: str, name: str, known: dict[str, Callable]) -> Callable:
    if name not in known:
        raise unknown_name(option, name, known)
    return known[name]
