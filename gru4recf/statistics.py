"""How sure a difference between two variants is: a bootstrap of sessions, paired, and of seeds.

The value of a variant is the mean over seeds of (sum of the metric over events) / (number of events). Two things would
be drawn anew by a new study, and both are resampled:

* sessions, with replacement, events staying with their session, in the same way for every variant so that comparisons
  are paired; the number of events varies with them;
* seeds, by normal draws with the variance of the mean over seeds: drawn with replacement, 3 seeds have 10 outcomes and
  no tail. Seeds of two variants are independent: a seed's number makes no errors that two architectures share. One
  seed, as of popularity, adds none.

A draw is the session part plus the seed part. Multiplying the two kinds of weight instead would count what is peculiar
to one session under one seed three times (Owen 2007, The pigeonhole bootstrap, Ann. Appl. Stat. 1(2)). It is counted
once, in the seed part; the session part is scaled down by as much, to the variance of sessions alone.

The draws give the shape of an interval, `variances.py` its width: the deviation of the draw at each rank is multiplied
by that width over the normal one. With sessions alone this is the percentile interval.

How often the 95% interval then holds the truth is measured by `benchmarks/interval_coverage.py`, which writes
reports/benchmarks/coverage.json, and how often a whole study raises a false alarm by `benchmarks/simulated_studies.py`.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from gru4recf.variances import ROUNDING, Key, Variances, equal, seed_spreads, variances_between

CHUNK = 2_000_000  # session weights held at once: 16 MB


@dataclass(frozen=True)
class Contrast:
    """One variant against another on one metric: values, spreads, and bootstrap draws of shape (n_draws,)."""

    value_better: float
    value_worse: float
    seed_sd_better: float
    seed_sd_worse: float
    seed_sd_difference: float
    """Standard deviation of the difference of two single runs, from both."""
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
    columns = _exact(np.vstack([sums, sizes])).T  # the denominator is resampled with the numerators
    totals = np.empty((n_draws, columns.shape[1]))
    step = max(1, CHUNK // n_sessions)
    for start in range(0, n_draws, step):
        rows = min(step, n_draws - start)
        drawn = rng.integers(n_sessions, size=(rows, n_sessions)) + n_sessions * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * n_sessions).reshape(rows, n_sessions)
        totals[start : start + rows] = weights.astype(np.float64) @ columns
    return totals[:, :-1] / totals[:, -1:]


def _exact(sums: np.ndarray) -> np.ndarray:
    """Round (C, n_sessions) to a grid so coarse that adding as many as there are sessions is exact.

    What a product of matrices adds first depends on the machine and its number of threads, and so would last digits.
    """
    grid = 2.0 ** (np.ceil(np.log2(np.abs(sums).max() * sums.shape[1])) - 52)  # a float64 holds 53 bits
    return np.round(sums / grid) * grid


def bootstrap(
    sums: Mapping[Key, np.ndarray],
    sizes: np.ndarray,
    pairs: Iterable[tuple[Key, Key]],
    *,
    n_draws: int,
    rng: np.random.Generator,
    apart: Collection[str] = (),
) -> dict[tuple[Key, Key], Contrast]:
    """Compare each pair (better, worse) of keys of `sums`, with one resampling for all of them.

    Args:
        sums: for each variant and metric the sums per session and seed, (S, n_sessions); S may differ. All of them
            tell how far seeds spread, also those that no pair names.
        sizes: (n_sessions,) events per session; at least two sessions.
        pairs: keys to compare; the value of `worse` is above zero.
        n_draws: bootstrap draws.
        rng: the same state gives the same bytes, and pairs and metrics left out do not change the others.
        apart: variants whose spread is of another kind, such as an untrained network's.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    pairs = list(pairs)
    if not pairs:
        return {}
    compared = list(dict.fromkeys(key for pair in pairs for key in pair))
    spreads = seed_spreads(sums, sizes, apart)
    drawn = session_draws(np.stack([sums[key].mean(axis=0) for key in compared]), sizes, n_draws, rng)
    values = {key: sums[key].sum(axis=1) / sizes.sum() for key in compared}  # (S,) one value per seed
    session_parts = {key: part - values[key].mean() for key, part in zip(compared, drawn.T, strict=True)}
    root = int(rng.integers(2**63))
    seed_parts = {
        key: np.sqrt(spreads[key].variance) * _normal(root, key, n_draws) for key in compared if key in spreads
    }

    def contrast(better: Key, worse: Key) -> Contrast:
        mean_better, mean_worse = float(values[better].mean()), float(values[worse].mean())
        difference = float(_cut(mean_better - mean_worse))
        source = better if equal(sums[better], sums[worse]) else worse  # equal ranks come from equal runs
        parts = variances_between(better, source, sums, sizes, spreads)
        session_part = session_parts[better] - session_parts[worse]
        drawn_variance = session_part.var()
        of_sessions = parts.total - parts.of_seeds
        alone = np.sqrt(of_sessions / drawn_variance) if drawn_variance > 0 else 0.0
        of_worse = seed_parts.get(source, 0.0)
        draws = _cut(difference + alone * session_part + seed_parts.get(better, 0.0) - of_worse)
        relative_draws = _ratio(draws, mean_worse + alone * session_parts[worse] + of_worse)
        factors = _student_factors(parts, n_draws)
        return Contrast(
            mean_better,
            mean_worse,
            _sd(values[better]),
            _sd(values[worse]),
            float(np.hypot(_sd(values[better]), _sd(values[worse]))),
            difference,
            _cut(_stretched(draws, difference, factors)),
            _stretched(relative_draws, difference / mean_worse, factors),
            parts,
        )

    return {(better, worse): contrast(better, worse) for better, worse in pairs}


def _normal(root: int, key: Key, n_draws: int) -> np.ndarray:
    """Return standard normal draws of a key, the same ones whatever other keys there are."""
    return np.random.default_rng([root, zlib.crc32("/".join(key).encode())]).standard_normal(n_draws)


def _cut(values: np.ndarray | float) -> np.ndarray:
    """Set to zero what is only the rounding of a sum, so that equal ranks differ by exactly nothing."""
    return np.where(np.abs(values) < ROUNDING, 0.0, values)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; a denominator that is not above zero gives an infinity of the numerator's sign, or zero over zero."""
    undefined = np.where(numerator == 0, 0.0, np.copysign(np.inf, numerator))
    return np.divide(numerator, denominator, out=undefined, where=denominator > ROUNDING)


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _student_factors(parts: Variances, n_draws: int) -> np.ndarray:
    """Return what the deviation of the draw at each rank, of `n_draws` in ascending order, is multiplied by."""
    lower = (np.arange(n_draws // 2) + 0.5) / n_draws
    if parts.total < ROUNDING**2:
        return np.ones(n_draws)
    half = parts.half_width(lower) / (-ndtri(lower) * np.sqrt(parts.total))
    return np.concatenate([half, np.ones(n_draws % 2), half[::-1]])


def _stretched(draws: np.ndarray, centre: float, factors: np.ndarray) -> np.ndarray:
    return centre + (np.sort(draws) - centre) * factors
