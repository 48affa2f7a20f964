"""False alarms and power of whole studies, simulated, each decided as a real one is.

    python benchmarks/simulated_studies.py [STUDIES_PER_CELL]        default 200

A study has four variants, two claims (six contrasts with both primary metrics) and one data set of 2,000 test sessions,
or six of them, as a family is corrected as a whole: 36 contrasts, about as many as the default study has. A rank is
drawn from what an event, a session, a variant in a session, a seed of a variant, and an event under a seed add to its
logarithm. Sizes follow the committed report: `seed_spread` is the standard deviation between seeds of MRR@20 in percent
(0.7 as on eshop, 3 is more than on its newest 5%) of a typical variant; variants differ in it as networks do
(`AGREEMENT`, see benchmarks/interval_coverage.py). What came out, noise included, is printed as `seed_sd_percent`, and
the standard error of sessions alone as `session_error_percent`.

* null: no variant differs, so any contrast that is supported or refuted makes the study a false alarm;
* planted: parallel_concat has every metric 5% above all others, who miss an event in 21; found where its claim is
  supported on a data set, which takes all four of its contrasts there;
* detectable: what the null studies call detectable (root mean square, per metric), and the share of their contrasts
  that are found when that difference is added to the estimate, on either side; 80% or more, as the mean over networks
  that spread differently is above what most of them need.
"""

import sys
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from gru4recf.claims import Claim, DatasetRanks
from gru4recf.decision import compare

N_SESSIONS, N_DRAWS, EFFECT = 2000, 2000, 0.05
SEEDS, SPREADS = (3, 5, 10), (0.7, 3.0)
LARGE_FAMILY = (5, 0.7, 6)  # seeds, spread and data sets of one design more, which takes as long as all others
FUSIONS = ("parallel_concat", "concat_input", "weighted_sum")
CLAIMS = (Claim("best", "", FUSIONS[:1], FUSIONS[1:]), Claim("pays", "", FUSIONS, ("id_only",)))
OF_LOG_RANK = {"mean": 2.1, "event": 1.6, "session": 0.6, "variant_in_session": 0.05, "event_under_seed": 0.45}
AGREEMENT = 4.0  # degrees of freedom of the chi2 that a true variance between seeds is an inverse of
PER_PERCENT = 0.0165  # what changes MRR@20 by a percent, in units of the logarithm of a rank


@dataclass(frozen=True)
class Design:
    """What a simulated study is drawn from."""

    n_seeds: int
    seed_spread: float
    effect: float = 0.0
    n_sessions: int = N_SESSIONS
    n_datasets: int = 1


def simulated(design: Design, rng: np.random.Generator, name: str = "simulated") -> DatasetRanks:
    """Return the ranks on one data set; `effect` is the true relative difference of the first variant to all others."""
    sessions = np.repeat(np.arange(design.n_sessions), rng.geometric(0.25, design.n_sessions))
    n_events, size = len(sessions), OF_LOG_RANK
    shared = (
        rng.normal(size["mean"], size["event"], n_events) + rng.normal(0, size["session"], design.n_sessions)[sessions]
    )
    missed = rng.random(n_events) < 1 - 1 / (1 + design.effect)
    ranks = {}
    for variant in (*FUSIONS, "id_only"):
        own = rng.normal(0, size["variant_in_session"], design.n_sessions)[sessions]
        spread = design.seed_spread * np.sqrt(AGREEMENT / rng.chisquare(AGREEMENT))
        of_seed = rng.normal(0, PER_PERCENT * spread, (design.n_seeds, 1))
        of_event = rng.normal(0, size["event_under_seed"], (design.n_seeds, n_events))
        drawn = np.maximum(1, np.round(np.exp(shared + own + of_seed + of_event)))
        ranks[variant] = drawn if variant == FUSIONS[0] else np.where(missed, np.inf, drawn)
    best = dict.fromkeys(FUSIONS, 0.1) | ({FUSIONS[0]: 0.2} if design.effect else {FUSIONS[rng.integers(3)]: 0.2})
    return DatasetRanks(name, sessions, ranks, best)


def decided(design: Design, n_studies: int, *, n_draws: int = N_DRAWS) -> list[dict]:
    """Return the verdicts of studies; the same design gives the same ones."""
    rng = np.random.default_rng([design.n_seeds, round(1000 * design.seed_spread), round(1e6 * design.effect)])
    names = [f"simulated-{number}" for number in range(design.n_datasets)]
    studies = ([simulated(design, rng, name) for name in names] for _ in range(n_studies))
    return [compare(study, CLAIMS, n_draws=n_draws) for study in studies]


def false_alarms(verdicts: list[dict]) -> int:
    """Return how many studies have a contrast that is supported or refuted."""
    return sum(any(row["verdict"] in ("supported", "refuted") for row in v["claims"]) for v in verdicts)


def found(verdicts: list[dict]) -> int:
    """Return on how many data sets studies support the claim that the first fusion is best."""
    return sum(one["verdict"] == "supported" for v in verdicts for one in v["overall"]["best"]["datasets"].values())


def share(count: int, n: int) -> dict[str, float]:
    """Return a share with its exact 95% binomial interval, in percent."""
    low, high = binomtest(count, n).proportion_ci(method="exact")
    return {"percent": round(100 * count / n, 1), "low": round(100 * low, 1), "high": round(100 * high, 1)}


def spreads(verdicts: list[dict]) -> dict[str, float]:
    """Return what one variant's seeds and the sessions' part of a contrast came to, MRR@20, in percent of the value."""
    rows = [row for v in verdicts for row in v["claims"] if row["metric"] == "MRR@20"]
    seeds = np.sqrt(np.mean([(row["seed_sd_worse"] / row["value_worse"]) ** 2 for row in rows]))
    sessions = np.sqrt(np.mean([row["relative_error_sessions"] ** 2 for row in rows]))
    return {"seed_sd_percent": round(100 * float(seeds), 2), "session_error_percent": round(100 * float(sessions), 2)}


def at_detectable(null: list[dict]) -> dict[str, dict]:
    """Add to the estimates of null studies what they call detectable, and return how often it is found, per metric."""
    parts = {}
    for metric in ("Recall@20", "MRR@20"):
        rows = [row for v in null for row in v["claims"] if row["metric"] == metric]
        effect = float(np.sqrt(np.mean([row["detectable"] ** 2 for row in rows])))
        above = [row["ci_holm_low"] + effect * row["value_worse"] > 0 for row in rows]
        below = [row["ci_holm_high"] - effect * row["value_worse"] < 0 for row in rows]
        parts[metric] = {
            "effect_percent": round(100 * effect, 2),
            "found_percent": round(100 * float(np.mean(above + below)), 1),
        }
    return parts


def measured(n_seeds: int, spread: float, n_datasets: int, n_studies: int) -> dict:
    null = decided(Design(n_seeds, spread, n_datasets=n_datasets), n_studies)
    planted = decided(Design(n_seeds, spread, EFFECT, n_datasets=n_datasets), n_studies)
    cell = {
        "n_seeds": n_seeds,
        "seed_spread": spread,
        "contrasts": 6 * n_datasets,
        **spreads(null),
        "false_alarms": share(false_alarms(null), n_studies),
        "found": share(found(planted), n_studies * n_datasets),
        "detectable": at_detectable(null),
    }
    print(cell, flush=True)
    return cell


def main() -> None:
    from machine import save  # only here: it loads torch, and tests use the rest

    n_studies = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    designs = [*((n_seeds, spread, 1) for spread in SPREADS for n_seeds in SEEDS), LARGE_FAMILY]
    cells = [measured(*design, n_studies) for design in designs]
    study = {"sessions": N_SESSIONS, "draws": N_DRAWS, "planted_percent": 100 * EFFECT}
    save("simulated_studies", {"studies_per_cell": n_studies, **study, "cells": cells})


if __name__ == "__main__":
    main()
