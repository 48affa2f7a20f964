"""What a catalogue's size costs: a step with shared negatives, full ranking, and quality beside the full soft-max.

    python benchmarks/sampled.py [--without-quality]        one thread

* Steps of `parallel_concat` on generated sessions over 10,000 and 1,000,000 items, whose frequencies follow Zipf's law:
  2,048 negatives a step, lazy optimiser state. The catalogues take turns, step by step; the median step counts.
* Ranking 10,000 targets over 1,000,000 items, in a process of its own: CPU seconds and peak memory.
* Diginetica, measured on validation: `parallel_concat` with negatives and with every item, after the same CPU seconds
  of training.
"""

import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from machine import save, sgemm_gflops

from gru4recf.data.batches import Batch, batches
from gru4recf.data.features import TokenFeature, encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.metrics import summarise
from gru4recf.models import build
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.negatives import NegativeSampler
from gru4recf.optimisers import make_optimiser
from gru4recf.training import seed_everything, train_epoch

CATALOGUES = (10_000, 1_000_000)
N_NEGATIVES = 2048
N_STEPS = 60
N_CATEGORIES = 1000
N_RANKED = 10_000
SECONDS = (75, 150, 300)
RATES = (0.002, 0.004)


def generated(n_items: int, n_sessions: int = 50_000) -> Sessions:
    """Return sessions of 2 to 10 events over `n_items` items, the popular ones by Zipf's law."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(2, 11, n_sessions)
    offsets = np.concatenate([[0], lengths.cumsum()])
    shares = 1 / np.arange(1, n_items + 1)
    items = 1 + generator.choice(n_items, size=offsets[-1], p=shares / shares.sum())
    is_target = np.ones(offsets[-1], dtype=bool)
    is_target[offsets[:-1]] = False
    return Sessions(items, offsets, is_target, np.arange(n_sessions))


def network_over(n_items: int, train: Sessions, *, lazy: bool) -> SessionNetwork:
    """Return a `parallel_concat` whose items have one of `N_CATEGORIES` categories each."""
    categories = TokenFeature("category", np.arange(n_items + 1) % N_CATEGORIES, N_CATEGORIES)
    return build("parallel_concat", Sizes(n_items=n_items + 1, dropout=0.1, lazy=lazy), [categories], train)


def step_seconds() -> dict[str, float]:
    """Return the CPU seconds of a median step for each catalogue, and their ratio."""
    taken, rooms = {}, {}
    for n_items in CATALOGUES:
        generator = seed_everything(0)
        train = generated(n_items)
        network = network_over(n_items, train, lazy=True)
        optimiser = make_optimiser("adam", network, 0.005)
        sampler = NegativeSampler(train.items, N_NEGATIVES, torch.device("cpu"))
        epoch = batches(train, cut_windows(train, 50), 128, generator=generator)
        rooms[n_items], taken[n_items] = (network, optimiser, sampler, list(itertools.islice(epoch, N_STEPS))), []
    for step, n_items in itertools.product(range(N_STEPS), CATALOGUES):
        network, optimiser, sampler, epoch = rooms[n_items]
        begin = time.process_time()
        train_epoch(network, optimiser, [epoch[step]], sampler)
        taken[n_items].append(time.process_time() - begin)
    median = {f"{n_items} items": round(float(np.median(taken[n_items])), 5) for n_items in CATALOGUES}
    small, large = median.values()
    return {**median, "ratio": round(large / small, 2)}


def ranking() -> dict[str, float]:
    """Return what ranking `N_RANKED` targets over the largest catalogue takes in a process that does nothing else."""
    code = "import sampled; sampled.rank_many()"
    folder = str(__file__).rpartition("/")[0] or "."
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    seconds, gigabytes = done.stdout.split()
    return {"cpu_seconds": float(seconds), "peak_gigabytes": float(gigabytes)}


def rank_many() -> None:
    """Print CPU seconds and the process's peak memory in gigabytes."""
    torch.set_num_threads(1)
    seed_everything(0)
    n_items = CATALOGUES[-1]
    sessions = generated(n_items, n_sessions=N_RANKED)
    sessions.is_target[np.flatnonzero(sessions.is_target)[N_RANKED:]] = False
    network = network_over(n_items, sessions, lazy=False)
    begin = time.process_time()
    ranked = rank_targets(network, sessions, max_length=50)
    assert len(ranked.ranks) == N_RANKED
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(round(time.process_time() - begin, 1), round(memory, 2))


def quality() -> list[dict[str, float]]:
    """Return validation metrics on Diginetica after the same CPU seconds of training, one row per rate and time."""
    data = open_dataset("diginetica", progress=True)
    parts = split(data)
    features = encode_features(data, parts.catalogue)
    rows = []
    for n_negatives, rate in itertools.product((0, N_NEGATIVES), RATES):
        generator = seed_everything(0)
        sizes = Sizes(parts.n_items, n_seen=parts.n_seen, dropout=0.1, lazy=n_negatives > 0)
        network = build("parallel_concat", sizes, features, parts.train)
        optimiser = make_optimiser("adam", network, rate)
        sampler = NegativeSampler(parts.train.items, n_negatives, torch.device("cpu")) if n_negatives else None
        steps = _endless(parts.train, generator)
        spent, n_events = 0.0, 0
        for seconds in SECONDS:
            while spent < seconds:
                batch, begin = next(steps), time.process_time()
                train_epoch(network, optimiser, [batch], sampler)
                spent += time.process_time() - begin
                n_events += len(batch.items)
            metrics = summarise(rank_targets(network, parts.validation, max_length=50).ranks)
            row = {"n_negatives": n_negatives, "learning_rate": rate, "cpu_seconds": seconds}
            row |= {"epochs": round(n_events / parts.train.n_targets, 2)}
            rows.append(row | {name: round(metrics[name], 4) for name in ("Recall@20", "MRR@20")})
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _endless(sessions: Sessions, generator: np.random.Generator) -> Iterator[Batch]:
    windows = cut_windows(sessions, 50)
    while True:
        yield from batches(sessions, windows, 128, generator=generator)


def main() -> None:
    torch.set_num_threads(1)
    measured = {"step_cpu_seconds": step_seconds(), "ranking": ranking()}
    if "--without-quality" not in sys.argv:
        measured["diginetica_validation"] = quality()
    save("sampled", {**measured, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
