"""How the default study's learning rate and batch size were chosen: on validation, for all its networks at once.

    python benchmarks/default_settings.py [LABEL ...]

The other settings are those of studies/default.yaml. One seed per cell, which is worth the mean validation MRR@20 of
`VARIANTS`, the networks that the study's claims compare, so that no network's taste decides. Of the cells that are
below the best by at most half a percent, a quarter of the smallest effect of interest, the one that takes the
fewest steps in all its epochs is the data set's default: the study should be quick. Test is not looked at.
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
BATCH_SIZES = {"eshop": (64, 128), "eshop-5pct": (16, 32), "ml-100k": (16, 32, 64)}
TOLERANCE = 0.005
VARIANTS = ("id_only", "concat_input", "parallel_concat", "weighted_sum")


def cell(label: str, learning_rate: float, batch_size: int) -> dict:
    """Train every variant once and return what each did."""
    study = read_study(STUDY, {"learning_rate": learning_rate, "batch_size": batch_size})
    dataset = next(one for one in study.datasets if one.shown_as == label)
    data = open_dataset(dataset.name, progress=True)
    found = {}
    for variant in VARIANTS:
        begin = time.process_time()
        run = RunSpec(dataset=dataset.name, variant=variant, settings=settings_of(study, dataset))
        trained = select(run, data)
        progress = trained.progress
        steps = progress.epoch * -(-trained.parts.train.n_sessions // batch_size)
        found[variant] = {"value": progress.best_value, "epoch": progress.best_epoch, "steps": steps}
        found[variant]["cpu_seconds"] = round(time.process_time() - begin, 1)
        print(label, learning_rate, batch_size, variant, found[variant], flush=True)
    total = {name: sum(one[name] for one in found.values()) for name in ("value", "steps")}
    numbers = {"mean": total["value"] / len(VARIANTS), "steps": total["steps"]}
    return {"learning_rate": learning_rate, "batch_size": batch_size, **numbers, "variants": found}


def measure(label: str) -> dict:
    """Return all cells of a data set and the chosen one."""
    return chosen([cell(label, *one) for one in itertools.product(LEARNING_RATES[label], BATCH_SIZES[label])])


def chosen(cells: list[dict]) -> dict:
    """Return the cells and the one that the rule takes."""
    enough = (1 - TOLERANCE) * max(one["mean"] for one in cells)
    return {
        "chosen": min((one for one in cells if one["mean"] >= enough), key=lambda one: one["steps"]),
        "cells": cells,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or LEARNING_RATES:
        save(f"default_settings_{name}", {"selected_on": "validation MRR@20", **measure(name)})
