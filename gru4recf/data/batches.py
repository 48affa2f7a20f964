"""Batches of whole windows in packed order, assembled by index arithmetic without Python per session.

Packed order is `torch.nn.utils.rnn.PackedSequence`'s: windows sorted by length, longest first; all first inputs,
then all second inputs, and so on, so that no step is spent on padding. Every position is a target: a window of n
events costs n - 1 steps and gives n - 1 predictions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gru4recf.data.sessions import Sessions, Windows

BLOCK = 8  # batches: windows are sorted by length inside blocks of this many, so that a step has many of them at once


@dataclass(frozen=True)
class Batch:
    """Some windows in packed order.

    Attributes:
        items: (n,) int64 inputs.
        batch_sizes: (T,) int64 number of windows that reach each step, never rising; on the CPU.
        targets: (n,) int64 the item after each input.
        events: (n,) int64 the index of each target in `Sessions.items`.
        is_target: (n,) bool which positions are to be predicted.
    """

    items: torch.Tensor
    batch_sizes: torch.Tensor
    targets: torch.Tensor
    events: np.ndarray
    is_target: torch.Tensor


def make_batch(sessions: Sessions, start: np.ndarray, stop: np.ndarray) -> Batch:
    """Pack the windows `[start, stop)` of `sessions`."""
    by_length = np.argsort(start - stop, kind="stable")
    start, n_inputs = start[by_length], (stop - start)[by_length] - 1
    # the number of windows longer than t, for every t, read off the sorted lengths
    batch_sizes = np.searchsorted(-n_inputs, -np.arange(n_inputs[0]), side="left")
    step = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    lane = np.arange(len(step)) - np.repeat(np.cumsum(batch_sizes) - batch_sizes, batch_sizes)
    events = start[lane] + step + 1
    return Batch(
        items=torch.from_numpy(sessions.items[events - 1]),
        batch_sizes=torch.from_numpy(batch_sizes),
        targets=torch.from_numpy(sessions.items[events]),
        events=events,
        is_target=torch.from_numpy(sessions.is_target[events]),
    )


def batches(
    sessions: Sessions,
    windows: Windows,
    batch_size: int,
    *,
    generator: np.random.Generator | None,
    by_time: bool = False,
) -> Iterator[Batch]:
    """Yield all windows once; shuffled, windows of like length together.

    A shuffled batch holds about as many events as any other, so few long windows or many short ones. With equally many
    windows the events of short ones would count for more, as every step is about as long however many events it has.

    Args:
        sessions: what the windows point into.
        windows: cut by `cut_windows`, in order of time.
        batch_size: windows per batch; on average where they are shuffled, and the last batch may hold fewer.
        generator: shuffles windows and batches; None sorts by length only (for ranking).
        by_time: keep windows strictly in order of time, the newest last, whatever their length.
    """
    order = np.arange(len(windows))
    if generator is not None and not by_time:
        order = generator.permutation(order)
    n_inputs = windows.stop - windows.start - 1
    for block in range(0, len(order), BLOCK * batch_size):
        rows = order[block : block + BLOCK * batch_size]
        if not by_time:
            rows = rows[np.argsort(-n_inputs[rows], kind="stable")]
        if by_time or generator is None:
            groups = np.split(rows, np.arange(batch_size, len(rows), batch_size))
        else:
            groups = _equal_parts(rows, n_inputs[rows], -(-len(rows) // batch_size))
            groups = [groups[i] for i in generator.permutation(len(groups))]
        for chosen in groups:
            yield make_batch(sessions, windows.start[chosen], windows.stop[chosen])


def _equal_parts(rows: np.ndarray, n_inputs: np.ndarray, n_parts: int) -> list[np.ndarray]:
    """Cut `rows` into at most `n_parts` with about the same number of inputs; a row lies where its middle does."""
    middle = np.cumsum(n_inputs) - n_inputs / 2
    part = (middle * n_parts / n_inputs.sum()).astype(int)
    return np.split(rows, np.flatnonzero(np.diff(part)) + 1)
