"""Accuracy of ranks: one value per event, so that sessions can be resampled and slices taken.

Every function takes ranks of any shape (1 is best, halves come from ties, infinity is a miss) and returns
float64 values of the same shape; the metric of a run is their mean.
"""

import re
from collections.abc import Callable

import numpy as np

from gru4recf.errors import StudyError


def recall_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return 1 where the target stands among the first k. One target per event: Recall@k equals HitRate@k."""
    return (np.asarray(ranks) <= k).astype(np.float64)


def mrr_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return 1 / rank where the target stands among the first k, else 0."""
    ranks = np.asarray(ranks, dtype=np.float64)
    return np.where(ranks <= k, 1.0 / ranks, 0.0)


def ndcg_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """Return 1 / log2(1 + rank) where the target stands among the first k, else 0; with one target the ideal is 1."""
    ranks = np.asarray(ranks, dtype=np.float64)
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


METRICS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {"Recall": recall_at, "MRR": mrr_at, "NDCG": ndcg_at}
CUTOFFS = (5, 10, 20)
PRIMARY = ("Recall@20", "MRR@20")
NAMES = tuple(f"{name}@{k}" for k in CUTOFFS for name in METRICS)


def per_event(name: str, ranks: np.ndarray) -> np.ndarray:
    """Return the values of the metric called `name` ("MRR@20") for each rank.

    Raises:
        StudyError: for a name that is not METRIC@K.
    """
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", name)
    if match is None or match[1] not in METRICS:
        raise StudyError(f"Unknown metric {name!r}; use one of {', '.join(METRICS)} with a cutoff, such as MRR@20.")
    return METRICS[match[1]](ranks, int(match[2]))


def summarise(ranks: np.ndarray) -> dict[str, float]:
    """Return the mean of every metric at every cutoff over all events."""
    return {name: float(per_event(name, ranks).mean()) for name in NAMES}
