"""How often the 95% interval of a difference holds the true one, in simulated studies whose truth is known.

    python benchmarks/coverage.py [STUDIES_PER_CELL]        default 1000

A study has 2,000 sessions and paired seeds. A cell is a number of seeds, the standard deviation between seeds over the
standard error of sessions ("seed_spread"), and the variance of session-by-seed noise over that of sessions ("noise").
The cells of "practice" have the spreads met in the committed report, per data set and metric, on average over all pairs
of its networks. A cell is "within" where its count lies in the central 99% of the binomial distribution for 95%.
"""

import itertools
import sys

import numpy as np
import pandas as pd
from machine import REPORTS, save
from scipy.stats import binom

from gru4recf.evidence import rank_matrix
from gru4recf.intervals import interval
from gru4recf.metrics import PRIMARY, per_event
from gru4recf.statistics import bootstrap, session_sums, variances

N_SESSIONS, N_DRAWS, AT_ONCE, SESSION_SD = 2000, 2000, 100, 0.1
SEEDS, SPREADS, NOISES = (1, 2, 3, 5, 10), (0.0, 1.0, 2.0, 5.0), (0.0, 10.0)
SEEDS_OF_DESIGNS = (3, 5, 10)
RANKS = REPORTS.parent / "default" / "ranks"


def coverage(n_seeds: int, spread: float, noise: float, n_studies: int) -> dict[str, float | str]:
    """Return the share of studies, in percent, whose interval holds a true difference of zero, judged."""
    rng = np.random.default_rng([n_seeds, round(1000 * spread), round(1000 * noise)])
    held = 0
    for _ in range(n_studies // AT_ONCE):
        sizes = 1 + rng.geometric(0.25, N_SESSIONS)
        level = np.broadcast_to(rng.beta(0.5, 1.3, N_SESSIONS) * sizes, (n_seeds, N_SESSIONS))
        error = SESSION_SD * np.sqrt((sizes**2).sum() * (1 + noise / n_seeds)) / sizes.sum()
        sums = {"worse": level}
        for study in range(AT_ONCE):
            of_session = SESSION_SD * (rng.standard_exponential(N_SESSIONS) - 1)
            of_seed = rng.normal(0, spread * error, (n_seeds, 1))
            of_both = SESSION_SD * np.sqrt(noise) * rng.standard_normal((n_seeds, N_SESSIONS))
            sums[study] = level + (of_session + of_seed + of_both) * sizes
        pairs = [(study, "worse") for study in range(AT_ONCE)]
        for contrast in bootstrap(sums, sizes, pairs, n_draws=N_DRAWS, rng=rng).values():
            low, high = interval(contrast.draws)
            held += low <= 0 <= high
    n = n_studies // AT_ONCE * AT_ONCE
    low, high = binom.ppf([0.005, 0.995], n, 0.95)
    judged = "below" if held < low else "above" if held > high else "within"
    return {"coverage_percent": round(100 * held / n, 1), "judged": judged}


def spreads_met(frame: pd.DataFrame, metric: str) -> tuple[float, float, float]:
    """Return what one session, one seed, and one session under one seed add to the variance of a difference."""
    counts = pd.Series([name.rsplit("/", 1)[0] for name in frame.columns if "/" in name]).value_counts()
    networks = [name.split("/") for name in counts.index[counts > 1]]
    codes = pd.factorize(frame["session"])[0]
    sums = [session_sums(per_event(metric, rank_matrix(frame, *name)), codes) for name in networks]
    found = []
    for a, b in itertools.combinations(sums, 2):
        parts = variances(a, b, np.bincount(codes).astype(float))
        found.append(np.array([parts.sessions, parts.seeds[0] - parts.noise[0], parts.noise[0]]))
    of_sessions, of_seeds, of_both = np.mean(found, axis=0)
    n_sessions, n_seeds = codes.max() + 1, len(sums[0])
    return of_sessions * n_sessions, max(of_seeds, 0.0) * n_seeds, of_both * n_sessions * n_seeds


def practice_cells() -> list[dict]:
    """Return the cells of the committed report's data sets and metrics, for every number of seeds a study uses."""
    cells = []
    for path, metric in itertools.product(sorted(RANKS.glob("*.parquet")), PRIMARY):
        frame = pd.read_parquet(path)
        session, seed, both = spreads_met(frame, metric)
        for n_seeds in SEEDS_OF_DESIGNS:
            error = np.sqrt((session + both / n_seeds) / frame["session"].nunique())
            spread = {"seed_spread": round(float(np.sqrt(seed) / error), 2), "noise": round(float(both / session), 2)}
            cells.append({"dataset": path.stem, "metric": metric, "n_seeds": n_seeds, **spread})
    return cells


def measured(cell: dict, n_studies: int) -> dict:
    cell = {**cell, **coverage(cell["n_seeds"], cell["seed_spread"], cell["noise"], n_studies)}
    print(cell, flush=True)
    return cell


def main() -> None:
    n_studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    practice = [measured(cell, n_studies) for cell in practice_cells()]
    grid = [
        measured({"n_seeds": n_seeds, "seed_spread": spread, "noise": noise}, n_studies)
        for n_seeds, spread, noise in itertools.product(SEEDS, SPREADS, NOISES)
        if n_seeds > 1 or spread == 0
    ]
    save("coverage", {"studies_per_cell": n_studies, "practice": practice, "cells": grid})


if __name__ == "__main__":
    main()
