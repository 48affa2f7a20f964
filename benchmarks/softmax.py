"""The whole training step of `parallel_concat` with our softmax and with the plain expression, on the same batches.

    python benchmarks/softmax.py [DATASET ...]        default: eshop onlineretail diginetica; one thread

The two take turns, batch by batch, so that other work on the machine meets both alike; each batch's best turn counts.
Beside the rates: the share of the sgemm rate of the same minute that the matrix products of a step amount to. E = 64,
H = 128; eshop also with the sizes of the long study.
"""

import itertools
import sys
import time
from unittest import mock

import numpy as np
import torch
from flops import step_flops
from machine import save, sgemm_gflops
from ready import ready

from gru4recf.losses import cross_entropy
from gru4recf.models import base, softmax
from gru4recf.settings import Settings
from gru4recf.training import train_epoch

N_TURNS = 12
N_BATCHES = 12
AS_STUDIED = Settings(embedding_size=128, hidden_size=128, head="where_needed")


def plain(vectors: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Stand in for `linear_cross_entropy`: all scores at once, gradients by torch."""
    return cross_entropy(vectors @ weight.T, targets)


def rates(dataset: str, settings: Settings | None = None) -> dict[str, float]:
    """Return training events per CPU second of both, their ratio and our share of the sgemm rate."""
    made = ready(dataset, settings=settings)
    some = list(itertools.islice(made.epoch(), N_BATCHES))
    n_events = sum(len(batch.items) for batch in some)
    losses = {"ours": softmax.linear_cross_entropy, "plain": plain}
    seconds = {name: np.zeros((N_TURNS, len(some))) for name in losses}
    for turn, (place, batch) in itertools.product(range(N_TURNS), enumerate(some)):
        # whoever comes second finds memory and cache warm, so they change places
        for name in list(losses)[:: 1 if (turn + place) % 2 else -1]:
            with mock.patch.object(base, "linear_cross_entropy", losses[name]):
                begin = time.process_time()
                train_epoch(made.network, made.optimiser, [batch])
                seconds[name][turn, place] = time.process_time() - begin
    gflops = max(sgemm_gflops(seconds=0.2) for _ in range(N_TURNS))
    best = {name: round(n_events / values.min(axis=0).sum()) for name, values in seconds.items()}
    flops = sum(step_flops(made.network, batch) for batch in some) / n_events
    share = flops * best["ours"] / (gflops * 1e9)
    counts = {
        "items": made.parts.n_items,
        "events_per_step": round(n_events / len(some)),
        "flops_per_event": round(flops),
    }
    ratio = round(best["ours"] / best["plain"], 2)
    return {**counts, **best, "ratio": ratio, "share_of_sgemm": round(share, 3), "sgemm_gflops": round(gflops, 1)}


def main() -> None:
    torch.set_num_threads(1)
    measured = {name: rates(name) for name in sys.argv[1:] or ["eshop", "onlineretail", "diginetica"]}
    measured["eshop, as the long study"] = rates("eshop", AS_STUDIED)
    save("softmax", {"events_per_cpu_second": measured})


if __name__ == "__main__":
    main()
