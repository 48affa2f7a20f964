"""The whole training step of `parallel_concat` with our softmax and with the plain expression, on the same batches.

    python benchmarks/softmax.py [DATASET ...]        default: eshop onlineretail diginetica; one thread

The two take turns, batch by batch, so that other work on the machine meets both alike; each batch's best turn counts.
Beside the rates: the share of the sgemm rate of the same minute that the matrix products of a step amount to.
"""

import itertools
import sys
import time
from unittest import mock

import numpy as np
import torch
from flops import step_flops
from machine import save, sgemm_gflops

from gru4recf.data.batches import batches
from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.losses import cross_entropy
from gru4recf.models import base, build, softmax
from gru4recf.models.base import Sizes
from gru4recf.settings import Settings
from gru4recf.training import seed_everything, train_epoch

N_TURNS = 12
N_BATCHES = 12


def plain(vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Stand in for `linear_cross_entropy`: all scores at once, gradients by torch."""
    return cross_entropy(vectors @ weight.T, targets)


def rates(dataset: str) -> dict[str, float]:
    """Return training events per CPU second of both, their ratio and our share of the sgemm rate."""
    settings = Settings()
    data = open_dataset(dataset, progress=True)
    parts = split(data)
    generator = seed_everything(0)
    sizes = Sizes(n_items=parts.n_items, n_seen=parts.n_seen, **settings.network_options())
    network = build("parallel_concat", sizes, encode_features(data, parts.catalogue), parts.train)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    windows = cut_windows(parts.train, settings.max_length)
    epoch = batches(parts.train, windows, settings.batch_size, generator=generator)
    some = list(itertools.islice(epoch, N_BATCHES))
    n_events = sum(len(batch.items) for batch in some)
    losses = {"ours": softmax.linear_cross_entropy, "plain": plain}
    seconds = {name: np.zeros((N_TURNS, len(some))) for name in losses}
    for turn, (place, batch) in itertools.product(range(N_TURNS), enumerate(some)):
        # whoever comes second finds memory and cache warm, so they change places
        for name in list(losses)[:: 1 if (turn + place) % 2 else -1]:
            with mock.patch.object(base, "linear_cross_entropy", losses[name]):
                begin = time.process_time()
                train_epoch(network, optimiser, [batch])
                seconds[name][turn, place] = time.process_time() - begin
    gflops = max(sgemm_gflops(seconds=0.2) for _ in range(N_TURNS))
    best = {name: round(n_events / values.min(axis=0).sum()) for name, values in seconds.items()}
    flops = sum(step_flops(network, batch) for batch in some) / n_events
    share = flops * best["ours"] / (gflops * 1e9)
    counts = {"items": parts.n_items, "events_per_step": round(n_events / len(some)), "flops_per_event": round(flops)}
    ratio = round(best["ours"] / best["plain"], 2)
    return {**counts, **best, "ratio": ratio, "share_of_sgemm": round(share, 3), "sgemm_gflops": round(gflops, 1)}


def main() -> None:
    torch.set_num_threads(1)
    measured = {name: rates(name) for name in sys.argv[1:] or ["eshop", "onlineretail", "diginetica"]}
    save("softmax", {"events_per_cpu_second": measured})


if __name__ == "__main__":
    main()
