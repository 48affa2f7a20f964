"""How the default study's learning rate and batch size were chosen: on validation, for two variants at once.

    python benchmarks/default_settings.py

One seed per cell. A cell's value is the validation MRR@20 of `id_only` and of `parallel_concat`; the cell with the
best mean of the two is the data set's default, so that neither variant's taste decides.
"""

import itertools
import time

import torch
from machine import save

from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.split import split
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.settings import Settings
from gru4recf.training import fit, seed_everything

LEARNING_RATES = (0.002, 0.005, 0.01)
BATCH_SIZES = {"eshop": (64, 128, 256), "eshop-5pct": (32, 64, 128), "ml-100k": (16, 32, 64)}
VARIANTS = ("id_only", "parallel_concat")


def cell(label: str, variant: str, learning_rate: float, batch_size: int) -> dict[str, float]:
    """Train once; return the best validation MRR@20, its epoch and CPU seconds."""
    name = label.removesuffix("-5pct")
    small = {"train_fraction": 0.05, "n_epochs": 40, "patience": 5} if label.endswith("5pct") else {"n_epochs": 20}
    settings = Settings(learning_rate=learning_rate, batch_size=batch_size, **small)
    data = open_dataset(name, progress=True)
    parts = split(data, **settings.data_options())
    generator = seed_everything(0)
    sizes = Sizes(n_items=parts.n_items, **settings.network_options())
    network = build(variant, sizes, encode_features(data, parts.catalogue), parts.train)
    begin = time.process_time()
    progress = fit(network, parts.train, parts.validation, generator, **settings.training_options())
    seconds = round(time.process_time() - begin, 1)
    return {"validation MRR@20": progress.best_value, "best_epoch": progress.best_epoch, "cpu_seconds": seconds}


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for label, sizes in BATCH_SIZES.items():
        for batch_size, learning_rate, variant in itertools.product(sizes, LEARNING_RATES, VARIANTS):
            row = {"dataset": label, "batch_size": batch_size, "learning_rate": learning_rate, "variant": variant}
            rows.append({**row, **cell(label, variant, learning_rate, batch_size)})
            print(rows[-1], flush=True)
    save("default_settings", {"cells": rows})


if __name__ == "__main__":
    main()
