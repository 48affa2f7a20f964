"""Sessions as flat arrays, and the windows a network reads.

All sessions lie one behind the other in a single array of item indices; a window is a pair of positions in it.
Nothing here loops over sessions.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sessions:
    """The sessions of one part (training, validation or test) in order of time.

    Attributes:
        items: (n_events,) int64, encoded items, 1 to N - 1 (0 is padding and never occurs).
        offsets: (n_sessions + 1,) int64; session s is `items[offsets[s]:offsets[s + 1]]`.
        is_target: (n_events,) bool; the events to be predicted. The first event of a session never is one.
        labels: (n_sessions,) the raw session (or user) ids.
    """

    items: np.ndarray
    offsets: np.ndarray
    is_target: np.ndarray
    labels: np.ndarray

    @property
    def n_sessions(self) -> int:
        """Number of sessions."""
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.items)

    @property
    def n_targets(self) -> int:
        """Number of events to be predicted."""
        return int(self.is_target.sum())

    @property
    def lengths(self) -> np.ndarray:
        """(n_sessions,) number of events of each session."""
        return np.diff(self.offsets)

    def session_of_events(self) -> np.ndarray:
        """Return (n_events,) the index of each event's session."""
        return np.repeat(np.arange(self.n_sessions), self.lengths)

    def position_of_events(self) -> np.ndarray:
        """Return (n_events,) the place of each event in its session, 0 for the first."""
        return np.arange(self.n_events) - np.repeat(self.offsets[:-1], self.lengths)


@dataclass(frozen=True)
class Windows:
    """Stretches of sessions, each read in one pass from an empty state.

    Attributes:
        start: (n_windows,) index of each window's first event in `Sessions.items`.
        stop: (n_windows,) index behind its last event.
    """

    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


def cut_windows(sessions: Sessions, max_length: int) -> Windows:
    """Cut sessions into windows of at most `max_length` inputs; every target lies in exactly one.

    A window holds one event more than it has inputs, because its last event is only a target. Windows are aligned
    to the end of the session: the last target is predicted from the `max_length` events before it, which is
    RecBole's cut (MAX_ITEM_LIST_LENGTH). Windows without a target are left out.
    """
    n_inputs = sessions.lengths - 1
    per_session = -(-n_inputs // max_length)
    session = np.repeat(np.arange(sessions.n_sessions), per_session)
    first = np.cumsum(per_session) - per_session
    from_end = per_session[session] - 1 - (np.arange(len(session)) - first[session])
    stop = sessions.offsets[session + 1] - from_end * max_length
    start = np.maximum(stop - max_length - 1, sessions.offsets[session])
    targets_before = np.concatenate([[0], np.cumsum(sessions.is_target)])
    has_target = targets_before[stop] > targets_before[start + 1]
    return Windows(start[has_target], stop[has_target])
