"""Training events per CPU second of every network on one thread, beside the sgemm rate of the same minute.

    python benchmarks/training.py [DATASET ...]        default: eshop; E = 64, H = 128, one layer

Whole steps are timed: assembling batches, forward, loss, backward, optimiser. The best of three epochs counts, because
other work on the machine can only slow an epoch down.
"""

import sys
import time

import torch
from machine import save, sgemm_gflops
from ready import ready

from gru4recf.models import NETWORKS
from gru4recf.training import train_epoch

N_EPOCHS = 3


def events_per_second(dataset: str, variant: str) -> float:
    """Return the best rate of three epochs."""
    made = ready(dataset, variant)
    rates = []
    for _ in range(N_EPOCHS):
        begin = time.process_time()
        train_epoch(made.network, made.optimiser, made.epoch())
        rates.append(made.parts.train.n_targets / (time.process_time() - begin))
    return max(rates)


def main() -> None:
    torch.set_num_threads(1)
    datasets = sys.argv[1:] or ["eshop"]
    rates = {name: {v: round(events_per_second(name, v)) for v in NETWORKS} for name in datasets}
    save("training", {"events_per_cpu_second": rates, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
