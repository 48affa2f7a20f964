"""What a data set looks like: frames for people and figures; nothing here decides a run's numbers."""

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.data.sessions import Sessions
from gru4recf.data.split import Split

PARTS = ("train", "validation", "test")
FIRST_DATE = pd.Timestamp("1990-01-01").timestamp()  # smaller numbers only order events


def feature_summary(dataset: Dataset) -> pd.DataFrame:
    """Return `feature`, `kind`, `coverage` and `n_values` of each feature, over all items of the data set.

    `coverage` is the share of the items that have the feature; `n_values` counts different values, of a `float_seq`
    the numbers of a vector.
    """
    rows = []
    for name, kind in dataset.kinds.items():
        known = _known(dataset.items[name], kind)
        rows.append((name, kind, len(known) / len(dataset.items), _n_values(known, kind)))
    return pd.DataFrame(rows, columns=["feature", "kind", "coverage", "n_values"])


def sessions_in_time(dataset: Dataset, parts: Split, n_bins: int = 50) -> pd.DataFrame:
    """Return `time`, `part` and `n_sessions`: how many sessions of each part fall into equal stretches of time.

    A session (or user) counts where the first event lies that it has to predict in that part. `time` is the start of
    the stretch, a date where the data set's numbers are seconds of this age.
    """
    times = {part: _first_target_times(dataset, parts, getattr(parts, part)) for part in PARTS}
    edges = np.histogram_bin_edges(np.concatenate(list(times.values())), n_bins)
    starts = pd.to_datetime(edges[:-1].round(), unit="s") if edges[0] >= FIRST_DATE else edges[:-1]
    counted = {part: np.histogram(values, edges)[0] for part, values in times.items()}
    frames = [pd.DataFrame({"time": starts, "part": part, "n_sessions": n}) for part, n in counted.items()]
    return pd.concat(frames, ignore_index=True)


def sample_sessions(dataset: Dataset, n_sessions: int = 3, n_events: int = 6) -> pd.DataFrame:
    """Return the first events, with the items' features, of sessions evenly spread over the data set."""
    sessions = dataset.events["session"].unique()
    chosen = sessions[np.linspace(0, len(sessions) - 1, n_sessions, dtype=np.int64)]
    events = dataset.events[dataset.events["session"].isin(chosen)].groupby("session", sort=False).head(n_events)
    return events.join(dataset.items, on="item").reset_index(drop=True)


def _known(values: pd.Series, kind: str) -> pd.Series:
    return values[values.map(len) > 0] if kind == "token_seq" else values.dropna()


def _n_values(known: pd.Series, kind: str) -> int:
    if kind == "float_seq":
        return len(known.iloc[0]) if len(known) else 0
    return known.explode().nunique() if kind == "token_seq" else known.nunique()


def _first_target_times(dataset: Dataset, parts: Split, sessions: Sessions) -> np.ndarray:
    """Return (n_sessions,) the time of each session's first target.

    The items left of a session after the filter are in all parts the same sequence from its start, so an event is
    found by its place.
    """
    kept = dataset.events[dataset.events["item"].isin(parts.catalogue[1:])]
    labels, start = np.unique(kept["session"].to_numpy(dtype=object), return_index=True)
    targets = np.flatnonzero(sessions.is_target)
    session, first = np.unique(sessions.session_of_events()[targets], return_index=True)
    position = sessions.position_of_events()[targets[first]]
    found = start[np.searchsorted(labels, sessions.labels[session])] + position
    return kept["time"].to_numpy()[found]
