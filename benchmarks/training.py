"""Training events per CPU second of every network on one thread, and the share of the machine that they come to.

    python benchmarks/training.py [DATASET ...]        default: eshop; E = 64, H = 128, one layer

Whole epochs are timed: assembling batches, forward, loss, backward, optimiser. The best of three counts, because other
work on the machine can only slow an epoch down. The share is that of the matrix products an epoch needs (`flops.py`) in
the rate of sgemm, the higher of those measured before and after: of the best epoch, and the median of all.
"""

import sys
import time
from statistics import median

import torch
from flops import step_flops
from machine import save, sgemm_gflops
from ready import ready

from gru4recf.models import NETWORKS
from gru4recf.training import train_epoch

N_EPOCHS = 3


def rates(dataset: str, variant: str) -> dict[str, float]:
    """Return the best rate of three epochs and the share of the sgemm rate."""
    made = ready(dataset, variant)
    n_events = made.parts.train.n_targets
    of_steps = [step_flops(made.network, batch) for batch in made.epoch()]
    flops, n_steps = sum(of_steps) / n_events, len(of_steps)
    found, shares = [], []
    for _ in range(N_EPOCHS):
        before, begin = sgemm_gflops(), time.process_time()
        train_epoch(made.network, made.optimiser, made.epoch())
        found.append(n_events / (time.process_time() - begin))
        shares.append(flops * found[-1] / (max(before, sgemm_gflops()) * 1e9))
    return {
        "targets_per_step": round(n_events / n_steps),
        "events_per_cpu_second": round(max(found)),
        "flops_per_event": round(flops),
        "share_of_sgemm": round(shares[found.index(max(found))], 3),
        "share_of_sgemm_median": round(median(shares), 3),
    }


def main() -> None:
    torch.set_num_threads(1)
    measured = {name: {v: rates(name, v) for v in NETWORKS} for name in sys.argv[1:] or ["eshop"]}
    save("training", {"networks": measured, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
