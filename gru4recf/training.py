"""Training: batches of whole sessions, early stopping, resume.

An epoch shows every training session once; after it the network is ranked on validation. Training ends after
`n_epochs`, or when validation MRR@20 has not improved for `patience` epochs; the best epoch's weights are restored.
Without a validation part all `n_epochs` are trained and the last weights stay. With a checkpoint, the state after
each epoch is on disk, and a run that was killed continues from there to the same weights, bit for bit.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gru4recf.data.batches import Batch, batches
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.errors import unknown_name
from gru4recf.evaluation import rank_targets
from gru4recf.files import atomic_path, sha256_of, write_text
from gru4recf.metrics import summarise
from gru4recf.models.negatives import Negatives, NegativeSampler
from gru4recf.optimisers import Together, make_optimiser
from gru4recf.settings import STRATEGIES

SELECTED_ON = "validation MRR@20"


@dataclass
class Progress:
    """Where training stands; all of it is tensors and numbers, so that it can be saved without pickled objects."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -1.0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Number of finished epochs; a baseline's single row is epoch 0."""
        return int(self.history[-1]["epoch"]) if self.history else 0

    @property
    def validation_metrics(self) -> dict[str, float]:
        """The restored epoch's metrics on validation, without the word validation in their names."""
        row = self.history[max(self.best_epoch, 1) - 1]
        return {name.removeprefix("validation "): row[name] for name in row if name.startswith("validation ")}


def choose_device() -> tuple[torch.device, str]:
    """Return the device to train on and the reason in a few words; `GRU4RECF_DEVICE` (such as cpu) decides if set."""
    if wanted := os.environ.get("GRU4RECF_DEVICE"):
        return torch.device(wanted), "GRU4RECF_DEVICE says so"
    if torch.cuda.is_available():
        return torch.device("cuda"), f"torch sees {torch.cuda.get_device_name()}"
    built = "this torch was built without CUDA" if torch.version.cuda is None else "torch sees no CUDA device"
    return torch.device("cpu"), built


def seed_everything(seed: int) -> np.random.Generator:
    """Seed torch (initialisation, dropout), ask for deterministic kernels, return the generator of the order."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    torch.manual_seed(seed)
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms(True), without loading torch's compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it has not written
    return np.random.default_rng(seed)


def fit(
    network: nn.Module,
    train: Sessions,
    validation: Sessions | None,
    generator: np.random.Generator,
    *,
    strategy: str = "simultaneous",
    optimiser: str = "adam",
    learning_rate: float,
    batch_size: int,
    n_epochs: int,
    patience: int,
    max_length: int,
    by_time: bool = False,
    n_negatives: int = 0,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
) -> Progress:
    """Train `network` in place, restore its best epoch and return the history.

    Args:
        network: a `SessionNetwork`; a baseline without parameters is ranked on validation and left as it is.
        train: training sessions; every event after the first of each is a target.
        validation: sessions that choose the epoch; None trains all epochs and keeps the last.
        generator: decides the order of sessions; torch's own generator decides dropout.
        strategy: which parameters a step trains; "simultaneous" trains all together.
        optimiser: one of `optimisers.OPTIMISERS`.
        learning_rate: the optimiser's.
        batch_size: windows (sessions, or stretches of long ones) per step, on average where they are shuffled.
        n_epochs: epochs at most.
        patience: epochs without a better validation MRR@20 before stopping.
        max_length: inputs per window.
        by_time: keep batches in order of time instead of shuffling them.
        n_negatives: items drawn as negatives for each step; 0 takes every item.
        checkpoint: file that holds the state after the last finished epoch; continued from when present.
        on_epoch: called with each finished epoch's row of the history.
    """
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    if not any(p.requires_grad for p in network.parameters()):
        return Progress([{"epoch": 0, **_validate(network, validation, max_length)}])
    stepper = make_optimiser(optimiser, network, learning_rate)
    sampler = NegativeSampler(train.items, n_negatives, _device(network)) if n_negatives else None
    windows = cut_windows(train, max_length)
    progress = Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = _load(checkpoint, network, stepper, generator)
    while progress.epoch < n_epochs and progress.epoch - progress.best_epoch < max(patience, 1):
        wall, cpu = time.perf_counter(), time.process_time()
        epoch_batches = batches(train, windows, batch_size, generator=generator, by_time=by_time)
        loss = train_epoch(network, stepper, epoch_batches, sampler)
        trained = time.process_time()
        row = {"epoch": progress.epoch + 1, "loss": loss, **_validate(network, validation, max_length)}
        row |= {"train_cpu_seconds": trained - cpu, "seconds": time.perf_counter() - wall}
        progress.history.append(row)
        if validation is None or row[SELECTED_ON] > progress.best_value:
            progress.best_epoch, progress.best_value = progress.epoch, row.get(SELECTED_ON, -1.0)
            progress.best_weights = _copy(network.state_dict())
        if checkpoint is not None:
            _save(checkpoint, progress, network, stepper, generator)
        on_epoch(row)
    network.load_state_dict(progress.best_weights)
    return progress


def print_epoch(row: dict[str, float]) -> None:
    """Print one line about a finished epoch."""
    names = ("validation Recall@20", "validation MRR@20")
    metrics = "".join(f"  {name} {row[name]:.4f}" for name in names if name in row)
    print(f"epoch {row['epoch']:3.0f}  loss {row['loss']:.4f}{metrics}  {row['seconds']:.1f} s")


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def remove_checkpoints(*paths: Path) -> None:
    """Delete checkpoints and their digests, once the results are saved."""
    for path in paths:
        path.unlink(missing_ok=True)
        _digest_path(path).unlink(missing_ok=True)


def train_epoch(
    network: nn.Module,
    optimiser: Together | torch.optim.Optimizer,
    epoch_batches: Iterable[Batch],
    sampler: NegativeSampler | None = None,
) -> float:
    """Take one step per batch and return the mean loss per event; without a sampler every item is a negative."""
    network.train()
    device = _device(network)
    total, n_events = 0.0, 0
    for batch in epoch_batches:
        loss = step_loss(network, batch, device, sampler.draw() if sampler else None)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(batch.items)
        n_events += len(batch.items)
    return total / n_events


def step_loss(
    network: nn.Module, batch: Batch, device: torch.device, negatives: Negatives | None = None
) -> torch.Tensor:
    """Return the mean loss () over all positions of a batch."""
    vectors = network.encode(batch.items.to(device), batch.batch_sizes)
    return network.loss(vectors, batch.targets.to(device), negatives)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _validate(network: nn.Module, validation: Sessions | None, max_length: int) -> dict[str, float]:
    if validation is None:
        return {}
    metrics = summarise(rank_targets(network, validation, max_length=max_length).ranks)
    return {f"validation {name}": value for name, value in metrics.items()}


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _save(
    path: Path, progress: Progress, network: nn.Module, optimiser: Together, generator: np.random.Generator
) -> None:
    """Write the whole state, and its digest beside it, because torch does not notice a flipped bit."""
    state = {
        "progress": vars(progress),
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "torch_generator": torch.get_rng_state(),
        "order_generator": _generator_state(generator),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)
        digest = sha256_of(temporary)
    write_text(_digest_path(path), digest)


def _load(path: Path, network: nn.Module, optimiser: Together, generator: np.random.Generator) -> Progress:
    """Restore a state, or start anew when the file is not the one that was written."""
    digest = _digest_path(path)
    if not digest.exists() or digest.read_text() != sha256_of(path):
        return Progress()
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["torch_generator"])
    _restore_generator(generator, state["order_generator"])
    return Progress(**state["progress"])


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return PCG64's state with its 128-bit integers as text, which a weights-only file can hold."""
    state = generator.bit_generator.state
    return {**state, "state": {name: str(value) for name, value in state["state"].items()}}


def _restore_generator(generator: np.random.Generator, state: dict[str, Any]) -> None:
    numbers = {name: int(value) for name, value in state["state"].items()}
    generator.bit_generator.state = {**state, "state": numbers}
