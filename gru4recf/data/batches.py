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

BLOCK = 8  # batches: windows are sorted by length inside blocks of this many, which keeps batches random but even


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
    """Yield all windows once, `batch_size` at a time; shuffled, windows of like length together.

    Args:
        sessions: what the windows point into.
        windows: cut by `cut_windows`, in order of time.
        batch_size: windows per batch; the last batch may hold fewer.
        generator: shuffles windows and batches; None keeps the order (for ranking).
        by_time: keep windows strictly in order of time, the newest last, whatever their length.
    """
    order = np.arange(len(windows))
    if generator is not None and not by_time:
        order = generator.permutation(order)
    length = windows.stop - windows.start
    for block in range(0, len(order), BLOCK * batch_size):
        rows = order[block : block + BLOCK * batch_size]
        cuts = np.arange(0, len(rows), batch_size)
        if not by_time:
            rows = rows[np.argsort(-length[rows], kind="stable")]
            cuts = cuts if generator is None else generator.permutation(cuts)
        for cut in cuts:
            chosen = rows[cut : cut + batch_size]
            yield make_batch(sessions, windows.start[chosen], windows.stop[chosen])
