"""How sure a difference between two variants is: a paired bootstrap of sessions and seeds, and Holm's correction.

The value of a variant is the mean over seeds of (sum of the metric over events) / (number of events). Two things would
be drawn anew by a new study, and both are resampled, in the same way for every variant so that comparisons are paired:

* sessions, with replacement, events staying with their session; the number of events varies with them;
* seeds, with replacement, by seed number where both variants have equally many (valid whether or not equal numbers
  make equal errors), else independently. One seed, as of popularity, adds no variance.

A draw is the session part plus the seed part. Multiplying the two kinds of weight instead would count the noise that
belongs to one session under one seed three times (Owen 2007, The pigeonhole bootstrap, Ann. Appl. Stat. 1(2)).

Few seeds need three corrections:

1. Weights drawn with replacement have a variance too small by (n - 1) / n: deviations grow by sqrt(n / (n - 1)).
2. The spread between seeds also holds that session-by-seed noise, which the session part has counted already. It is
   taken out by analysis of variance, down to zero at most (Searle, Casella & McCulloch 1992, Variance Components).
3. A variance known from n - 1 degrees of freedom gives Student's t, not the normal distribution. The degrees of freedom
   of the whole are Satterthwaite's (1946, Biometrics Bulletin 2(6)), and each draw's deviation is stretched by
   sqrt(df / chi2(df)), which makes a normal deviation a t one and leaves a well-known variance alone.

How often the 95% interval then holds the truth is measured by `benchmarks/coverage.py`, which writes
reports/benchmarks/coverage.json: close to 95% from 3 seeds on, a little below where seeds differ much and above where
session-by-seed noise is large; clearly too little for 2 seeds that differ much.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

ROUNDING = 1e-12  # metrics lie in [0, 1]; a smaller difference is the order of a sum, not a result
CHUNK = 2_000_000  # session weights held at once: 16 MB


@dataclass(frozen=True)
class Contrast:
    """One variant against another on one metric: values, spreads, and bootstrap draws of shape (n_draws,)."""

    value_better: float
    value_worse: float
    seed_sd_better: float
    seed_sd_worse: float
    difference: float
    draws: np.ndarray
    """Draws of the difference."""
    relative_draws: np.ndarray
    """Draws of the difference divided by the value of `worse` in the same draw; infinite where that value is zero."""
    degrees_of_freedom: float

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
    """Return how far the weights of resampled seeds lie from 1 / n_seeds, (n_draws, n_seeds); zero for one seed.

    Scaled by sqrt(n / (n - 1)), so that the variance of a mean over seeds is estimated without bias.
    """
    if n_seeds == 1:
        return np.zeros((n_draws, 1))
    counts = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_draws)
    return (counts / n_seeds - 1 / n_seeds) * np.sqrt(n_seeds / (n_seeds - 1))


def seed_variance(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return the variance of the mean over seeds, and the part of it that is session-by-seed noise.

    `sums` (S, n_sessions) are of one variant, or of the difference of two paired by seed. Both are zero for one seed.
    """
    n_seeds, n_events = len(sums), sizes.sum()
    if n_seeds == 1:
        return 0.0, 0.0
    values = sums.sum(axis=1) / n_events
    influence = sums - values[:, None] * sizes  # linearises the ratio: what a session adds to a seed's value
    noise = influence - influence.mean(axis=0)
    return values.var(ddof=1) / n_seeds, (noise**2).sum() / (n_events**2 * n_seeds * (n_seeds - 1))


def student_factors(degrees_of_freedom: float, uniform: np.ndarray) -> np.ndarray:
    """Return sqrt(df / chi2(df)) at the uniform numbers: normal deviations times these follow Student's t."""
    return np.sqrt(degrees_of_freedom / (2 * gammaincinv(degrees_of_freedom / 2, uniform)))


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
    uniform = rng.random(n_draws)
    drawn = session_draws(np.stack([values.mean(axis=0) for values in sums.values()]), sizes, n_draws, rng)
    session_parts = dict(zip(sums, drawn.T, strict=True))
    values = {key: value.sum(axis=1) / sizes.sum() for key, value in sums.items()}  # (S,) one value per seed
    seed_parts = {key: weights[len(value)] @ value for key, value in values.items()}

    def contrast(better: Hashable, worse: Hashable) -> Contrast:
        a, b = sums[better], sums[worse]
        groups = [a - b] if len(a) == len(b) else [a, b]
        mean_better, mean_worse = float(values[better].mean()), float(values[worse].mean())
        difference = float(_cut(mean_better - mean_worse))
        session_part = session_parts[better] - session_parts[worse]
        keep, df = _combine(session_part.var(), groups, sizes)
        draws = _cut(session_part + keep * (seed_parts[better] - seed_parts[worse]))
        relative_draws = _ratio(draws, session_parts[worse] + keep * seed_parts[worse])
        stretch = student_factors(df, uniform)
        relative = difference / mean_worse
        return Contrast(
            mean_better,
            mean_worse,
            _sd(values[better]),
            _sd(values[worse]),
            difference,
            _cut(difference + (draws - difference) * stretch),
            relative + (relative_draws - relative) * stretch,
            df,
        )

    return {(better, worse): contrast(better, worse) for better, worse in pairs}


def _combine(session_variance: float, groups: list[np.ndarray], sizes: np.ndarray) -> tuple[float, float]:
    """Return the factor that takes session-by-seed noise out of the seed part, and the degrees of freedom."""
    between, noise = (np.array(column) for column in zip(*(seed_variance(g, sizes) for g in groups), strict=True))
    own = max(between.sum() - noise.sum(), 0.0)
    keep = np.sqrt(own / between.sum()) if own > 0 else 0.0
    freedom = np.array([max(len(group) - 1, 1) for group in groups])
    uncertainty = (between**2 / freedom).sum() + session_variance**2 / (len(sizes) - 1)
    df = (session_variance + own) ** 2 / uncertainty if uncertainty > 0 else len(sizes) - 1
    return float(keep), float(max(df, 1.0))


def _cut(values: np.ndarray | float) -> np.ndarray:
    """Set to zero what is only the rounding of a sum, so that equal ranks differ by exactly nothing."""
    return np.where(np.abs(values) < ROUNDING, 0.0, values)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; a denominator that is not above zero gives an infinity of the numerator's sign, or zero over zero."""
    undefined = np.where(numerator == 0, 0.0, np.copysign(np.inf, numerator))
    return np.divide(numerator, denominator, out=undefined, where=denominator > ROUNDING)


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def p_value(draws: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of no difference, 2 (1 + fewer side) / (n_draws + 1), at most 1.

    Never zero (Davison & Hinkley 1997, Bootstrap Methods, ch. 4), and at most alpha exactly where `interval` leaves
    out zero.
    """
    tail = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return float(min(1.0, 2 * (tail + 1) / (draws.size + 1)))


def interval(draws: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided percentile interval of level 1 - alpha: order statistics, never interpolated."""
    k = max(1, int(alpha / 2 * (draws.size + 1) + 1e-9))
    ordered = np.partition(draws, (k - 1, draws.size - k))
    return float(ordered[k - 1]), float(ordered[-k])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the family: step-down, monotone, at most 1 (Holm 1979, Scand. J. Stat. 6(2))."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(p_values.size, 0, -1)), 1.0)
    return adjusted


def holm_levels(p_values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Return the alpha of each interval: alpha / (m - i + 1) for the i-th smallest of m p-values.

    The step-down procedure ends at the first step that fails, and from there on its level stays: so an interval leaves
    out zero exactly where the adjusted p-value is at most alpha.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    steps = alpha / np.arange(p_values.size, 0, -1)
    failed = np.flatnonzero(p_values[order] > steps * (1 + 1e-9))
    levels = np.empty_like(p_values)
    levels[order] = steps[np.minimum(np.arange(p_values.size), failed[0])] if failed.size else steps
    return levels
