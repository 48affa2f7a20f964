"""Fit what an epoch, a ranking and their memory cost against events, items, length and features; see gru4recf/cost.py.

    python benchmarks/cost.py        one thread; writes reports/benchmarks/cost.json, cost.png and cost.pdf

Every point is generated (sessions of equal expected length, items by Zipf's law) and trained on for one epoch in a
process of its own. Slopes are not negative and make the sum of squared relative errors small. `gru4recf data` reads
them to say what a study will cost.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import torch
from machine import REPORTS, save, sgemm_gflops
from scipy.optimize import nnls

from gru4recf.cost import BATCH_SIZE, MAX_LENGTH, Work, predicted, work_of
from gru4recf.data.batches import batches
from gru4recf.data.features import TokenFeature
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.evaluation import rank_targets
from gru4recf.figures import base
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.optimisers import make_optimiser
from gru4recf.training import seed_everything, train_epoch

# (events, items, mean length of a session, features)
POINTS = (
    (10_000, 100, 6, 1),
    (10_000, 1_000, 6, 1),
    (30_000, 3_000, 6, 3),
    (100_000, 100, 6, 1),
    (100_000, 1_000, 3, 1),
    (100_000, 1_000, 6, 1),
    (100_000, 1_000, 6, 6),
    (100_000, 1_000, 20, 1),
    (100_000, 10_000, 6, 1),
    (300_000, 10_000, 6, 1),
    (1_000_000, 100, 6, 1),
    (1_000_000, 1_000, 6, 1),
    (10_000_000, 300, 6, 1),
)
N_VALUES = 50
N_RANKED = 20_000


def generated(n_events: int, n_items: int, length: int) -> Sessions:
    """Return sessions with about `n_events` targets."""
    generator = np.random.default_rng(0)
    lengths = 1 + generator.geometric(1 / (length - 1), size=n_events // (length - 1))
    offsets = np.concatenate([[0], lengths.cumsum()])
    shares = 1 / np.arange(1, n_items + 1)
    items = 1 + generator.choice(n_items, size=offsets[-1], p=shares / shares.sum())
    is_target = np.ones(offsets[-1], dtype=bool)
    is_target[offsets[:-1]] = False
    return Sessions(items, offsets, is_target, np.arange(len(lengths)))


def measure(n_events: int, n_items: int, length: int, n_features: int) -> dict[str, float]:
    """Train for one epoch in this process, rank some of the events, and return the work and what it took."""
    torch.set_num_threads(1)
    generator = seed_everything(0)
    train = generated(n_events, n_items, length)
    codes = np.arange(n_items + 1) % N_VALUES
    features = [TokenFeature(f"feature{i}", (codes + i) % N_VALUES, N_VALUES) for i in range(n_features)]
    network = build("parallel_concat", Sizes(n_items=n_items + 1, dropout=0.1), features, train)
    optimiser = make_optimiser("adam", network, 0.002)
    begin = time.process_time()
    windows = cut_windows(train, MAX_LENGTH)
    train_epoch(network, optimiser, batches(train, windows, BATCH_SIZE, generator=generator))
    epoch = time.process_time() - begin
    n_sessions = int(np.searchsorted(train.offsets, N_RANKED))
    stop = train.offsets[n_sessions] if n_sessions < len(train.offsets) else train.offsets[-1]
    offsets = train.offsets[train.offsets <= stop]
    some = Sessions(train.items[:stop], offsets, train.is_target[:stop], train.labels[: len(offsets) - 1])
    begin = time.process_time()
    rank_targets(network, some, max_length=MAX_LENGTH)
    ranking = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took = {"epoch_cpu_seconds": round(epoch, 3), "ranking_cpu_seconds": round(ranking, 3), "peak_bytes": peak}
    work = work_of(train, n_items, n_features)
    return {"length": length, "work": asdict(work), "n_ranked": some.n_targets, **took}


def fit(rows: list[dict]) -> dict[str, list[float]]:
    """Return the slopes of every line."""
    slopes = {}
    for name in Work(1, 1, 1, 1).terms():
        terms = np.array([_work(row, name).terms()[name] for row in rows], dtype=float)
        took = np.array([row[name] for row in rows])
        slopes[name] = nnls(terms / took[:, None], np.ones(len(rows)))[0].tolist()
    return slopes


def _work(row: dict, name: str) -> Work:
    events = {"n_events": row["n_ranked"]} if name == "ranking_cpu_seconds" else {}
    return Work(**{**row["work"], **events})


def draw(rows: list[dict], slopes: dict[str, list[float]]) -> base.Picture:
    """Draw time and memory of an epoch: dots are measured, lines fitted, at sessions of 6 events and one feature."""
    figure, axes = base.panels(1, 2, 2.8)
    shown = {"epoch_cpu_seconds": (1, "CPU seconds"), "peak_bytes": (1e9, "gigabytes at most")}
    plain = [row for row in rows if row["length"] == 6 and row["work"]["n_features"] == 1]
    steps_per_event = np.mean([row["work"]["n_steps"] / row["work"]["n_events"] for row in plain])
    catalogues = sorted({row["work"]["n_items"] for row in plain})
    events = np.geomspace(1e4, 1e7, 40)
    for panel, (name, (scale, unit)) in zip(axes[0], shown.items(), strict=True):
        for n_items, colour in zip(catalogues, base.OTHER_COLOURS, strict=False):
            own = [row for row in plain if row["work"]["n_items"] == n_items]
            x, y = [row["work"]["n_events"] for row in own], [row[name] / scale for row in own]
            line = [predicted(Work(n, n * steps_per_event, n_items, 1), slopes)[name] / scale for n in events]
            panel.plot(x, y, "o", color=colour, markersize=4)
            panel.plot(events, line, color=colour, linewidth=0.9, label=f"{n_items:,} items")
        panel.set(xscale="log", yscale="log" if scale == 1 else "linear", xlabel="events of an epoch", ylabel=unit)
    axes[0][0].legend(fontsize=7)
    return figure


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*map(int, sys.argv[2:]))))
        return
    rows = []
    for point in POINTS:
        command = [sys.executable, __file__, "--measure", *map(str, point)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], file=sys.stderr, flush=True)
    slopes = fit(rows)
    for row in rows:
        row["predicted"] = {name: round(predicted(_work(row, name), slopes)[name], 3) for name in slopes}
    save("cost", {"slopes": slopes, "points": rows, "sgemm_gflops": round(sgemm_gflops(), 1)})
    with base.style():
        base.save(draw(rows, slopes), REPORTS, "cost")


if __name__ == "__main__":
    main()
