"""What training on some data will cost: lines fitted to measured runs, `benchmarks/cost.py` writes their slopes.

    epoch  = a steps + b events + c events x features + d events x items        CPU seconds, parallel_concat
    ranks  = e events + f events x items                                       CPU seconds
    memory = g + h events + i items                                            bytes at most, of a training process

with E = 64, H = 128, batches of 128 windows and full soft-max, on one thread of the machine named beside the slopes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gru4recf.data.batches import batches
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.files import read_json
from gru4recf.results import find_in_checkout

BATCH_SIZE = 128
MAX_LENGTH = 50
EPOCHS = 15  # of a run of the default study, its selection and its retraining together


@dataclass(frozen=True)
class Work:
    """How much there is to do in one pass over some sessions."""

    n_events: int
    """Targets."""
    n_steps: int
    """Recurrent steps of all batches, each as many as its longest window has inputs."""
    n_items: int
    """Items of the catalogue."""
    n_features: int
    """Features of an item."""

    def terms(self) -> dict[str, list[float]]:
        """Return what each line multiplies its slopes with."""
        events, items = self.n_events, self.n_items
        return {
            "epoch_cpu_seconds": [self.n_steps, events, events * self.n_features, events * items],
            "ranking_cpu_seconds": [events, events * items],
            "peak_bytes": [1, events, items],
        }


def work_of(sessions: Sessions, n_items: int, n_features: int) -> Work:
    """Return the work of one pass over `sessions`."""
    windows = cut_windows(sessions, MAX_LENGTH)
    in_order = batches(sessions, windows, BATCH_SIZE, generator=np.random.default_rng(0))
    lengths = [(len(batch.items), len(batch.batch_sizes)) for batch in in_order]
    n_events, n_steps = np.sum(lengths, axis=0) if lengths else (0, 0)
    return Work(int(n_events), int(n_steps), n_items, n_features)


def predicted(work: Work, slopes: Mapping[str, list[float]]) -> dict[str, float]:
    """Return CPU seconds and bytes, named as in `Work.terms`."""
    return {name: float(np.dot(terms, slopes[name])) for name, terms in work.terms().items()}


def measured_slopes() -> tuple[dict[str, list[float]], str]:
    """Return the committed slopes and the name of the machine they were measured on."""
    record = read_json(find_in_checkout("reports", "benchmarks") / "cost.json")
    return record["slopes"], record["cpu"]
