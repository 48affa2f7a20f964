"""A data set as every later step sees it: events, item features and where they came from."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

FeatureKind = Literal["token", "token_seq", "float", "float_seq"]


@dataclass(frozen=True)
class Dataset:
    """Events and item features read from one source, before any split or filter.

    Attributes:
        name: what the data set is called in files and figures.
        events: one row per event, sorted by (time of the session's first event, session, time), columns
            `session` and `item` (strings) and `time` (float64 seconds, or any number that orders events).
        items: one row per item, indexed by `item`, one column per feature. A `token` is a string or
            missing; a `token_seq` a list of strings; a `float` a float64, NaN when missing; a `float_seq`
            a float32 array of one length, or None.
        kinds: feature name -> kind, in the order in which networks see the features.
        sequences: "sessions" are split by time, "users" by leaving out each one's last events.
        digest: SHA-256 over the files it was read from.
        dropped: reason -> number of rows left out while reading.
        test_start: sessions whose first event is at or after this time are test; None leaves the choice to
            the split (the last tenth of the sessions).
        validation_start: the same for validation, which ends where test begins.
    """

    name: str
    events: pd.DataFrame
    items: pd.DataFrame
    kinds: dict[str, FeatureKind]
    sequences: Literal["sessions", "users"]
    digest: str
    dropped: dict[str, int] = field(default_factory=dict)
    test_start: float | None = None
    validation_start: float | None = None

    @property
    def n_sessions(self) -> int:
        """Number of sessions (or users)."""
        return self.events["session"].nunique()
