"""What a decision rests on: the ranks measured on each data set, and the claims put to them. Building one checks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gru4recf.errors import StudyError

UNTRAINED = ("parallel_untrained",)  # its seeds do not spread as those of trained networks do


@dataclass(frozen=True, eq=False)
class DatasetRanks:
    """What was measured on one data set, for all variants on the same test events in the same order.

    Raises:
        StudyError: for fewer than two sessions, and ranks of another number of events, below 1, or NaN.
    """

    dataset: str
    sessions: np.ndarray
    """(n_events,) label of the session of each test event."""
    ranks: Mapping[str, np.ndarray]
    """Variant -> (n_seeds, n_events) ranks, 1 is best, infinity a miss."""
    validation: Mapping[str, float]
    """Variant -> mean validation MRR@20, by which the best of several candidates is chosen."""

    def __post_init__(self) -> None:
        if self.n_sessions < 2:
            raise StudyError(
                f"{self.dataset}: the test part holds {self.n_sessions} session(s) where an interval needs at least "
                "two; make the test part longer."
            )
        for variant, ranks in self.ranks.items():
            self._check(variant, np.asarray(ranks))

    def _check(self, variant: str, ranks: np.ndarray) -> None:
        if ranks.ndim != 2 or not len(ranks) or ranks.shape[1] != len(self.sessions):
            raise StudyError(
                f"{self.dataset}: the ranks of {variant} have shape {ranks.shape} where (seeds, {len(self.sessions)}) "
                "was expected; all variants are compared on the same test events, so run it again on this split."
            )
        wrong = ~(ranks >= 1)  # NaN too
        if wrong.any():
            seed, event = np.argwhere(wrong)[0]
            raise StudyError(
                f"{self.dataset}: {variant} has the rank {ranks[seed, event]} (row {seed}, event {event}) where 1 or "
                "more was expected; its scores were not finite or its file is damaged, so run it again."
            )

    @cached_property
    def codes(self) -> np.ndarray:
        """(n_events,) the sessions as 0, 1, ..., n_sessions - 1."""
        return np.unique(self.sessions, return_inverse=True)[1]

    @property
    def n_sessions(self) -> int:
        return int(self.codes.max(initial=-1)) + 1


@dataclass(frozen=True)
class Claim:
    """One sentence to test: `better` has higher values than its rivals in `worse`.

    Raises:
        StudyError: for an empty side, and a variant that stands on both.
    """

    name: str
    text: str
    better: tuple[str, ...]
    """Candidates; the one with the best validation value on a data set stands for them there."""
    worse: tuple[str, ...]
    """Rivals; see `against`."""
    against: str = "every"
    """Which rivals have to be beaten: "every" one, or the "best" on validation, chosen anew on each data set."""

    def __post_init__(self) -> None:
        for side in ("better", "worse"):
            if isinstance(getattr(self, side), str) or not getattr(self, side):
                raise StudyError(f"The claim {self.name!r} needs a list of at least one variant under {side!r}.")
        for variant in self.better:
            if variant in self.worse:
                raise StudyError(f"The claim {self.name!r} compares {variant} with itself; take it out of one side.")


def best_of(candidates: tuple[str, ...], data: DatasetRanks) -> str:
    """Return the candidate with the highest validation value on this data set; the first listed wins a tie.

    Test values never enter. A single candidate needs no validation value.
    """
    if len(candidates) == 1:
        return candidates[0]
    for variant in candidates:
        if not np.isfinite(data.validation.get(variant, np.nan)):
            raise StudyError(
                f"{data.dataset}: {variant} has no validation value, so the best of {', '.join(candidates)} cannot be "
                "chosen; run it again with validation, or take it out of the claim."
            )
    return max(candidates, key=lambda variant: data.validation[variant])


def rivals_of(claim: Claim, data: DatasetRanks) -> tuple[str, ...]:
    """Return the variants that have to be beaten on this data set."""
    return tuple(dict.fromkeys(claim.worse)) if claim.against == "every" else (best_of(claim.worse, data),)
