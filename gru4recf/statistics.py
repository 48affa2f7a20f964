"""How sure a difference between two variants is: a paired bootstrap of sessions and seeds, and Holm's correction.

The value of a variant is the mean over seeds of (sum of the metric over events) / (number of events). Two things would
be drawn anew by a new study, and both are resampled, in the same way for every variant so that comparisons are paired:

* sessions, with replacement, events staying with their session; the number of events varies with them;
* seeds, by random normal weights: drawn with replacement, 3 seeds have 10 outcomes and no tail (Praestgaard & Wellner
  1993, Ann. Probab. 21(4), on exchangeable weights). Weights go with the seed number where both variants have equally
  many (valid whether or not equal numbers make equal errors), else they are independent. One seed, as of popularity,
  adds no variance.

A draw is the session part plus the seed part. Multiplying the two kinds of weight instead would count what is peculiar
to one session under one seed three times (Owen 2007, The pigeonhole bootstrap, Ann. Appl. Stat. 1(2)). It is counted
once, in the seed part, because the spread of the seeds' values holds it; the session part is scaled down by as much, to
the variance of sessions alone (analysis of variance: Searle, Casella & McCulloch 1992, Variance Components).

Each of the two variances is known from few or many degrees of freedom, and each gets its own Student factor: the
interval reaches sqrt(t(sessions - 1)^2 variance of sessions + t(seeds - 1)^2 variance of seeds) to both sides
(Banerjee 1960, J. Am. Stat. Assoc. 55(292), who proves that it then holds the truth at least as often as it says, at
every level; one common factor by Satterthwaite's rule raises false alarms severalfold at the small levels of Holm's
correction). Few seeds may agree by luck, but what is peculiar to a session under a seed is known from all sessions: the
interval is never narrower than the sessions alone would make it for the seeds that were run. The draws give the shape;
the deviation of the draw at each rank is multiplied by that width over the normal one. With seeds alone this is
Student's interval, with sessions alone the percentile interval.

How often the 95% interval then holds the truth is measured by `benchmarks/coverage.py`, which writes
reports/benchmarks/coverage.json, and how often a whole study raises a false alarm by `benchmarks/simulated_studies.py`.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtrit

ROUNDING = 1e-12  # metrics lie in [0, 1]; a smaller difference is the order of a sum, not a result
CHUNK = 2_000_000  # session weights held at once: 16 MB


@dataclass(frozen=True)
class Variances:
    """Where the uncertainty of a difference comes from: squared standard errors and their degrees of freedom."""

    sessions: float
    """Of sessions alone."""
    seeds: tuple[float, ...]
    """Of the seeds: one for variants paired by seed, else one each; none for one seed."""
    noise: tuple[float, ...]
    """The part of each of `seeds` that is peculiar to a session under a seed, which more sessions reduce too."""
    session_freedom: int
    seed_freedom: tuple[int, ...]

    @property
    def total(self) -> float:
        """Of the difference. The seeds' part is at least the noise, which is known well however few the seeds."""
        return self.sessions + max(sum(self.seeds), sum(self.noise))

    def relative_to(self, value: float) -> "Variances":
        """Return the variances of the difference divided by `value`."""
        seeds, noise = (tuple(part / value**2 for part in parts) for parts in (self.seeds, self.noise))
        return replace(self, sessions=self.sessions / value**2, seeds=seeds, noise=noise)

    def half_width(self, tail: np.ndarray | float) -> np.ndarray:
        """Return how far the interval reaches that leaves out `tail` on either side; the shape of `tail`."""
        of_sessions = stdtrit(self.session_freedom, tail) ** 2
        squares = of_sessions * self.sessions
        for variance, freedom in zip(self.seeds, self.seed_freedom, strict=True):
            squares = squares + stdtrit(freedom, tail) ** 2 * variance
        return np.sqrt(np.maximum(squares, of_sessions * (self.sessions + sum(self.noise))))


@dataclass(frozen=True)
class Contrast:
    """One variant against another on one metric: values, spreads, and bootstrap draws of shape (n_draws,)."""

    value_better: float
    value_worse: float
    seed_sd_better: float
    seed_sd_worse: float
    seed_sd_difference: float
    """Standard deviation over seeds of the difference; of two unpaired variants, from both."""
    difference: float
    draws: np.ndarray
    """Draws of the difference, in no order that means anything."""
    relative_draws: np.ndarray
    """Draws of the difference over the value of `worse` in the same draw; infinite where that is zero."""
    variances: Variances

    @property
    def relative(self) -> float:
        return self.difference / self.value_worse


def session_sums(values: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    """Return the sums (S, n_sessions) of the values (S, n_events); `sessions` are codes 0, 1, ... per event."""
    return np.stack([np.bincount(sessions, weights=row) for row in np.atleast_2d(values)])


def session_draws(sums: np.ndarray, sizes: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean per event of each row of `sums` (C, n_sessions) in resampled sessions, (n_draws, C).

    `sizes` (n_sessions,) are numbers of events. Memory is bounded whatever the number of draws.
    """
    n_sessions = sums.shape[1]
    columns = np.vstack([sums, sizes]).T  # (n_sessions, C + 1): the denominator is resampled with the numerators
    totals = np.empty((n_draws, columns.shape[1]))
    step = max(1, CHUNK // n_sessions)
    for start in range(0, n_draws, step):
        rows = min(step, n_draws - start)
        drawn = rng.integers(n_sessions, size=(rows, n_sessions)) + n_sessions * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * n_sessions).reshape(rows, n_sessions)
        totals[start : start + rows] = weights.astype(np.float64) @ columns
    return totals[:, :-1] / totals[:, -1:]


def seed_weights(n_seeds: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return how far the weights of reweighted seeds lie from 1 / n_seeds, (n_draws, n_seeds); zero for one seed.

    A row adds up to zero, and the variance of a mean over seeds is estimated without bias.
    """
    if n_seeds == 1:
        return np.zeros((n_draws, 1))
    weights = rng.standard_normal((n_draws, n_seeds))
    return (weights - weights.mean(axis=1, keepdims=True)) / np.sqrt(n_seeds * (n_seeds - 1))


def session_variance(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Return the squared standard error of the ratio sum(sums) / sum(sizes) over sessions, both (n_sessions,)."""
    n_sessions = len(sizes)
    influence = sums - sums.sum() / sizes.sum() * sizes  # linearises the ratio: what a session adds to it
    return float((influence**2).sum() / sizes.sum() ** 2 * n_sessions / (n_sessions - 1))


def seed_variance(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return the variance of the mean over seeds, and the part of it that is peculiar to a session under a seed.

    `sums` (S, n_sessions) are of one variant, or of the difference of two paired by seed; at least two seeds.
    """
    n_seeds, n_events = len(sums), sizes.sum()
    values = sums.sum(axis=1) / n_events
    influence = sums - values[:, None] * sizes
    noise = influence - influence.mean(axis=0)
    return float(values.var(ddof=1) / n_seeds), float((noise**2).sum() / (n_events**2 * n_seeds * (n_seeds - 1)))


def variances(better: np.ndarray, worse: np.ndarray, sizes: np.ndarray) -> Variances:
    """Split the variance of the difference of two variants, sums (S, n_sessions) each; S may differ."""
    groups = [group for group in _groups(better, worse) if len(group) > 1]
    seeds, noise = zip(*(seed_variance(group, sizes) for group in groups), strict=True) if groups else ((), ())
    both = session_variance(better.mean(axis=0) - worse.mean(axis=0), sizes)
    freedom = tuple(len(group) - 1 for group in groups)
    return Variances(max(both - sum(noise), 0.0), seeds, noise, len(sizes) - 1, freedom)


def bootstrap(
    sums: Mapping[Hashable, np.ndarray],
    sizes: np.ndarray,
    pairs: Iterable[tuple[Hashable, Hashable]],
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[tuple[Hashable, Hashable], Contrast]:
    """Compare each pair (better, worse) of keys of `sums`, with one resampling for all of them.

    Args:
        sums: for each variant and metric the sums per session and seed, (S, n_sessions); S may differ.
        sizes: (n_sessions,) events per session; at least two sessions.
        pairs: keys to compare; the value of `worse` is above zero.
        n_draws: bootstrap draws.
        rng: the same state gives the same bytes, and pairs left out do not change the others.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    weights = {n: seed_weights(n, n_draws, rng) for n in sorted({len(values) for values in sums.values()})}
    drawn = session_draws(np.stack([values.mean(axis=0) for values in sums.values()]), sizes, n_draws, rng)
    values = {key: value.sum(axis=1) / sizes.sum() for key, value in sums.items()}  # (S,) one value per seed
    session_parts = {key: part - values[key].mean() for key, part in zip(sums, drawn.T, strict=True)}
    seed_parts = {key: weights[len(value)] @ value for key, value in values.items()}

    def contrast(better: Hashable, worse: Hashable) -> Contrast:
        mean_better, mean_worse = float(values[better].mean()), float(values[worse].mean())
        difference = float(_cut(mean_better - mean_worse))
        parts = variances(sums[better], sums[worse], sizes)
        session_part = session_parts[better] - session_parts[worse]
        drawn_variance = session_part.var()
        of_sessions = parts.total - sum(parts.seeds)
        alone = np.sqrt(of_sessions / drawn_variance) if drawn_variance > 0 else 0.0
        draws = _cut(difference + alone * session_part + seed_parts[better] - seed_parts[worse])
        relative_draws = _ratio(draws, mean_worse + alone * session_parts[worse] + seed_parts[worse])
        factors = _student_factors(parts, n_draws)
        return Contrast(
            mean_better,
            mean_worse,
            _sd(values[better]),
            _sd(values[worse]),
            _sd(*_groups(values[better], values[worse])),
            difference,
            _cut(_stretched(draws, difference, factors)),
            _stretched(relative_draws, difference / mean_worse, factors),
            parts,
        )

    return {(better, worse): contrast(better, worse) for better, worse in pairs}


def _cut(values: np.ndarray | float) -> np.ndarray:
    """Set to zero what is only the rounding of a sum, so that equal ranks differ by exactly nothing."""
    return np.where(np.abs(values) < ROUNDING, 0.0, values)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; a denominator that is not above zero gives an infinity of the numerator's sign, or zero over zero."""
    undefined = np.where(numerator == 0, 0.0, np.copysign(np.inf, numerator))
    return np.divide(numerator, denominator, out=undefined, where=denominator > ROUNDING)


def _groups(better: np.ndarray, worse: np.ndarray) -> list[np.ndarray]:
    """Return what varies between seeds: the difference of variants paired by seed, else each of the two."""
    return [better - worse] if len(better) == len(worse) else [better, worse]


def _sd(*groups: np.ndarray) -> float:
    return float(np.sqrt(sum(values.var(ddof=1) for values in groups if len(values) > 1)))


def _student_factors(parts: Variances, n_draws: int) -> np.ndarray:
    """Return what the deviation of the draw at each rank, of `n_draws` in ascending order, is multiplied by."""
    lower = (np.arange(n_draws // 2) + 0.5) / n_draws
    if parts.total < ROUNDING**2:
        return np.ones(n_draws)
    half = parts.half_width(lower) / (-ndtri(lower) * np.sqrt(parts.total))
    return np.concatenate([half, np.ones(n_draws % 2), half[::-1]])


def _stretched(draws: np.ndarray, centre: float, factors: np.ndarray) -> np.ndarray:
    return centre + (np.sort(draws) - centre) * factors
