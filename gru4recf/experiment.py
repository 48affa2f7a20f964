"""One run, from data to a trained network: chosen on validation, then trained anew on all that is known before test.

The first step trains on the training part and stops where validation is best. With `retrain`, the second starts from
the same seed, trains on training and validation together for as many epochs as were best, and is what is tested: the
newest sessions matter most, and validation holds them. Test is never looked at by either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from gru4recf import training
from gru4recf.data.dataset import Dataset
from gru4recf.data.features import encode_features
from gru4recf.data.split import Split, split
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.settings import RunSpec
from gru4recf.training import Progress

OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """A trained network, or a fitted baseline.

    Attributes:
        network: what is tested.
        parts: the split it was trained on.
        progress: the epochs that validation chose from.
        retraining: the epochs on training and validation together; None where there was no such step.
    """

    network: nn.Module
    parts: Split
    progress: Progress
    retraining: Progress | None = None

    def history(self) -> pd.DataFrame:
        """Return one row per epoch; `phase` says "selection" or "retraining"."""
        phases = {"selection": self.progress, "retraining": self.retraining or Progress()}
        rows = [{"phase": name, **row} for name, progress in phases.items() for row in progress.history]
        return pd.DataFrame(rows)


def select(
    run: RunSpec, data: Dataset, *, checkpoint: Path | None = None, on_epoch: OnEpoch = lambda row: None
) -> Trained:
    """Train on the training part and restore the epoch that is best on validation.

    Args:
        run: what to train; decides everything, with the data.
        data: a data set as `open_dataset` returns it.
        checkpoint: file to continue from after an interruption; see `training.fit`.
        on_epoch: called with each finished epoch's row of the history.
    """
    parts = split(data, **run.settings.data_options())
    network, generator = start(run, data, parts)
    options = {**run.settings.training_options(), "checkpoint": checkpoint, "on_epoch": on_epoch}
    progress = training.fit(network, parts.train, parts.validation, generator, strategy=run.strategy, **options)
    return Trained(network, parts, progress)


def retrain(
    run: RunSpec,
    data: Dataset,
    selected: Trained,
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch = lambda row: None,
) -> Trained:
    """Return `selected` trained anew on training and validation where the settings ask for it, else as it is."""
    if not run.settings.retrain:
        return selected
    parts = split(data, **run.settings.data_options(), merge_validation=True)
    network, generator = start(run, data, parts)
    options = {**run.settings.training_options(), "checkpoint": checkpoint, "on_epoch": on_epoch}
    options |= {"n_epochs": max(selected.progress.best_epoch, 1)}
    progress = training.fit(network, parts.train, None, generator, strategy=run.strategy, **options)
    return Trained(network, parts, selected.progress, progress)


def start(run: RunSpec, data: Dataset, parts: Split) -> tuple[nn.Module, np.random.Generator]:
    """Return the run's network with initial weights, on the device to train on, and the generator of the order."""
    generator = training.seed_everything(run.seed)
    sizes = Sizes(n_items=parts.n_items, n_seen=parts.n_seen, **run.settings.network_options())
    features = encode_features(data, parts.catalogue, run.settings.feature_names)
    network = build(run.variant, sizes, features, parts.train)
    return network.to(training.choose_device()[0]), generator
