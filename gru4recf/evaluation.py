"""Per-event ranks over the whole catalogue, in bounded memory.

rank = 1 + number of better items + half the number of equal ones. The padding item is never ranked; items seen
earlier in the session are. Networks give dense scores, baselines dense or sparse ones; sparse ones are ranked as they
are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import nn

from gru4recf.data.batches import batches
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.errors import RunError
from gru4recf.models import NETWORKS
from gru4recf.models.baselines.base import Baseline, histories_of

MAX_TIED_SHARE = 0.01
SCORES_AT_ONCE = 2**22  # scores held at a time: 16 MiB in float32, small enough to stay near the cache
ROWS_AT_LEAST = 64  # targets a network scores together: with fewer, a product only waits for the item vectors
TARGETS_AT_ONCE = 128  # targets that a baseline scores together: a neighbour method holds thousands of entries for each

Ranked = tuple[np.ndarray, np.ndarray]
"""(ranks (n,) float32, number of other items with the target's score (n,))."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of all targets of a part, in order of session and position.

    Attributes:
        ranks: (n_targets,) float32; equal items count half.
        ties: (n_targets,) int32, the number of other items with the target's very score. `ranks + ties / 2` are
            conservative ranks (all equal items first), `ranks - ties / 2` optimistic ones.
    """

    ranks: np.ndarray
    ties: np.ndarray

    @property
    def tied_share(self) -> float:
        """Share of targets whose score some other item equals."""
        return float((self.ties > 0).mean()) if len(self.ties) else 0.0


@torch.no_grad()
def rank_targets(model: nn.Module, sessions: Sessions, *, max_length: int, batch_size: int = 512) -> Ranks:
    """Rank every target of `sessions` among all items.

    Args:
        model: a baseline, or anything with `encode(items, batch_sizes) -> (n, D)` and `scores((n, D)) -> (n, N)`.
        sessions: what to rank; see `Sessions.is_target`.
        max_length: inputs read before a target at most. A network reads windows of this length, so that early targets
            of a long session see fewer; a baseline reads this many before each target.
        batch_size: windows encoded together; it does not change the result beyond rounding.
    """
    model.eval()
    if isinstance(model, Baseline):
        parts = _rank_baseline(model, sessions, max_length)
    else:
        parts = _rank_network(model, sessions, max_length, batch_size)
    ranks = np.zeros(sessions.n_events, dtype=np.float32)
    ties = np.zeros(sessions.n_events, dtype=np.int32)
    for events, ranked in parts:
        ranks[events], ties[events] = ranked
    chosen = sessions.is_target
    return Ranks(ranks[chosen], ties[chosen])


def require_few_ties(ranks: Ranks, variant: str) -> None:
    """Refuse ranks of a network that gives many items the same score: such ranks say nothing. Baselines may tie.

    Raises:
        RunError: when more than 1% of a network's targets are tied.
    """
    if variant in NETWORKS and ranks.tied_share > MAX_TIED_SHARE:
        raise RunError(
            f"{variant}: {ranks.tied_share:.1%} of the targets share their score with another item, above the "
            f"{MAX_TIED_SHARE:.0%} allowed for a network; it has collapsed. Lower the learning rate."
        )


def _rank_network(
    model: nn.Module, sessions: Sessions, max_length: int, batch_size: int
) -> Iterator[tuple[np.ndarray, Ranked]]:
    """Yield (target events, their ranks and ties), one batch of windows at a time."""
    device = next(iter([*model.parameters(), *model.buffers()])).device
    windows = cut_windows(sessions, max_length)
    for batch in batches(sessions, windows, batch_size, generator=None):
        vectors = model.encode(batch.items.to(device), batch.batch_sizes)
        vectors = vectors[batch.is_target.to(device)]
        targets = batch.targets[batch.is_target].to(device)
        yield batch.events[batch.is_target.numpy()], _rank_vectors(model, vectors, targets)


def _rank_vectors(model: nn.Module, vectors: torch.Tensor, targets: torch.Tensor) -> Ranked:
    """Rank targets (n,) by the scores of vectors (n, D), some rows at a time."""
    n_items = model.scores(vectors[:1]).shape[1] if len(vectors) else 1
    rows = max(ROWS_AT_LEAST, SCORES_AT_ONCE // n_items)
    # what is kept is made before the scores: pieces of results between them would keep their memory from being reused
    ranks = torch.empty(len(vectors), device=vectors.device)
    equal = torch.empty(len(vectors), dtype=torch.int32, device=vectors.device)
    for first in range(0, len(vectors), rows):
        part = slice(first, first + rows)
        ranks[part], equal[part] = ranks_from_scores(model.scores(vectors[part]), targets[part])
    return ranks.cpu().numpy(), equal.cpu().numpy()


def _rank_baseline(model: Baseline, sessions: Sessions, max_length: int) -> Iterator[tuple[np.ndarray, Ranked]]:
    """Yield (target events, their ranks and ties), some targets at a time."""
    targets = np.flatnonzero(sessions.is_target)
    rows = max(1, min(TARGETS_AT_ONCE, SCORES_AT_ONCE // model.n_items))
    for start in range(0, len(targets), rows):
        events = targets[start : start + rows]
        scores = model.score(histories_of(sessions, events, max_length))
        if sparse.issparse(scores):
            yield events, ranks_from_sparse_scores(scores, sessions.items[events])
        else:
            ranked = ranks_from_scores(scores, torch.from_numpy(sessions.items[events]))
            yield events, tuple(column.numpy() for column in ranked)


def ranks_from_scores(scores: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ranks (n,) float32, number of other items with the target's score (n,)).

    Args:
        scores: (n, N); column 0, the padding item, is left out.
        targets: (n,) int64 in 1..N - 1.

    Raises:
        RunError: when a score is not a number.
    """
    # the maximum is nan where any score is, and is found faster than `isnan` of them all
    if scores.numel() and torch.isnan(scores.amax()):
        raise RunError("A score is not a number: training diverged. Lower the learning rate.")
    own = scores.gather(1, targets[:, None])
    items = scores[:, 1:]
    better = (items > own).sum(dim=1, dtype=torch.int32)
    equal = (items == own).sum(dim=1, dtype=torch.int32) - 1
    return 1 + better.to(torch.float32) + equal.to(torch.float32) / 2, equal


def ranks_from_sparse_scores(scores: sparse.csr_array, targets: np.ndarray) -> Ranked:
    """Return what `ranks_from_scores` gives for the same scores, from the stored ones alone.

    Args:
        scores: (n, N) without duplicates; an item that is not stored has score 0, column 0 is left out.
        targets: (n,) int64 in 1..N - 1.
    """
    n, n_items = scores.shape
    row = np.repeat(np.arange(n), np.diff(scores.indptr))
    is_target, is_item = scores.indices == targets[row], scores.indices > 0
    own = np.zeros(n, dtype=scores.dtype)
    own[row[is_target]] = scores.data[is_target]
    better = np.bincount(row[is_item & (scores.data > own[row])], minlength=n)
    equal = np.bincount(row[is_item & (scores.data == own[row]) & ~is_target], minlength=n)
    is_stored = np.bincount(row[is_target], minlength=n)
    others_not_stored = n_items - 2 - (np.bincount(row[is_item], minlength=n) - is_stored)
    better += np.where(own < 0, others_not_stored, 0)
    equal += np.where(own == 0, others_not_stored, 0)
    return (1 + better + equal / 2).astype(np.float32), equal
