"""VSTAN: V-SKNN with the decays of STAN.

    similarity(s) = cosine(running session, s) exp(-age(s) / lambda_snh), items of the running session weighted by
                    exp((p - length) / lambda_spw), those of s by 1
    score(j)      = (1 + lambda_idf idf(j)) sum over the k most similar sessions s with j, of
                    similarity(s) exp((p* - length) / lambda_ipw) exp(-|q(j) - q*| / lambda_inh)

with p the place of an item's last event in the running session, p* the last such place of an item that s has, q(j) the
last place of j in s, and q* the last place in s of any item of the running session. The k sessions come out of the
`sample_size` most recent ones that share an item. idf as in V-SKNN.

Source: Ludewig, Mauro, Latifi and Jannach 2021 (UMUAI 31, doi 10.1007/s11257-020-09277-1), after Garg et al. 2019
(SIGIR, doi 10.1145/3331184.3331322), and `vstan` of session-rec, whose defaults these are, k excepted, which has none
there; `similarity="dot"` leaves out the norm of s. Sessions here have an order and no times: the age of a session is
the share of the training sessions that came after it, and lambda_snh is a share too; session-rec's default of 5 days,
out of the 25 days that it trains on, is .2. The age of the running session would be a factor that all of its
neighbours share, as its own norm would be.
"""

import numpy as np
from scipy import sparse

from gru4recf.data.sessions import Sessions
from gru4recf.errors import unknown_name
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.neighbours import TrainingSessions, distinct_items, inverse_frequency
from gru4recf.models.baselines.sparse_rows import keep_largest

SIMILARITIES = ("cosine", "dot")


class Vstan(Baseline):
    """Score by the items of the most similar, most recent training sessions, near to where they meet the history."""

    def __init__(
        self,
        train: Sessions,
        n_items: int,
        *,
        k: int = 500,
        sample_size: int = 5000,
        similarity: str = "cosine",
        lambda_spw: float = 1.02,
        lambda_snh: float = 0.2,
        lambda_inh: float = 2.05,
        lambda_ipw: float = 1.02,
        lambda_idf: float = 5.0,
    ):
        super().__init__(train, n_items)
        if similarity not in SIMILARITIES:
            raise unknown_name("similarity", similarity, SIMILARITIES)
        self.k, self.lambda_spw, self.lambda_ipw = k, lambda_spw, lambda_ipw
        self.past = TrainingSessions(train, n_items, sample_size)
        age = np.arange(train.n_sessions) / train.n_sessions
        self.session_weight = np.exp(-age / lambda_snh)
        if similarity == "cosine":
            self.session_weight /= np.sqrt(np.diff(self.past.offsets))
        self.near = np.exp(-np.arange(train.lengths.max(initial=1)) / lambda_inh)
        self.item_weight = 1 + lambda_idf * inverse_frequency(train, n_items)

    def score(self, histories: Histories) -> sparse.csr_array:
        """Return the scores (n, N) of the items of each history's neighbours."""
        neighbours = keep_largest(self._similarities(histories), self.k)
        matches = self.past.match(histories, neighbours)
        pair_weights = neighbours.data * np.exp((1 - matches.steps) / self.lambda_ipw)
        shared_place = np.repeat(matches.shared_place, np.diff(matches.offsets))
        near = self.near[np.abs(matches.places - shared_place)]
        n_pairs = len(pair_weights)
        pairs = sparse.csr_array((pair_weights, np.arange(n_pairs), neighbours.indptr), (len(histories), n_pairs))
        scores = pairs @ sparse.csr_array((near, matches.items, matches.offsets), (n_pairs, self.n_items))
        scores.data *= self.item_weight[scores.indices]
        return scores.astype(np.float32)  # sums that differ by rounding alone become equal

    def _similarities(self, histories: Histories) -> sparse.csr_array:
        """Return (n, sessions) similarities of the sampled sessions; the running session's norm is left out."""
        steps_back = np.repeat(histories.lengths, histories.lengths) - histories.positions
        weights = np.exp(-steps_back / self.lambda_spw)
        similarities = self.past.similarities(distinct_items(histories, weights, self.n_items))
        similarities.data *= self.session_weight[similarities.indices]
        return similarities
