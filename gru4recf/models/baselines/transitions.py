"""Which item followed which in training, near or far: the counts of all methods that look at the last item."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from gru4recf.data.sessions import Sessions


def transitions(
    train: Sessions, n_items: int, *, steps: int = 1, weight: Callable[[int], float] = lambda distance: 1.0
) -> sparse.csr_array:
    """Return (N, N) weighted counts: row i, column j, over all pairs with j at most `steps` events after i.

    Args:
        train: training sessions; no pair crosses from one to the next.
        n_items: catalogue size N.
        steps: the largest distance of a pair.
        weight: what a pair at a distance of 1, 2, ... counts.
    """
    session = train.session_of_events()
    steps = min(steps, int(train.lengths.max(initial=1)) - 1)
    counts = sparse.csr_array((n_items, n_items))
    for distance in range(1, steps + 1):
        together = session[distance:] == session[:-distance]
        pair = (train.items[:-distance][together], train.items[distance:][together])
        weights = np.full(len(pair[0]), float(weight(distance)))
        counts += sparse.coo_array((weights, pair), shape=counts.shape).tocsr()
    return counts
