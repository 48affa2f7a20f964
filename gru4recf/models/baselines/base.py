"""What all baselines share: what they read of a session, and how they hand over scores.

A baseline sees the events before a target and nothing else of its session. Its scores are dense where every item has
one, sparse where most have none; an item without a score counts as 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import nn

from gru4recf.data.sessions import Sessions


@dataclass(frozen=True)
class Histories:
    """The events before each of n targets, one behind the other, oldest first.

    Attributes:
        items: (n_events,) int64 items.
        offsets: (n + 1,) int64; target t has read `items[offsets[t]:offsets[t + 1]]`, one item at least.
    """

    items: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(n,) number of events before each target."""
        return np.diff(self.offsets)

    @property
    def last(self) -> np.ndarray:
        """(n,) the item just before each target."""
        return self.items[self.offsets[1:] - 1]

    @property
    def rows(self) -> np.ndarray:
        """(n_events,) the target that each event belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def positions(self) -> np.ndarray:
        """(n_events,) place of each event in its history, 1 for the oldest."""
        return np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths) + 1


def histories_of(sessions: Sessions, events: np.ndarray, max_length: int) -> Histories:
    """Return what was read before the targets at `events`: at most the `max_length` last events of the session.

    Args:
        sessions: what the events point into.
        events: (n,) indices into `sessions.items`, none of them the first of its session.
        max_length: events read at most, 1 or more.
    """
    session = np.searchsorted(sessions.offsets, events, side="right") - 1
    start = np.maximum(sessions.offsets[session], events - max_length)
    offsets = np.concatenate([[0], np.cumsum(events - start)])
    index = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], events - start)
    return Histories(sessions.items[index], offsets)


class Baseline(nn.Module, ABC):
    """Base of the baselines. The state dict holds each item's number of training events, for all else follows from the
    training sessions sooner than it is read.
    """

    trainable = False

    def __init__(self, train: Sessions, n_items: int):
        super().__init__()
        support = np.bincount(train.items, minlength=n_items)
        self.register_buffer("support", torch.from_numpy(support.astype(np.float32)))

    @property
    def n_items(self) -> int:
        """Catalogue size N with the padding item."""
        return len(self.support)

    def to(self, *args, **kwargs) -> "Baseline":
        """Return the baseline where it is: its counts are looked up on the CPU, wherever networks run."""
        return self

    @abstractmethod
    def score(self, histories: Histories) -> sparse.csr_array | torch.Tensor:
        """Return the scores (n, N) of all items after each history.

        A sparse array holds no pair twice; what it does not hold is 0. Column 0, the padding item, says nothing.
        """
