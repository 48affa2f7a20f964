"""How the default study's learning rate and batch size were chosen: on validation, for all its networks at once.

    python benchmarks/default_settings.py [LABEL ...]

The other settings are those of studies/default.yaml. One seed per cell. A cell's value is the mean validation MRR@20 of
`VARIANTS`, the networks that the study's claims compare; the best cell is the data set's default, so that no network's
taste decides. Test is not looked at.
"""

import itertools
import sys
import time
from pathlib import Path

import torch
from machine import save

from gru4recf.data.registry import open_dataset
from gru4recf.experiment import select
from gru4recf.settings import RunSpec
from gru4recf.study import read_study, settings_of

STUDY = Path(__file__).parents[1] / "studies" / "default.yaml"
LEARNING_RATES = {"eshop": (0.002, 0.003, 0.005), "eshop-5pct": (0.001, 0.002, 0.004), "ml-100k": (0.002, 0.004)}
BATCH_SIZES = {"eshop": (64, 128), "eshop-5pct": (16, 32), "ml-100k": (16, 32)}
VARIANTS = ("id_only", "concat_input", "parallel_concat", "weighted_sum")


def cell(label: str, learning_rate: float, batch_size: int) -> dict[str, dict[str, float]]:
    """Train every variant once; return its best validation MRR@20, the epoch of it and CPU seconds."""
    study = read_study(STUDY, {"learning_rate": learning_rate, "batch_size": batch_size})
    dataset = next(one for one in study.datasets if one.shown_as == label)
    data = open_dataset(dataset.name, progress=True)
    found = {}
    for variant in VARIANTS:
        begin = time.process_time()
        run = RunSpec(dataset=dataset.name, variant=variant, settings=settings_of(study, dataset))
        progress = select(run, data).progress
        seconds = round(time.process_time() - begin, 1)
        found[variant] = {"value": progress.best_value, "epoch": progress.best_epoch, "cpu_seconds": seconds}
        print(label, learning_rate, batch_size, variant, found[variant], flush=True)
    return found


def measure(label: str) -> dict:
    """Return all cells of a data set and the best."""
    cells = []
    for learning_rate, batch_size in itertools.product(LEARNING_RATES[label], BATCH_SIZES[label]):
        found = cell(label, learning_rate, batch_size)
        mean = sum(one["value"] for one in found.values()) / len(found)
        cells.append({"learning_rate": learning_rate, "batch_size": batch_size, "mean": mean, "variants": found})
    return {"best": max(cells, key=lambda one: one["mean"]), "cells": cells}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or LEARNING_RATES:
        save(f"default_settings_{name}", {"selected_on": "validation MRR@20", **measure(name)})
