"""Where the time of a training step goes: operators of `parallel_concat` by their own CPU time, one thread.

    python benchmarks/operators.py [DATASET ...]        default: eshop onlineretail

Shares of all CPU time under torch's profiler, which slows small operators a little; those below 1% are put together.
The products themselves are no square ones: the rate they reach, in shares of the sgemm rate of the same minute, is what
a step without anything else would come to.
"""

import itertools
import sys
from typing import Any

import torch
from flops import step_flops
from machine import save, sgemm_gflops
from ready import ready
from torch.profiler import ProfilerActivity, profile

from gru4recf.training import train_epoch

N_STEPS = 60
SMALLEST = 0.01
PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm")


def measure(dataset: str) -> dict[str, Any]:
    """Return each operator's share of the CPU time of `N_STEPS` steps, the largest first, and what products reach."""
    made = ready(dataset)
    epoch = made.epoch()
    train_epoch(made.network, made.optimiser, itertools.islice(epoch, 5))
    batches = list(itertools.islice(epoch, N_STEPS))
    before = sgemm_gflops()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        train_epoch(made.network, made.optimiser, batches)
    gflops = max(before, sgemm_gflops())
    times = {row.key: row.self_cpu_time_total for row in seen.key_averages()}
    found = {name: value / sum(times.values()) for name, value in sorted(times.items(), key=lambda one: -one[1])}
    large = {name: round(share, 3) for name, share in found.items() if share >= SMALLEST}
    microseconds = sum(times.get(name, 0) for name in PRODUCTS)
    rate = sum(step_flops(made.network, batch) for batch in batches) / microseconds / 1e3  # GFLOP/s
    return {
        "share_of_cpu_time": {**large, "all others": round(1 - sum(large.values()), 3)},
        "products": {
            "share_of_cpu_time": round(microseconds / sum(times.values()), 3),
            "share_of_sgemm": round(rate / gflops, 3),
        },
        "sgemm_gflops": round(gflops, 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    save("operators", {"datasets": {name: measure(name) for name in sys.argv[1:] or ["eshop", "onlineretail"]}})


if __name__ == "__main__":
    main()
