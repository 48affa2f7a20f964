"""Does the order of events matter? A first-order Markov chain of counts, with the true order and with a shuffled one.

The chain counts how often item j follows item i in training, and ranks the items after i by these counts. Where it
predicts validation as well after the events of every session were shuffled, order carries nothing a sequential model
could use.
"""

from dataclasses import dataclass

import numpy as np

from gru4recf.data.sessions import Sessions
from gru4recf.data.split import Split

CUTOFF = 20
STANDARD_ERRORS = 2.0
LITTLE = 0.1  # of the chain's MRR@20


@dataclass(frozen=True)
class OrderTest:
    """MRR@20 of the chain on validation, with the true and with shuffled order, and the standard error of the gap."""

    true_order: float
    shuffled: float
    standard_error: float

    @property
    def matters(self) -> bool:
        """Whether the true order is better by more than chance."""
        return self.true_order - self.shuffled > STANDARD_ERRORS * self.standard_error

    @property
    def little(self) -> bool:
        """Whether what order brings is small for sure, and not only hidden by chance."""
        most = self.true_order - self.shuffled + STANDARD_ERRORS * self.standard_error
        return most < LITTLE * max(self.true_order, self.shuffled)


def order_matters(parts: Split, sequences: str, seed: int = 0) -> OrderTest:
    """Compare the true order with a shuffled one.

    Args:
        parts: training, whose transitions are counted, and validation, whose targets are predicted.
        sequences: of "users" only the events before the target are shuffled, because the target itself is held out.
        seed: of the shuffling.
    """
    generator = np.random.default_rng(seed)
    true = reciprocal_ranks(parts.train.items, parts.train, parts.validation.items, parts.validation, parts.n_items)
    train = _shuffled(parts.train, np.ones(parts.train.n_events, dtype=bool), generator)
    movable = ~parts.validation.is_target if sequences == "users" else np.ones(parts.validation.n_events, dtype=bool)
    validation = _shuffled(parts.validation, movable, generator)
    shuffled = reciprocal_ranks(train, parts.train, validation, parts.validation, parts.n_items)
    error = np.sqrt(true.var() / len(true) + shuffled.var() / len(shuffled))
    return OrderTest(float(true.mean()), float(shuffled.mean()), float(error))


def reciprocal_ranks(
    train_items: np.ndarray, train: Sessions, items: np.ndarray, sessions: Sessions, n_items: int
) -> np.ndarray:
    """Return (n_targets,) 1 / rank of each target after the item before it; 0 beyond rank 20 or never seen.

    rank = 1 + number of items with a higher count + half the number of other items with the same count.
    """
    follows = np.ones(train.n_events, dtype=bool)
    follows[train.offsets[:-1]] = False
    after = np.flatnonzero(follows)
    pairs, counts = np.unique(train_items[after - 1] * n_items + train_items[after], return_counts=True)
    order = np.lexsort((-counts, pairs // n_items))
    group = np.stack([pairs[order] // n_items, counts[order]], axis=1)
    new = np.append(True, (np.diff(group, axis=0) != 0).any(axis=1))  # where an item's next lower count begins
    begin, n_equal = np.flatnonzero(new)[np.cumsum(new) - 1], np.diff(np.append(np.flatnonzero(new), len(new)))
    row_begin = np.searchsorted(group[:, 0], group[:, 0], side="left")
    rank = np.empty(len(pairs))
    rank[order] = 1 + (begin - row_begin) + (n_equal[np.cumsum(new) - 1] - 1) / 2
    targets = np.flatnonzero(sessions.is_target)
    wanted = items[targets - 1] * n_items + items[targets]
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    found = (pairs[place] == wanted) & (rank[place] <= CUTOFF)
    return np.where(found, 1 / rank[place], 0.0)


def _shuffled(sessions: Sessions, movable: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the items with the movable ones exchanged at random inside each session."""
    places = np.flatnonzero(movable)
    session = sessions.session_of_events()[places]
    items = sessions.items.copy()
    items[places] = sessions.items[places[np.lexsort((generator.random(len(places)), session))]]
    return items
