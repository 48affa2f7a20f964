"""How sure a difference between two variants is: a bootstrap of sessions, paired, and of seeds.

The value of a variant is the mean over seeds of (sum of the metric over events) / (number of events). Two things would
be drawn anew by a new study, and both are resampled:

* sessions, with replacement, events staying with their session, in the same way for every variant so that comparisons
  are paired; the number of events varies with them;
* seeds, by normal draws with the variance of the mean over seeds: drawn with replacement, 3 seeds have 10 outcomes and
  no tail. Seeds of two variants are independent: a seed's number makes no errors that two architectures share. The
  variance of a network is drawn towards those of the others (`moderation.py`). One seed, as of popularity, adds none.

A draw is the session part plus the seed part. Multiplying the two kinds of weight instead would count what is peculiar
to one session under one seed three times (Owen 2007, The pigeonhole bootstrap, Ann. Appl. Stat. 1(2)). It is counted
once, in the seed part, because the spread of the seeds' values holds it; the session part is scaled down by as much, to
the variance of sessions alone (analysis of variance: Searle, Casella & McCulloch 1992, Variance Components).

Each of the variances is known from few or many degrees of freedom, and each gets its own Student factor: the
interval reaches sqrt(t(sessions - 1)^2 variance of sessions + sum of t(freedom)^2 variance of seeds) to both sides
(Banerjee 1960, J. Am. Stat. Assoc. 55(292), who proves that it then holds the truth at least as often as it says, at
every level; one common factor by Satterthwaite's rule raises false alarms severalfold at the small levels of Holm's
correction). Few seeds may agree by luck, but what is peculiar to a session under a seed is known from all sessions: the
interval is never narrower than the sessions alone would make it for the seeds that were run. The draws give the shape;
the deviation of the draw at each rank is multiplied by that width over the normal one. With sessions alone this is the
percentile interval.

How often the 95% interval then holds the truth is measured by `benchmarks/interval_coverage.py`, which writes
reports/benchmarks/coverage.json, and how often a whole study raises a false alarm by `benchmarks/simulated_studies.py`.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from gru4recf.moderation import moderate

ROUNDING = 1e-12  # metrics lie in [0, 1]; a smaller difference is the order of a sum, not a result
CHUNK = 2_000_000  # session weights held at once: 16 MB

Key = tuple[str, str]  # variant, metric


@dataclass(frozen=True)
class SeedSpread:
    """How sure the mean of one variant over its seeds is, on one metric."""

    variance: float
    """Of the mean over seeds, moderated by other networks."""
    noise: float
    """The part of it that is peculiar to a session under a seed, which more sessions reduce too."""
    freedom: float
    """Degrees of freedom of `variance`."""
    prior: float
    """How many of them come from other networks, and not from this one's seeds."""


@dataclass(frozen=True)
class Variances:
    """Where the uncertainty of a difference comes from: squared standard errors and their degrees of freedom."""

    sessions: float
    """Of sessions alone."""
    seeds: tuple[SeedSpread, ...]
    """Of each of the two variants that has more than one seed."""
    session_freedom: int

    @property
    def total(self) -> float:
        """Of the difference. The seeds' part is at least the noise, which is known well however few the seeds."""
        return self.sessions + max(self.of_seeds, self.noise)

    @property
    def of_seeds(self) -> float:
        return sum(part.variance for part in self.seeds)

    @property
    def noise(self) -> float:
        return sum(part.noise for part in self.seeds)

    def relative_to(self, value: float) -> "Variances":
        """Return the variances of the difference divided by `value`."""
        seeds = tuple(replace(p, variance=p.variance / value**2, noise=p.noise / value**2) for p in self.seeds)
        return replace(self, sessions=self.sessions / value**2, seeds=seeds)

    def half_width(self, tail: np.ndarray | float) -> np.ndarray:
        """Return how far the interval reaches that leaves out `tail` on either side; the shape of `tail`."""
        of_sessions = stdtrit(self.session_freedom, tail) ** 2
        squares = of_sessions * self.sessions
        for part in self.seeds:
            squares = squares + stdtrit(part.freedom, tail) ** 2 * part.variance
        return np.sqrt(np.maximum(squares, of_sessions * (self.sessions + self.noise)))


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
    columns = np.vstack([sums, sizes]).T  # (n_sessions, C + 1): the denominator is resampled with the numerators
    totals = np.empty((n_draws, columns.shape[1]))
    step = max(1, CHUNK // n_sessions)
    for start in range(0, n_draws, step):
        rows = min(step, n_draws - start)
        drawn = rng.integers(n_sessions, size=(rows, n_sessions)) + n_sessions * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * n_sessions).reshape(rows, n_sessions)
        totals[start : start + rows] = weights.astype(np.float64) @ columns
    return totals[:, :-1] / totals[:, -1:]


def session_variance(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Return the squared standard error of the ratio sum(sums) / sum(sizes) over sessions, both (n_sessions,)."""
    n_sessions = len(sizes)
    influence = sums - sums.sum() / sizes.sum() * sizes  # linearises the ratio: what a session adds to it
    return float((influence**2).sum() / sizes.sum() ** 2 * n_sessions / (n_sessions - 1))


def seed_variance(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return the variance of the mean over seeds, and the part of it that is peculiar to a session under a seed.

    `sums` (S, n_sessions) are of one variant with at least two seeds.
    """
    n_seeds, n_events = len(sums), sizes.sum()
    values = sums.sum(axis=1) / n_events
    influence = sums - values[:, None] * sizes
    noise = influence - influence.mean(axis=0)
    return float(values.var(ddof=1) / n_seeds), float((noise**2).sum() / (n_events**2 * n_seeds * (n_seeds - 1)))


def seed_spreads(
    sums: Mapping[Key, np.ndarray], sizes: np.ndarray, apart: Collection[str] = ()
) -> dict[Key, SeedSpread]:
    """Return the spread of every key with more than one seed, moderated by the other variants of its metric.

    Variants in `apart` neither tell about others nor are told about.
    """
    spreads = {}
    for metric in dict.fromkeys(metric for _, metric in sums):
        own = {key: seed_variance(sums[key], sizes) for key in sums if key[1] == metric and len(sums[key]) > 1}
        alike = [key for key in own if key[0] not in apart]
        for group in (alike, *([key] for key in own if key[0] in apart)):
            n_seeds = np.array([len(sums[key]) for key in group])
            of_one_seed, prior = moderate(n_seeds * [own[key][0] for key in group], n_seeds - 1)
            for i, key in enumerate(group):
                n = int(n_seeds[i])
                spreads[key] = SeedSpread(of_one_seed[i] / n, own[key][1], n - 1 + prior[i], prior[i])
    return spreads


def variances(
    better: Key, worse: Key, sums: Mapping[Key, np.ndarray], sizes: np.ndarray, spreads: Mapping[Key, SeedSpread]
) -> Variances:
    """Split the variance of the difference of two variants; a variant differs from itself by nothing."""
    parts = tuple(spreads[key] for key in (better, worse) if key in spreads and better != worse)
    both = session_variance(sums[better].mean(axis=0) - sums[worse].mean(axis=0), sizes)
    return Variances(max(both - sum(part.noise for part in parts), 0.0), parts, len(sizes) - 1)


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
        source = better if _equal(sums[better], sums[worse]) else worse  # equal ranks come from equal runs
        parts = variances(better, source, sums, sizes, spreads)
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


def _equal(better: np.ndarray, worse: np.ndarray) -> bool:
    return better.shape == worse.shape and np.allclose(better, worse, rtol=0, atol=ROUNDING)


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
