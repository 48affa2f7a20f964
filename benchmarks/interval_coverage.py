"""How often the interval of a difference holds the true one, in simulated studies whose truth is known.

    python benchmarks/interval_coverage.py [STUDIES_PER_CELL]        default 1000

A study has seven networks that do not differ, and 2,000 sessions; the interval is that of the first against the second.
A cell is a number of seeds, the standard deviation between seeds over the standard error of sessions ("seed_spread"),
the variance of session-by-seed noise over that of sessions ("noise"), and how far the networks agree in both of the
seeds' parts ("agreement": Smyth's prior degrees of freedom, none where all have the same). The cells of "practice" have
the spreads met in the committed default report, per data set and metric, on average over all pairs of its networks, and
the agreement of the networks in the long study's report, over all its data sets and metrics. A cell is "within"
where its count lies in the central 99% of the binomial distribution for 95%. "missed" counts intervals at Holm's first
level in a family of 18, .28%. "met" also has the mean correlation of two networks over equally numbered seeds.

"seeds_alone" is the hardest case, no variance between sessions, at the smaller levels of larger families and without
bootstrap: how many times more often than it should an interval misses, for few and many networks, for less and more
agreement, and where the first network's seeds spread five times as far as it would. "unlimited" is the same with
Smyth's estimate taken as it is, without the limit `moderation.MOST_PRIOR`, and "own" with each variance by itself.
"""

import itertools
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import digamma, ndtr, polygamma, stdtrit
from scipy.stats import binom

from gru4recf import moderation
from gru4recf.evidence import rank_matrix, trained_networks
from gru4recf.intervals import interval
from gru4recf.metrics import PRIMARY, per_event
from gru4recf.statistics import bootstrap, session_sums
from gru4recf.variances import seed_variance, session_variance

N_SESSIONS, N_NETWORKS, N_DRAWS, AT_ONCE, SESSION_SD = 2000, 7, 4000, 50, 0.1
SEEDS, SPREADS, NOISES, AGREEMENTS = (1, 2, 3, 5, 10), (0.0, 1.0, 5.0), (0.0, 10.0), (2.0, None)
SEEDS_OF_DESIGNS = (3, 5, 10)
HOLM = 0.05 / 18
LEVELS = {"95%": 0.05, "first of 18": HOLM, "first of 42": 0.05 / 42, "first of 214": 0.05 / 214}
OF_NETWORKS = (2, 3, 7, 11)
REPORTS = Path(__file__).parents[1] / "reports"
RANKS = REPORTS / "default" / "ranks"
RANKS_OF_AGREEMENT = REPORTS / "full" / "ranks"


def intervals_of(
    n_seeds: int, spread: float, noise: float, agreement: float | None, n_studies: int, n_sessions: int = N_SESSIONS
) -> dict[str, np.ndarray]:
    """Return, per kind of draws, the ends of the intervals at 95% and at `HOLM`, (n_studies, 2, 2); the truth is 0."""
    rng = np.random.default_rng([n_seeds, round(1000 * spread), round(1000 * noise), round(1000 * (agreement or 0))])
    ends: dict[str, list] = {"draws": [], "relative_draws": []}
    for _ in range(n_studies // AT_ONCE):
        sizes = 1 + rng.geometric(0.25, n_sessions)
        level = rng.beta(0.5, 1.3, n_sessions) * sizes
        error = SESSION_SD * np.sqrt((sizes**2).sum() * (1 + noise / n_seeds)) / sizes.sum()
        sums = {}
        for study, network in itertools.product(range(AT_ONCE), range(N_NETWORKS)):
            own = 0.5 * (1 if agreement is None else agreement / rng.chisquare(agreement))  # half of a difference's
            of_session = SESSION_SD * np.sqrt(0.5) * (rng.standard_exponential(n_sessions) - 1)
            of_seed = rng.normal(0, np.sqrt(own) * spread * error, (n_seeds, 1))
            of_both = SESSION_SD * np.sqrt(own * noise) * rng.standard_normal((n_seeds, n_sessions))
            sums[f"{network}", f"{study}"] = level + (of_session + of_seed + of_both) * sizes
        pairs = [(("0", f"{study}"), ("1", f"{study}")) for study in range(AT_ONCE)]
        for contrast in bootstrap(sums, sizes, pairs, n_draws=N_DRAWS, rng=rng).values():
            for kind, found in ends.items():
                found.append([interval(getattr(contrast, kind), alpha) for alpha in (0.05, HOLM)])
    return {kind: np.array(found) for kind, found in ends.items()}


def coverage(*cell: float | None, n_studies: int) -> dict[str, float | str]:
    """Return the share of studies, in percent, whose interval holds the truth, judged, and what misses at `HOLM`."""
    ends = intervals_of(*cell, n_studies)["draws"]
    held, held_at_holm = ((ends[:, :, 0] <= 0) & (ends[:, :, 1] >= 0)).sum(axis=0)
    n = len(ends)
    low, high = binom.ppf([0.005, 0.995], n, 0.95)
    return {
        "coverage_percent": round(100 * float(held) / n, 1),
        "judged": "below" if held < low else "above" if held > high else "within",
        "missed_percent": round(100 - 100 * float(held_at_holm) / n, 2),
        "too_many_missed": bool(n - held_at_holm > binom.ppf(0.995, n, HOLM)),
    }


def missed_times(
    n_seeds: int, n_networks: int, agreement: float | None, larger: float, n_studies: int, *, own: bool = False
) -> dict[str, float]:
    """Return how often intervals miss over how often they should, per level; nothing but seeds varies.

    The first network is compared with the second; its true variance is `larger` times as large. With `own` every
    variance stands by itself.
    """
    rng = np.random.default_rng([n_seeds, n_networks, round(1000 * (agreement or 0)), round(larger)])
    freedom = np.full(n_networks, n_seeds - 1)
    chances = []
    for _ in range(n_studies):
        true = np.ones(n_networks) if agreement is None else agreement / rng.chisquare(agreement, n_networks)
        true[0] *= larger
        found = true * rng.chisquare(freedom) / freedom
        variances, prior = (found, np.zeros(n_networks)) if own else moderation.moderate(found, freedom)
        students = stdtrit((freedom + prior)[:2, None], np.array(list(LEVELS.values())) / 2)
        half_widths = np.sqrt((students**2 * variances[:2, None]).sum(axis=0))
        chances.append(2 * ndtr(-half_widths / np.sqrt(true[:2].sum())))
    ratios = np.mean(chances, axis=0) / list(LEVELS.values())
    return {name: round(float(ratio), 2) for name, ratio in zip(LEVELS, ratios, strict=True)}


def told(n_seeds: int, n_networks: int, agreement: float | None, larger: float, n_studies: int) -> dict:
    cell = (n_seeds, n_networks, agreement, larger, n_studies)
    with mock.patch.object(moderation, "MOST_PRIOR", 1e4):
        unlimited = missed_times(*cell)
    names = {"n_seeds": n_seeds, "networks": n_networks, "agreement": agreement, "first_variance": larger}
    ratios = {"missed_times": missed_times(*cell), "unlimited": unlimited, "own": missed_times(*cell, own=True)}
    print(names, ratios, flush=True)
    return names | ratios


def spreads_met(frame: pd.DataFrame, metric: str) -> tuple[float, float, float]:
    """Return what one session, one seed, and one session under one seed add to the variance of a difference."""
    codes = pd.factorize(frame["session"])[0]
    sizes = np.bincount(codes).astype(float)
    sums = [session_sums(per_event(metric, rank_matrix(frame, v)), codes) for v in trained_networks(frame)]
    parts = [seed_variance(values, sizes) for values in sums]
    found = []
    for a, b in itertools.combinations(range(len(sums)), 2):
        of_both = parts[a][1] + parts[b][1]
        of_sessions = session_variance(sums[a].mean(axis=0) - sums[b].mean(axis=0), sizes) - of_both
        found.append([of_sessions, parts[a][0] + parts[b][0] - of_both, of_both])
    of_sessions, of_seeds, of_both = np.mean(found, axis=0)
    n_seeds = len(sums[0])
    return of_sessions * len(sizes), max(of_seeds, 0.0) * n_seeds, of_both * len(sizes) * n_seeds


def agreement_met() -> tuple[float, int]:
    """Return Smyth's d0 over all data sets and metrics of the long study together, each with a level of its own, and
    the number of variances it is from.
    """
    squares, n, of_luck, freedom = 0.0, 0, 0.0, 0
    for path, metric in itertools.product(sorted(RANKS_OF_AGREEMENT.glob("*.parquet")), PRIMARY):
        frame = pd.read_parquet(path)
        values = [per_event(metric, rank_matrix(frame, v)).mean(axis=1) for v in trained_networks(frame)]
        half = np.array([(len(v) - 1) / 2 for v in values])
        logarithms = np.log([v.var(ddof=1) for v in values]) - digamma(half) + np.log(half)
        squares += ((logarithms - logarithms.mean()) ** 2).sum()
        of_luck += polygamma(1, half).sum()
        n, freedom = n + len(values), freedom + len(values) - 1
    true = squares / freedom - of_luck / n
    return 2 * brentq(lambda half: polygamma(1, half) - true, 1e-3, 1e6), n


def correlation_met() -> float:
    """Return how the values of two networks under one number of a seed go together in the long study, on average."""
    found = []
    for path, metric in itertools.product(sorted(RANKS_OF_AGREEMENT.glob("*.parquet")), PRIMARY):
        frame = pd.read_parquet(path)
        values = np.array([per_event(metric, rank_matrix(frame, v)).mean(axis=1) for v in trained_networks(frame)])
        pairs = np.corrcoef(values)[np.triu_indices(len(values), 1)]
        found.append(pairs.mean())
    return float(np.mean(found))


def practice_cells(agreement: float) -> list[dict]:
    """Return the cells of the committed report's data sets and metrics, for every number of seeds a study uses."""
    cells = []
    for path, metric in itertools.product(sorted(RANKS.glob("*.parquet")), PRIMARY):
        frame = pd.read_parquet(path)
        if len(trained_networks(frame)) < N_NETWORKS:
            continue  # generated ones
        session, seed, both = spreads_met(frame, metric)
        for n_seeds in SEEDS_OF_DESIGNS:
            error = np.sqrt((session + both / n_seeds) / frame["session"].nunique())
            spread = {"seed_spread": round(float(np.sqrt(seed) / error), 2), "noise": round(float(both / session), 2)}
            names = {"dataset": path.stem, "metric": metric, "n_seeds": n_seeds}
            cells.append({**names, **spread, "agreement": round(agreement, 1)})
    return cells


def measured(cell: dict, n_studies: int) -> dict:
    numbers = [cell[name] for name in ("n_seeds", "seed_spread", "noise", "agreement")]
    cell = {**cell, **coverage(*numbers, n_studies=n_studies)}
    print(cell, flush=True)
    return cell


def main() -> None:
    n_studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    agreement, n_variances = agreement_met()
    practice = [measured(cell, n_studies) for cell in practice_cells(agreement)]
    grid = [
        {"n_seeds": n_seeds, "seed_spread": spread, "noise": noise, "agreement": agree}
        for n_seeds, spread, noise, agree in itertools.product(SEEDS, SPREADS, NOISES, AGREEMENTS)
        if n_seeds > 1 or (spread == 0 and agree is None)
    ]
    cells = [measured(cell, n_studies) for cell in grid]
    seeds_alone = [
        told(n_seeds, n_networks, agree, larger, n_studies)
        for n_seeds, n_networks, agree in itertools.product(SEEDS_OF_DESIGNS, OF_NETWORKS, (2.0, 4.0, None))
        for larger in ((1.0, 25.0) if n_networks > 3 and agree is None else (1.0,))
    ]
    met = {"agreement": round(agreement, 2), "variances": n_variances, "correlation": round(correlation_met(), 3)}
    study = {"studies_per_cell": n_studies, "networks": N_NETWORKS, "sessions": N_SESSIONS, "met": met}
    from machine import save  # only here: it loads torch, and tests use the rest

    save("coverage", {**study, "practice": practice, "cells": cells, "seeds_alone": seeds_alone})


if __name__ == "__main__":
    main()
