"""Official GRU4Rec's PyTorch port and `id_only` side by side on eshop: training rate, accuracy for equal CPU seconds.

    python benchmarks/gru4rec_speed.py --gru4rec FOLDER

FOLDER is your own clone of github.com/hidasib/GRU4Rec_PyTorch_Official; its licence does not allow to pass it on, so
nothing of it is here. One thread, items only, 128 units.

* The port: batches of 128, cross-entropy, shared embedding, Adagrad .1, embedding dropout .1, 3 epochs, negatives from
  the batch alone and with 2,048 samples. Its own `fit` trains, from its own initial weights, which are the same for
  every seed; dropout and samples differ. Its own `batch_eval` ranks.
* Ours: embedding and state 128 wide, no linear map between state and output, every item a negative. Windows per step,
  their order, the learning rate and the number of epochs are chosen from `GRID` on validation, by MRR@20 within the
  CPU seconds that the port takes (fewer by the share of training that is validation then), once, with a seed that is
  not used again. Then as many epochs are trained as were chosen and fit into the port's seconds with the same seed.

Both are tested after training on the sessions before the last 28 days, validation included, every item kept, on the
same test events among all items, with conservative ranks. Preparing data and drawing the port's store of samples are
left out of all figures; loading batches is in. The two take turns; the best epoch gives the rate, the mean over seeds
the metric.
"""

import argparse
import contextlib
import functools
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
import torch
from machine import save, sgemm_gflops
from torch import nn

from gru4recf.data.batches import batches
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.data.split import Split, split
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import start
from gru4recf.metrics import PRIMARY, summarise
from gru4recf.optimisers import make_optimiser
from gru4recf.settings import RunSpec, Settings
from gru4recf.training import train_epoch

N_SEEDS, N_EPOCHS, N_UNITS, MOST_EPOCHS = 5, 3, 128, 15
N_SAMPLES = (0, 2048)
FIXED = {"min_support": 1, "embedding_size": N_UNITS, "hidden_size": N_UNITS, "head": "where_needed", "dropout": 0.1}
GRID = {"batch_size": (64, 128, 256), "order": ("by_time", "shuffled"), "learning_rate": (0.002, 0.005)}


def frame(sessions: Sessions) -> pd.DataFrame:
    """Return sessions as the port reads them; times only order sessions and events."""
    columns = {"SessionId": sessions.session_of_events(), "ItemId": sessions.items}
    return pd.DataFrame({**columns, "Time": np.arange(sessions.n_events)})


@contextlib.contextmanager
def timed_epochs(port: Any) -> Iterator[list[tuple[int, float]]]:
    """Yield a list that gets (events, CPU seconds) of every epoch that the port trains: a pass of its iterator."""
    epochs: list[tuple[int, float]] = []
    iterator, original = port.SessionDataIterator, port.SessionDataIterator.__iter__

    def timed(self: Any) -> Iterator[tuple]:
        begin, n_events = time.process_time(), 0
        try:
            for step in original(self):
                n_events += len(step[0]) if len(step) == 2 else 0
                yield step
        finally:
            epochs.append((n_events, time.process_time() - begin))

    iterator.__iter__ = timed
    try:
        yield epochs
    finally:
        iterator.__iter__ = original


@functools.cache
def load_port(folder: Path) -> tuple[Any, Any]:
    """Import the port: its networks and its evaluation."""
    sys.path.insert(0, str(folder))
    import evaluation
    import gru4rec_pytorch

    # written for NumPy 1, where a float32 array times a float64 number stays float32
    drawn = gru4rec_pytorch.GRU4RecModel._init_numpy_weights
    gru4rec_pytorch.GRU4RecModel._init_numpy_weights = lambda self, shape: drawn(self, shape).astype(np.float32)
    return gru4rec_pytorch, evaluation


def train_port(folder: Path, parts: Split, n_sample: int, seed: int) -> dict[str, float]:
    """Return the port's best rate, CPU seconds and metrics."""
    gru4rec_pytorch, evaluation = load_port(folder)
    torch.manual_seed(seed)
    torch.set_deterministic_debug_mode("default")  # ours sets another
    options = {"layers": [N_UNITS], "batch_size": 128, "dropout_p_embed": 0.1, "learning_rate": 0.1}
    network = gru4rec_pytorch.GRU4Rec(
        **options, n_sample=n_sample, constrained_embedding=True, n_epochs=N_EPOCHS, device=torch.device("cpu")
    )
    with contextlib.redirect_stdout(sys.stderr), timed_epochs(gru4rec_pytorch) as epochs:
        network.fit(frame(parts.train))
        recall, mrr = evaluation.batch_eval(network, frame(parts.test), cutoff=[20], mode="conservative")
    rate = max(n_events / seconds for n_events, seconds in epochs)
    metrics = {"Recall@20": float(recall[20]), "MRR@20": float(mrr[20])}
    return {"rate": rate, "cpu_seconds": sum(seconds for _, seconds in epochs), **metrics}


def train_ours(
    parts: Split, settings: Settings, seed: int, n_epochs: int, cpu_seconds: float
) -> Iterator[tuple[nn.Module, list[float]]]:
    """Train epochs while they fit into the CPU seconds; after each, yield the network and the seconds of all so far."""
    run = RunSpec(dataset="eshop", variant="id_only", seed=seed, settings=settings)
    network, generator = start(run, open_dataset("eshop"), parts)
    optimiser = make_optimiser(settings.optimiser, network, settings.learning_rate)
    windows, by_time = cut_windows(parts.train, settings.max_length), settings.order == "by_time"
    epochs: list[float] = []
    while len(epochs) < n_epochs and sum(epochs) + max(epochs, default=0) <= cpu_seconds:
        begin = time.process_time()
        epoch = batches(parts.train, windows, settings.batch_size, generator=generator, by_time=by_time)
        train_epoch(network, optimiser, epoch)
        epochs.append(time.process_time() - begin)
        yield network, epochs


def conservative(network: nn.Module, sessions: Sessions) -> dict[str, float]:
    """Return metrics of conservative ranks: all equal items first."""
    ranks = rank_targets(network, sessions, max_length=Settings().max_length)
    metrics = summarise(ranks.ranks + ranks.ties / 2)
    return {name: metrics[name] for name in PRIMARY}


def choose(cpu_seconds: dict[int, float]) -> dict[int, tuple[Settings, int]]:
    """Return for each budget of CPU seconds the settings and the number of epochs that are best on validation.

    Args:
        cpu_seconds: of the port, by its number of samples; for training on validation too.
    """
    data = open_dataset("eshop")
    merged, parts = (split(data, min_support=1, merge_validation=merge) for merge in (True, False))
    share = parts.train.n_targets / merged.train.n_targets
    best = dict.fromkeys(cpu_seconds, (0.0, None, 0))
    for values in itertools.product(*GRID.values()):
        settings = Settings(**FIXED, **dict(zip(GRID, values, strict=True)))
        for network, epochs in train_ours(parts, settings, N_SEEDS, MOST_EPOCHS, share * max(cpu_seconds.values())):
            value = conservative(network, parts.validation)["MRR@20"]
            for n_sample, budget in cpu_seconds.items():
                if sum(epochs) <= share * budget and value > best[n_sample][0]:
                    best[n_sample] = (value, settings, len(epochs))
    return {n_sample: found[1:] for n_sample, found in best.items()}


def compare(folder: Path, parts: Split) -> list[dict[str, Any]]:
    """Return both sides with every seed in turn, for each number of samples."""
    first = {n_sample: train_port(folder, parts, n_sample, 0) for n_sample in N_SAMPLES}
    chosen = choose({n_sample: port["cpu_seconds"] for n_sample, port in first.items()})
    rows = []
    for n_sample, (settings, n_epochs) in chosen.items():
        port, ours = [], []
        for seed in range(N_SEEDS):
            port.append(train_port(folder, parts, n_sample, seed) if seed else first[n_sample])
            for network, epochs in train_ours(parts, settings, seed, n_epochs, port[-1]["cpu_seconds"]):
                last = network, epochs
            network, epochs = last
            rate = parts.train.n_targets / min(epochs)
            ours.append({"rate": rate, "cpu_seconds": sum(epochs), **conservative(network, parts.test)})
            print(n_sample, seed, port[-1], ours[-1], file=sys.stderr, flush=True)
        sides = {"gru4rec": summary(port), "ours": summary(ours)}
        ratio = sides["ours"]["events_per_cpu_second"] / sides["gru4rec"]["events_per_cpu_second"]
        about = {"ratio": round(ratio, 2), "sgemm_gflops": round(sgemm_gflops(), 1)}
        names = {name: getattr(settings, name) for name in GRID} | {"epochs": n_epochs}
        rows.append({"n_sample": n_sample, **sides, **about, "chosen": names})
    return rows


def summary(seeds: list[dict[str, float]]) -> dict[str, Any]:
    """Return the best rate and means over seeds."""
    means = {name: round(mean(row[name] for row in seeds), 4) for name in PRIMARY}
    seconds = round(mean(row["cpu_seconds"] for row in seeds), 1)
    return {"events_per_cpu_second": round(max(row["rate"] for row in seeds)), "cpu_seconds": seconds, **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gru4rec", type=Path, required=True, help="your clone of the port")
    folder = parser.parse_args().gru4rec.resolve()
    torch.set_num_threads(1)
    parts = split(open_dataset("eshop", progress=True), min_support=1, merge_validation=True)
    rows = compare(folder, parts)
    counts = {"training_events": parts.train.n_events, "test_targets": parts.test.n_targets}
    load = round(os.getloadavg()[0], 1)
    save("gru4rec_speed", {**counts, "seeds": N_SEEDS, "rows": rows, "load_average": load})


if __name__ == "__main__":
    main()
