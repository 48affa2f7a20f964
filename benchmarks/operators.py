"""Where the time of a training step goes: operators of `parallel_concat` by their own CPU time, one thread.

    python benchmarks/operators.py [DATASET ...]        default: eshop onlineretail

Shares of all CPU time under torch's profiler, which slows small operators a little; those below 1% are put together.
"""

import itertools
import sys

import torch
from machine import save, sgemm_gflops
from torch.profiler import ProfilerActivity, profile

from gru4recf.data.batches import batches
from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.optimisers import make_optimiser
from gru4recf.settings import Settings
from gru4recf.training import seed_everything, train_epoch

N_STEPS = 60
SMALLEST = 0.01


def shares(dataset: str) -> dict[str, float]:
    """Return each operator's share of the CPU time of `N_STEPS` steps, the largest first."""
    settings = Settings()
    data = open_dataset(dataset, progress=True)
    parts = split(data)
    generator = seed_everything(0)
    sizes = Sizes(n_items=parts.n_items, n_seen=parts.n_seen, **settings.network_options())
    network = build("parallel_concat", sizes, encode_features(data, parts.catalogue), parts.train)
    optimiser = make_optimiser("adam", network, settings.learning_rate)
    windows = cut_windows(parts.train, settings.max_length)
    epoch = batches(parts.train, windows, settings.batch_size, generator=generator)
    train_epoch(network, optimiser, itertools.islice(epoch, 5))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        train_epoch(network, optimiser, itertools.islice(epoch, N_STEPS))
    times = {row.key: row.self_cpu_time_total for row in seen.key_averages()}
    found = {name: value / sum(times.values()) for name, value in sorted(times.items(), key=lambda one: -one[1])}
    large = {name: round(share, 3) for name, share in found.items() if share >= SMALLEST}
    return {**large, "all others": round(1 - sum(large.values()), 3)}


def main() -> None:
    torch.set_num_threads(1)
    measured = {name: shares(name) for name in sys.argv[1:] or ["eshop", "onlineretail"]}
    save("operators", {"share_of_cpu_time": measured, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
