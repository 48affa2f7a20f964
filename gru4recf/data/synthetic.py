"""Generated sessions with known structure: how much the features tell about the next item is a dial.

Each item belongs to one of `n_groups` hidden groups. The next item is drawn, with probability `telling`, from
the group that follows the current item's group (a fixed random permutation, so features predict it), otherwise
from the item's own fixed successors, which only its identity predicts. The feature `group` names the hidden
group; `noise` is a feature that tells nothing.
"""

import hashlib

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.errors import StudyError


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
    n_items, n_groups = len(group_of), len(next_group)
    members = [np.flatnonzero(group_of == g) for g in range(n_groups)]
    successors = generator.integers(n_items, size=(n_items, 3))
    walks = np.empty((n_sessions, n_steps), dtype=np.int64)
    walks[:, 0] = generator.integers(n_items, size=n_sessions)
    for t in range(1, n_steps):
        current = walks[:, t - 1]
        by_identity = successors[current, generator.integers(3, size=n_sessions)]
        by_group = _member(members, next_group[group_of[current]], generator.random(n_sessions))
        walks[:, t] = np.where(generator.random(n_sessions) < telling, by_group, by_identity)
    return walks


def _member(members: list[np.ndarray], group: np.ndarray, pick: np.ndarray) -> np.ndarray:
    """Return one member of each group; `pick` in [0, 1) chooses which."""
    sizes = np.array([len(m) for m in members])
    first = np.cumsum(sizes) - sizes
    return np.concatenate(members)[first[group] + (pick * sizes[group]).astype(np.int64)]
