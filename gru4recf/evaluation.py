"""Per-event ranks over the whole catalogue, in bounded memory.

rank = 1 + number of better items + half the number of equal ones. The padding item is never ranked; items seen
earlier in the session are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gru4recf.data.batches import batches
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.errors import RunError
from gru4recf.models import NETWORKS

MAX_TIED_SHARE = 0.01
SCORES_AT_ONCE = 2**22  # scores held at a time: 16 MiB in float32, small enough to stay near the cache


@dataclass(frozen=True)
class Ranks:
    """The ranks of all targets of a part, in order of session and position.

    Attributes:
        ranks: (n_targets,) float32.
        tied_share: share of targets whose score some other item equals.
    """

    ranks: np.ndarray
    tied_share: float


@torch.no_grad()
def rank_targets(model: nn.Module, sessions: Sessions, *, max_length: int, batch_size: int = 512) -> Ranks:
    """Rank every target of `sessions` among all items.

    Args:
        model: anything with `encode(items, batch_sizes) -> (n, D)` and `scores((n, D)) -> (n, N)`.
        sessions: what to rank; see `Sessions.is_target`.
        max_length: inputs read before a target at most.
        batch_size: windows encoded together; it does not change the result beyond rounding.
    """
    model.eval()
    device = next(iter([*model.parameters(), *model.buffers()])).device
    ranks = np.zeros(sessions.n_events, dtype=np.float32)
    tied = np.zeros(sessions.n_events, dtype=bool)
    windows = cut_windows(sessions, max_length)
    for batch in batches(sessions, windows, batch_size, generator=None):
        vectors = model.encode(batch.items.to(device), batch.batch_sizes)
        is_target = batch.is_target.numpy()
        events = batch.events[is_target]
        vectors = vectors[batch.is_target.to(device)]
        targets = batch.targets[batch.is_target].to(device)
        ranks[events], tied[events] = _ranks_of(model, vectors, targets)
    chosen = sessions.is_target
    return Ranks(ranks[chosen], float(tied[chosen].mean()))


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


def _ranks_of(model: nn.Module, vectors: torch.Tensor, targets: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return (ranks, whether tied) of targets (n,) from vectors (n, D), some rows at a time."""
    n_items = model.scores(vectors[:1]).shape[1] if len(vectors) else 1
    rows = max(1, SCORES_AT_ONCE // n_items)
    parts = [
        ranks_from_scores(model.scores(v), t) for v, t in zip(vectors.split(rows), targets.split(rows), strict=True)
    ]
    ranks, equal = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return ranks, equal > 0


def ranks_from_scores(scores: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ranks (n,) float32, number of other items with the target's score (n,)).

    Args:
        scores: (n, N); column 0, the padding item, is left out.
        targets: (n,) int64 in 1..N - 1.

    Raises:
        RunError: when a score is not a number.
    """
    if torch.isnan(scores).any():
        raise RunError("A score is not a number: training diverged. Lower the learning rate.")
    own = scores.gather(1, targets[:, None])
    items = scores[:, 1:]
    better = (items > own).sum(dim=1)
    equal = (items == own).sum(dim=1) - 1
    return 1 + better.to(torch.float32) + equal.to(torch.float32) / 2, equal
