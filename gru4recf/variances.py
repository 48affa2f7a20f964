"""Where the uncertainty of a difference comes from, and how wide an interval it asks for.

Sessions are drawn, and seeds are. What is peculiar to a session under a seed is counted once, with the seeds, because
the spread of the seeds' values holds it; the variance of sessions alone is smaller by as much (analysis of variance:
Searle, Casella & McCulloch 1992, Variance Components). The variance of a network's seeds is drawn towards those of the
others (`moderation.py`).

Each of the variances is known from few or many degrees of freedom, and each gets its own Student factor: the
interval reaches sqrt(t(sessions - 1)^2 variance of sessions + sum of t(freedom)^2 variance of seeds) to both sides
(Banerjee 1960, J. Am. Stat. Assoc. 55(292), who proves that it then holds the truth at least as often as it says, at
every level; one common factor by Satterthwaite's rule raises false alarms severalfold at the small levels of Holm's
correction). Few seeds may agree by luck, but what is peculiar to a session under a seed is known from all sessions: the
interval is never narrower than the sessions alone would make it for the seeds that were run.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from gru4recf.moderation import moderate

ROUNDING = 1e-12  # metrics lie in [0, 1]; a smaller difference is the order of a sum, not a result

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

    Variants in `apart` neither tell about others nor are told about. Equal runs under two names, as where the tuned
    width of two variants is the same, tell once.
    """
    spreads = {}
    for metric in dict.fromkeys(metric for _, metric in sums):
        own = {key: seed_variance(sums[key], sizes) for key in sums if key[1] == metric and len(sums[key]) > 1}
        alike = [key for key in own if key[0] not in apart]
        first = {key: next(other for other in alike if equal(sums[key], sums[other])) for key in alike}
        for group in (list(dict.fromkeys(first.values())), *([key] for key in own if key[0] in apart)):
            n_seeds = np.array([len(sums[key]) for key in group])
            of_one_seed, prior = moderate(n_seeds * [own[key][0] for key in group], n_seeds - 1)
            for i, key in enumerate(group):
                n = int(n_seeds[i])
                spreads[key] = SeedSpread(of_one_seed[i] / n, own[key][1], n - 1 + prior[i], prior[i])
        spreads |= {key: spreads[other] for key, other in first.items()}
    return spreads


def variances_between(
    better: Key, worse: Key, sums: Mapping[Key, np.ndarray], sizes: np.ndarray, spreads: Mapping[Key, SeedSpread]
) -> Variances:
    """Split the variance of the difference of two variants; a variant differs from itself by nothing."""
    parts = tuple(spreads[key] for key in (better, worse) if key in spreads and better != worse)
    both = session_variance(sums[better].mean(axis=0) - sums[worse].mean(axis=0), sizes)
    return Variances(max(both - sum(part.noise for part in parts), 0.0), parts, len(sizes) - 1)


def equal(better: np.ndarray, worse: np.ndarray) -> bool:
    """Return whether two variants have the same sums, (S, n_sessions): those of equal ranks."""
    return better.shape == worse.shape and np.allclose(better, worse, rtol=0, atol=ROUNDING)
