"""Content-kNN: the items whose features are most like those of the running session, the last item counting most.

    score(j) = mean over the features f of sum over the session's events, d steps from its end, of cos_f(item, j) / d

cos_f is the cosine of two items' values of f, 0 where one is missing: of TF-IDF weights for tokens and lists of them
(one token: 1 where equal, else 0), of standardised columns for a vector. A number z has a place on the quarter circle,
at the angle Phi(z) pi / 2, so that its cosine falls from 1 to 0 as two numbers move apart. Popularity orders items that
are equally similar. Items that training never saw are scored like all others.

Source: the content-based neighbour methods of the field (Lops, de Gemmis and Semeraro 2011, Recommender Systems
Handbook, chapter 3); the decay 1 / d is that of sequential rules. The quarter circle is chosen here: the plain
cosine of two numbers says whether their signs agree.
"""

import numpy as np
import torch
from scipy import sparse

from gru4recf.data.features import Feature, VectorFeature
from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Baseline, Histories
from gru4recf.models.baselines.feature_values import values_of

DECIMALS = 6  # similarities that differ by less are equal, and popularity decides


class ContentKnn(Baseline):
    """Score by the similarity of features, then by popularity."""

    def __init__(self, train: Sessions, n_items: int, *, features: list[Feature]):
        super().__init__(train, n_items)
        columns = [_unit_rows(_columns(feature)) / len(features) ** 0.5 for feature in features]
        self.profiles = sparse.hstack(columns, format="csr")
        self.by_column = self.profiles.T.tocsr()
        self.register_buffer("tie_break", _places(self.support) * 10.0**-DECIMALS / 2, persistent=False)

    def score(self, histories: Histories) -> torch.Tensor:
        """Return the similarity of each history to all items, then popularity (n, N), in float64."""
        steps = np.repeat(histories.lengths, histories.lengths) - histories.positions + 1
        events = sparse.csr_array((1 / steps, histories.items, histories.offsets), (len(histories), self.n_items))
        similarities = (events @ self.profiles @ self.by_column).toarray()
        return torch.from_numpy(similarities.round(DECIMALS)) + self.tie_break


def _columns(feature: Feature) -> sparse.csr_array:
    """Return (N, D) what the cosine of a feature is taken of; a row of zeros where it is missing."""
    if isinstance(feature, VectorFeature):
        known = ~feature.missing[:, None]
        if feature.vectors.shape[1] > 1:
            return sparse.csr_array(feature.vectors * known)
        angle = torch.special.ndtr(torch.from_numpy(feature.vectors).double()).numpy() * np.pi / 2
        return sparse.csr_array(np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * known)
    counts = values_of(feature)[:, 1:]  # without the missing value
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log((1 + counts.shape[0]) / (1 + frequency)) + 1
    return sparse.csr_array(counts * idf)


def _unit_rows(array: sparse.csr_array) -> sparse.csr_array:
    """Scale each row to length 1; rows of zeros stay."""
    norm = np.sqrt((array * array).sum(axis=1))
    return sparse.csr_array(sparse.diags_array(1 / np.where(norm > 0, norm, 1.0)) @ array)


def _places(support: torch.Tensor) -> torch.Tensor:
    """Return (N,) the place of each support among the distinct ones, from 0 to below 1."""
    distinct, place = torch.unique(support, return_inverse=True)
    return place.double() / len(distinct)
