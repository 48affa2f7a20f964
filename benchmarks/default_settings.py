"""How the default study's learning rate and batch size were chosen: on validation, for all its networks at once.

    python benchmarks/default_settings.py [LABEL ...]

The other settings are those of studies/default.yaml. One seed per cell, which is worth the mean validation MRR@20 of
`VARIANTS`, the networks that the study's claims compare, so that no network's taste decides. Of the cells that are
below the best by at most one standard error of their difference (paired over sessions), the one that takes the fewest
steps in all its epochs is the data set's default: the study should be quick. Test is not looked at.

Source of the rule: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3 (one standard error).
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch
from machine import save

from gru4recf.data.registry import open_dataset
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import select
from gru4recf.metrics import mrr_at
from gru4recf.settings import RunSpec
from gru4recf.study import read_study, settings_of

STUDY = Path(__file__).parents[1] / "studies" / "default.yaml"
LEARNING_RATES = {"eshop": (0.001, 0.002, 0.003), "eshop-5pct": (0.001, 0.002, 0.004), "ml-100k": (0.002, 0.004)}
BATCH_SIZES = {"eshop": (128,), "eshop-5pct": (32,), "ml-100k": (32, 64)}
VARIANTS = ("id_only", "concat_input", "parallel_concat", "weighted_sum")


def cell(label: str, learning_rate: float, batch_size: int) -> tuple[dict, np.ndarray]:
    """Train every variant once; return what each did, and sums over sessions of the mean reciprocal rank."""
    study = read_study(STUDY, {"learning_rate": learning_rate, "batch_size": batch_size})
    dataset = next(one for one in study.datasets if one.shown_as == label)
    data = open_dataset(dataset.name, progress=True)
    found, values = {}, []
    for variant in VARIANTS:
        begin = time.process_time()
        run = RunSpec(dataset=dataset.name, variant=variant, settings=settings_of(study, dataset))
        trained = select(run, data)
        seconds = round(time.process_time() - begin, 1)
        validation, progress = trained.parts.validation, trained.progress
        values.append(mrr_at(rank_targets(trained.network, validation, max_length=run.settings.max_length).ranks, 20))
        steps = progress.epoch * -(-trained.parts.train.n_sessions // batch_size)
        found[variant] = {"value": progress.best_value, "epoch": progress.best_epoch, "steps": steps}
        found[variant]["cpu_seconds"] = seconds
        print(label, learning_rate, batch_size, variant, found[variant], flush=True)
    sessions = validation.session_of_events()[validation.is_target]
    mean = np.mean(values, axis=0)
    numbers = {"mean": float(mean.mean()), "steps": sum(one["steps"] for one in found.values())}
    settings = {"learning_rate": learning_rate, "batch_size": batch_size}
    return {**settings, **numbers, "variants": found}, np.stack([np.bincount(sessions, mean), np.bincount(sessions)])


def standard_error(difference: np.ndarray, sizes: np.ndarray) -> float:
    """Return the standard error of a mean per event from sums and numbers of events per session, by linearisation."""
    influence = difference - sizes * difference.sum() / sizes.sum()
    return float(np.sqrt((influence**2).sum()) / sizes.sum())


def measure(label: str) -> dict:
    """Return all cells of a data set and the chosen one."""
    made = [cell(label, *one) for one in itertools.product(LEARNING_RATES[label], BATCH_SIZES[label])]
    _, (best_sums, sizes) = max(made, key=lambda one: one[0]["mean"])
    cells = [one | {"standard_error_to_best": standard_error(best_sums - sums, sizes)} for one, (sums, _) in made]
    return chosen(cells)


def chosen(cells: list[dict]) -> dict:
    """Return the cells and the one that the rule takes."""
    best = max(one["mean"] for one in cells)
    near = [one for one in cells if best - one["mean"] <= one["standard_error_to_best"]]
    return {"chosen": min(near, key=lambda one: one["steps"]), "cells": cells}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or LEARNING_RATES:
        save(f"default_settings_{name}", {"selected_on": "validation MRR@20", **measure(name)})
