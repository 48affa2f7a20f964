"""Training events per CPU second of every network on one thread, beside the sgemm rate of the same minute.

    python benchmarks/training.py [DATASET ...]        default: eshop; E = 64, H = 128, one layer

Whole steps are timed: assembling batches, forward, loss, backward, optimiser. The best of three epochs counts, because
other work on the machine can only slow an epoch down.
"""

import sys
import time

import torch
from machine import save, sgemm_gflops

from gru4recf.data.batches import batches
from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.models import NETWORKS, build
from gru4recf.models.base import Sizes
from gru4recf.settings import Settings
from gru4recf.training import seed_everything, train_epoch

N_EPOCHS = 3


def events_per_second(dataset: str, variant: str) -> float:
    """Return the best rate of three epochs."""
    settings = Settings()
    data = open_dataset(dataset, progress=True)
    parts = split(data)
    generator = seed_everything(0)
    sizes = Sizes(n_items=parts.n_items, **settings.network_options())
    network = build(variant, sizes, encode_features(data, parts.catalogue), parts.train)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    windows = cut_windows(parts.train, settings.max_length)
    rates = []
    for _ in range(N_EPOCHS):
        begin = time.process_time()
        train_epoch(network, optimiser, batches(parts.train, windows, settings.batch_size, generator=generator))
        rates.append(parts.train.n_targets / (time.process_time() - begin))
    return max(rates)


def main() -> None:
    torch.set_num_threads(1)
    datasets = sys.argv[1:] or ["eshop"]
    rates = {name: {v: round(events_per_second(name, v)) for v in NETWORKS} for name in datasets}
    save("training", {"events_per_cpu_second": rates, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
