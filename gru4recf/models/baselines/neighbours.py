"""Training sessions like the running one: what V-SKNN and VSTAN share.

Sessions are numbered from the newest (0) to the oldest, so that an earlier column is a more recent session: cutting a
row keeps the most recent ones, and of equal similarities the more recent ones win. `Sessions` has no times, only their
order, which stands for time.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gru4recf.data.features import gather_lists
from gru4recf.data.sessions import Sessions
from gru4recf.models.baselines.base import Histories
from gru4recf.models.baselines.sparse_rows import keep_first


@dataclass(frozen=True)
class Matches:
    """What neighbour sessions have in common with the running sessions; one entry per pair of the two.

    Attributes:
        items: (n_entries,) the distinct items of each pair's neighbour, one pair behind the other.
        places: (n_entries,) last place of each of them in the neighbour, 1 for its first event.
        offsets: (n_pairs + 1,) int64 where each pair's items begin.
        steps: (n_pairs,) steps from the end of the running session to its last item that the neighbour has; 1 = last.
        shared_place: (n_pairs,) last place in the neighbour of any item of the running session.
    """

    items: np.ndarray
    places: np.ndarray
    offsets: np.ndarray
    steps: np.ndarray
    shared_place: np.ndarray


class TrainingSessions:
    """The training sessions as sets of items, and for each item the most recent sessions that have it."""

    def __init__(self, train: Sessions, n_items: int, sample_size: int):
        """Index `train`, which is in order of time; `sample_size` sessions at most are sampled for a target."""
        session = train.n_sessions - 1 - train.session_of_events()
        self.n_items, self.sample_size = n_items, sample_size
        sessions, self.items, self.places = _last_of_each(session, train.items, train.position_of_events() + 1)
        self.offsets = np.searchsorted(sessions, np.arange(train.n_sessions + 1))
        self.entries = np.arange(len(self.items))
        ones = np.ones(len(self.items))
        self.incidence = sparse.csr_array((ones, self.items, self.offsets), shape=(train.n_sessions, n_items))
        # the most recent sessions with any of some items are among the most recent ones with each of them
        self.recent = keep_first(self.incidence.T.tocsr(), sample_size)

    def similarities(self, weights: sparse.csr_array) -> sparse.csr_array:
        """Return (n, sessions) the dot products of weighted items (n, N) with the sampled sessions' sets of items.

        Sampled are the `sample_size` most recent sessions that share an item with the row.
        """
        products = weights @ self.recent
        products.sort_indices()
        return keep_first(products, self.sample_size)

    def match(self, histories: Histories, neighbours: sparse.csr_array) -> Matches:
        """Return where each pair of a history and one of its neighbours (n, sessions) meets."""
        row = np.repeat(np.arange(len(histories)), np.diff(neighbours.indptr))
        entries, offsets = gather_lists(self.entries, self.offsets, neighbours.indices)
        items, places = self.items[entries], self.places[entries]
        last_place = np.zeros((len(histories), self.n_items), dtype=np.int32)
        last_place[histories.rows, histories.items] = histories.positions  # of repeated items the last one stays
        place = last_place.ravel()[np.repeat(row * self.n_items, np.diff(offsets)) + items]
        newest = _largest_of_each(place, offsets)
        shared_place = _largest_of_each(np.where(place > 0, places, 0), offsets)
        return Matches(items, places, offsets, histories.lengths[row] - newest + 1, shared_place)


def distinct_items(histories: Histories, weights: np.ndarray, n_items: int) -> sparse.csr_array:
    """Return (n, N) the weight of each history's items; an item that was repeated has the weight of its last event."""
    rows, items, last = _last_of_each(histories.rows, histories.items, np.arange(len(histories.items)))
    offsets = np.searchsorted(rows, np.arange(len(histories) + 1))
    return sparse.csr_array((weights[last], items, offsets), shape=(len(histories), n_items))


def inverse_frequency(train: Sessions, n_items: int) -> np.ndarray:
    """Return (N,) log(sessions / events of the item), as session-rec defines it; 0 for items training never saw."""
    support = np.bincount(train.items, minlength=n_items)
    return np.where(support > 0, np.log(train.n_sessions / np.maximum(support, 1)), 0.0)


def _last_of_each(group: np.ndarray, items: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (group, item, largest order) of each distinct pair of the first two, sorted by group and item."""
    by_pair = np.lexsort((order, items, group))
    group, items, order = group[by_pair], items[by_pair], order[by_pair]
    is_last = np.ones(len(group), dtype=bool)
    is_last[:-1] = (group[1:] != group[:-1]) | (items[1:] != items[:-1])
    return group[is_last], items[is_last], order[is_last]


def _largest_of_each(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the maximum of each stretch; none is empty."""
    return np.maximum.reduceat(values, offsets[:-1]) if len(offsets) > 1 else values[:0]
