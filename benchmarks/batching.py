"""What goes into a training batch: events per CPU second, and validation MRR@20, for five ways of making batches.

    python benchmarks/batching.py [LABEL ...]                 labels of studies/default.yaml; about 15 CPU minutes

* shuffled, by_time: this package's (`gru4recf.data.batches`).
* equal windows: windows of like length together, and equally many of them in every batch, which was this package's
  first way of shuffling. A step of Adam is about as long whatever the number of its events, so events of short sessions
  count for more.
* unsorted: windows in random order, equally many in every batch.
* single targets: RecBole's rows. A row is one target with the events before it; rows are drawn from all places of all
  sessions, as many in a batch as the others have targets on average. Where it would take too long it is left out.

`parallel_concat` with the default study's settings, three seeds that no study has; the best epoch on validation counts
and test is not looked at. All ways take turns within a seed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from machine import save
from torch import nn

from gru4recf.data.batches import BLOCK, Batch, batches, make_batch
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import Sessions, Windows, cut_windows
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import start
from gru4recf.metrics import summarise
from gru4recf.optimisers import Together, make_optimiser
from gru4recf.settings import RunSpec, Settings
from gru4recf.study import read_study, settings_of
from gru4recf.training import SELECTED_ON, train_epoch

STUDY = Path(__file__).parents[1] / "studies" / "default.yaml"
LABELS = ("eshop-5pct", "eshop")  # windows of ml-100k are nearly all of one length
WITH_SINGLE_TARGETS = ("eshop-5pct",)
SEEDS = (101, 102, 103)

Way = Callable[[Sessions, Windows, int, np.random.Generator], Iterator[Batch]]


def shuffled(train: Sessions, windows: Windows, size: int, generator: np.random.Generator) -> Iterator[Batch]:
    yield from batches(train, windows, size, generator=generator)


def by_time(train: Sessions, windows: Windows, size: int, generator: np.random.Generator) -> Iterator[Batch]:
    yield from batches(train, windows, size, generator=generator, by_time=True)


def equal_windows(train: Sessions, windows: Windows, size: int, generator: np.random.Generator) -> Iterator[Batch]:
    order = generator.permutation(len(windows))
    for block in np.split(order, range(BLOCK * size, len(order), BLOCK * size)):
        rows = block[np.argsort(windows.start[block] - windows.stop[block], kind="stable")]
        for cut in generator.permutation(np.arange(0, len(rows), size)):
            chosen = rows[cut : cut + size]
            yield make_batch(train, windows.start[chosen], windows.stop[chosen])


def unsorted(train: Sessions, windows: Windows, size: int, generator: np.random.Generator) -> Iterator[Batch]:
    order = generator.permutation(len(windows))
    for chosen in np.split(order, range(size, len(order), size)):
        yield make_batch(train, windows.start[chosen], windows.stop[chosen])


def single_targets(train: Sessions, windows: Windows, size: int, generator: np.random.Generator) -> Iterator[Batch]:
    """Yield batches of which only the last position of each window counts; see `LastOnly`."""
    targets = generator.permutation(np.flatnonzero(train.is_target))
    first = train.offsets[train.session_of_events()]
    per_batch = round(size * len(targets) / len(windows))
    for chosen in np.split(targets, range(per_batch, len(targets), per_batch)):
        yield make_batch(train, first[chosen], chosen + 1)


class LastOnly(nn.Module):
    """A network whose loss counts the last position of each window alone."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def encode(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        follows = torch.cat([batch_sizes[1:], batch_sizes.new_zeros(1)])  # windows that go on after each step
        lane = torch.arange(len(items)) - torch.repeat_interleave(batch_sizes.cumsum(0) - batch_sizes, batch_sizes)
        self.last = lane >= torch.repeat_interleave(follows, batch_sizes)
        return self.network.encode(items, batch_sizes)[self.last]

    def loss(self, vectors: torch.Tensor, targets: torch.Tensor, negatives: None = None) -> torch.Tensor:
        return self.network.loss(vectors, targets[self.last], negatives)


WAYS: dict[str, Way] = {
    "shuffled": shuffled, "by_time": by_time, "equal windows": equal_windows, "unsorted": unsorted,
    "single targets": single_targets,
}  # fmt: skip


def train_with(way: str, run: RunSpec, data, parts) -> dict[str, float]:
    """Train until validation has not been better for `patience` epochs; return the best epoch and the rate."""
    settings, train = run.settings, parts.train
    network, generator = start(run, data, parts)
    trained = LastOnly(network) if way == "single targets" else network
    optimiser: Together = make_optimiser(settings.optimiser, network, settings.learning_rate)
    windows = cut_windows(train, settings.max_length)
    values, seconds = [], 0.0
    while len(values) < settings.n_epochs and len(values) - 1 - int(np.argmax(values or [0])) < settings.patience:
        begin = time.process_time()
        train_epoch(trained, optimiser, WAYS[way](train, windows, settings.batch_size, generator))
        seconds += time.process_time() - begin
        ranks = rank_targets(network, parts.validation, max_length=settings.max_length).ranks
        values.append(summarise(ranks)["MRR@20"])
    best = int(np.argmax(values))
    return {"value": values[best], "epoch": best + 1, "targets_per_cpu_second": train.n_targets * len(values) / seconds}


def measure(label: str) -> dict[str, dict]:
    """Return mean and spread over seeds of every way on one data set of the default study."""
    study = read_study(STUDY)
    dataset = next(one for one in study.datasets if one.shown_as == label)
    settings: Settings = settings_of(study, dataset)
    data = open_dataset(dataset.name, progress=True)
    parts = split(data, **settings.data_options())
    ways = [way for way in WAYS if way != "single targets" or label in WITH_SINGLE_TARGETS]
    made = {way: [] for way in ways}
    for seed in SEEDS:
        for way in ways:
            run = RunSpec(dataset=dataset.name, variant="parallel_concat", seed=seed, settings=settings)
            made[way].append(train_with(way, run, data, parts))
            print(label, seed, way, made[way][-1], flush=True)
    return {
        way: {
            SELECTED_ON: round(mean(one["value"] for one in runs), 4),
            "sd": round(stdev(one["value"] for one in runs), 4),
            "best_epochs": [one["epoch"] for one in runs],
            "targets_per_cpu_second": round(mean(one["targets_per_cpu_second"] for one in runs)),
        }
        for way, runs in made.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    save("batching", {label: measure(label) for label in sys.argv[1:] or LABELS})


if __name__ == "__main__":
    main()
