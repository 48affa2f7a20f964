"""Generated sessions with known structure: how much the features tell about the next item is a dial.

Each item belongs to one of `n_groups` hidden groups. A step is a jump to any item (`JUMPS` of them, which nobody can
predict), or, with probability `telling`, goes to a popular member of the group that follows the current item's group,
or else to the current item's one fixed successor. The group of a rare item is in its feature `group` and hardly in
its few events, so features pay as much as steps follow groups; a successor is known from the item's identity alone.
The feature `noise` tells nothing.
"""

import hashlib

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.errors import StudyError

JUMPS = 0.3
SKEW = 4


def make_synthetic(
    *,
    n_sessions: int = 2000,
    n_items: int = 200,
    n_groups: int = 10,
    telling: float = 0.5,
    mean_length: float = 5.0,
    seed: int = 0,
) -> Dataset:
    """Generate a data set whose features predict the next item to the degree `telling` (0 nothing, 1 everything).

    Args:
        n_sessions: number of sessions, one hour apart, of two or more events.
        n_items: catalogue size before any filter.
        n_groups: number of hidden groups, at most `n_items`.
        telling: share of the steps that follow the groups, in [0, 1].
        mean_length: mean session length; lengths are 2 plus a geometric tail.
        seed: same seed, same events.

    Raises:
        StudyError: for a dial out of range.
    """
    if not 0 <= telling <= 1:
        raise StudyError(f"telling is {telling}; it is a share of steps, choose it between 0 and 1.")
    if not 2 <= n_groups <= n_items or n_sessions < 1 or mean_length <= 2:
        raise StudyError("synthetic needs 2 <= n_groups <= n_items, at least one session and a mean length above 2.")
    generator = np.random.default_rng(seed)
    group_of = generator.permutation(np.arange(n_items) % n_groups)
    lengths = 1 + generator.geometric(1 / (mean_length - 1), n_sessions)
    walks = _walk(generator, group_of, generator.permutation(n_groups), telling, n_sessions, int(lengths.max()))
    step = np.arange(walks.shape[1])
    inside = step < lengths[:, None]
    session = np.repeat(np.arange(n_sessions), lengths)
    names = np.array([f"i{i:05d}" for i in range(n_items)])
    events = pd.DataFrame(
        {
            "session": pd.Series(session).astype("str"),
            "item": pd.Series(names[walks[inside]], dtype="str"),
            "time": (session * 3600 + np.broadcast_to(step, walks.shape)[inside]).astype(np.float64),
        }
    )
    items = pd.DataFrame(
        {
            "group": [f"g{g}" for g in group_of],
            "noise": [f"n{g}" for g in generator.integers(n_groups, size=n_items)],
        },
        index=pd.Index(names, name="item"),
    )
    dials = f"{n_sessions} {n_items} {n_groups} {telling} {mean_length} {seed}"
    digest = hashlib.sha256(f"synthetic {dials}".encode()).hexdigest()
    return Dataset("synthetic", events, items, {"group": "token", "noise": "token"}, "sessions", digest)


def _walk(
    generator: np.random.Generator,
    group_of: np.ndarray,
    next_group: np.ndarray,
    telling: float,
    n_sessions: int,
    n_steps: int,
) -> np.ndarray:
    """Return (n_sessions, n_steps) item indices; all sessions take each step together."""
    n_items = len(group_of)
    members = np.argsort(group_of, kind="stable")
    sizes = np.bincount(group_of)
    first = np.cumsum(sizes) - sizes
    successors = generator.integers(n_items, size=n_items)
    walks = generator.integers(n_items, size=(n_sessions, n_steps))
    jumps = generator.random((n_sessions, n_steps)) < JUMPS
    follows_group = generator.random((n_sessions, n_steps)) < telling
    skew = generator.random((n_sessions, n_steps)) ** SKEW  # small numbers are frequent: popular members come first
    for t in range(1, n_steps):
        current = walks[:, t - 1]
        group = next_group[group_of[current]]
        by_group = members[first[group] + (skew[:, t] * sizes[group]).astype(np.int64)]
        drawn = np.where(follows_group[:, t], by_group, successors[current])
        walks[:, t] = np.where(jumps[:, t], walks[:, t], drawn)
    return walks
