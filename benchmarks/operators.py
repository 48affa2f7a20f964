"""Where the time of a training step goes: operators of `parallel_concat` by their own CPU time, one thread.

    python benchmarks/operators.py [DATASET ...]        default: eshop onlineretail

Shares of all CPU time under torch's profiler, which slows small operators a little; those below 1% are put together.
"""

import itertools
import sys

import torch
from machine import save, sgemm_gflops
from ready import ready
from torch.profiler import ProfilerActivity, profile

from gru4recf.training import train_epoch

N_STEPS = 60
SMALLEST = 0.01


def shares(dataset: str) -> dict[str, float]:
    """Return each operator's share of the CPU time of `N_STEPS` steps, the largest first."""
    made = ready(dataset)
    epoch = made.epoch()
    train_epoch(made.network, made.optimiser, itertools.islice(epoch, 5))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        train_epoch(made.network, made.optimiser, itertools.islice(epoch, N_STEPS))
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
