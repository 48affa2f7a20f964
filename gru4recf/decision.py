"""From the ranks of every variant to verdicts: the decision rule of the protocol, as `verdict.json` holds it.

A claim says that one variant is better than its rivals, or than the one of them that is best on validation. On one
data set every rival and every metric is one contrast:

Holm's family is all contrasts of all claims, metrics and data sets. The same contrast under two claims counts once;
a contrast and its reverse count as two. Data sets are counted, never pooled.

Each row also says what its design can find at its level of Holm's procedure (`detectable`), and an inconclusive one
what would decide it (`more_evidence`); see `power.py`.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from gru4recf.claims import UNTRAINED, Claim, DatasetRanks, best_of, rivals_of
from gru4recf.errors import StudyError
from gru4recf.intervals import holm, holm_levels, interval, p_equivalence, p_value
from gru4recf.metrics import PRIMARY, per_event
from gru4recf.power import detectable, more_evidence
from gru4recf.statistics import Contrast, bootstrap, session_sums
from gru4recf.verdicts import judge, overall
from gru4recf.wording import needed_sentence, note

TAIL = 25  # so that chance moves the smallest p-values by about a fifth of themselves
DIGITS = 12
FEWER_DIGITS = 6  # of what a root finder returns
Pair = tuple[str, str, str, str]  # data set, better, worse, metric


def compare(
    evidence: Sequence[DatasetRanks],
    claims: Sequence[Claim],
    *,
    metrics: Sequence[str] = PRIMARY,
    n_draws: int = 10_000,
    seed: int = 0,
    alpha: float = 0.05,
    smallest_effect: float = 0.02,
) -> dict:
    """Test every claim on every data set; return the content of `verdict.json` save the study's name.

    The same seed gives the same numbers. A claim is judged where all its variants have ranks. What is not judged stands
    under "undecided", data set -> why. With a large family more than `n_draws` are drawn, so that at Holm's smallest
    level `TAIL` draws still lie beyond each end of an interval, and verdicts do not hang on the seed of the draws; the
    number stands under "settings".

    Raises:
        StudyError: for a name listed twice, and when nothing can be judged.
    """
    _check(evidence, claims, metrics)
    lacking = {(claim.name, data.dataset): _lacking(claim, data) for claim in claims for data in evidence}
    listed = [
        (claim, (data.dataset, best_of(claim.better, data), worse, metric))
        for claim in claims
        for data in evidence
        if not lacking[claim.name, data.dataset]
        for worse in rivals_of(claim, data)
        for metric in metrics
    ]
    family = list(dict.fromkeys(pair for _, pair in listed))
    n_draws = max(n_draws, int(np.ceil(2 * TAIL * len(family) / alpha)))
    contrasts: dict[Pair, Contrast] = {}
    undecided = {data.dataset: _not_judged(data, claims, lacking) for data in evidence}
    for data in evidence:
        try:
            contrasts |= _contrasts(data, [pair for pair in family if pair[0] == data.dataset], n_draws, seed, alpha)
        except StudyError as error:
            undecided[data.dataset] = str(error)
    listed = [(claim, pair) for claim, pair in listed if pair in contrasts]
    family = [pair for pair in family if pair in contrasts]
    if not family:
        raise StudyError(" ".join(undecided.values()))
    tests = _tests(contrasts, family, {data.dataset: data for data in evidence}, alpha, smallest_effect)
    rows = [{"claim": claim.name, **tests[pair]} for claim, pair in listed]
    settings = {"n_draws": n_draws, "seed": seed, "alpha": alpha, "smallest_effect": smallest_effect}
    judged = [claim for claim in claims if any(claim is one for one, _ in listed)]
    return {
        "settings": settings | {"family": len(family), "metrics": list(metrics)},
        "claims": rows,
        "overall": {
            claim.name: overall(claim, [row for row in rows if row["claim"] == claim.name]) for claim in judged
        },
        "undecided": {name: why for name, why in undecided.items() if why},
    }


def _check(evidence: Sequence[DatasetRanks], claims: Sequence[Claim], metrics: Sequence[str]) -> None:
    """Check that there is something to compare, and that no name is taken twice."""
    if not claims or not evidence or not metrics:
        raise StudyError("There is nothing to compare; give a claim, a data set with finished runs, and a metric.")
    for kind, names in (("claim", [claim.name for claim in claims]), ("data set", [data.dataset for data in evidence])):
        name, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise StudyError(f"The {kind} {name!r} is listed {count} times; list each {kind} once.")


def _lacking(claim: Claim, data: DatasetRanks) -> list[str]:
    """Return the variants of a claim that have no ranks on a data set."""
    return [variant for variant in (*claim.better, *claim.worse) if variant not in data.ranks]


def _not_judged(data: DatasetRanks, claims: Sequence[Claim], lacking: Mapping[tuple[str, str], list[str]]) -> str:
    """Return which claims are not judged on a data set and why, empty where all are."""
    missing = {claim.name: names for claim in claims if (names := lacking[claim.name, data.dataset])}
    return "; ".join(
        f"{data.dataset}: {name} is not judged for want of ranks of {', '.join(names)}"
        for name, names in missing.items()
    )


def _contrasts(
    data: DatasetRanks, pairs: Sequence[Pair], n_draws: int, seed: int, alpha: float
) -> dict[Pair, Contrast]:
    """Bootstrap all contrasts of one data set with one resampling.

    Raises:
        StudyError: where a rival's metric is zero, or so small that no relative difference to it can be bounded.
    """
    if not pairs:
        return {}
    keys = [((better, metric), (worse, metric)) for _, better, worse, metric in pairs]
    sums = {
        (variant, metric): session_sums(per_event(metric, ranks), data.codes)
        for variant, ranks in data.ranks.items()
        for metric in dict.fromkeys(metric for *_, metric in pairs)
    }
    for _, (worse, metric) in keys:
        if not sums[worse, metric].any():
            raise StudyError(
                f"{data.dataset}: {worse} has {metric} = 0 on every test event, so no relative difference to it "
                "exists; train it longer or take it out of the claim."
            )
    rng = np.random.default_rng([seed, zlib.crc32(data.dataset.encode())])
    found = bootstrap(sums, np.bincount(data.codes), keys, n_draws=n_draws, rng=rng, apart=UNTRAINED)
    for (_, (worse, metric)), contrast in found.items():
        if not np.isfinite(interval(contrast.relative_draws, alpha)).all():
            raise StudyError(
                f"{data.dataset}: {worse} has so few hits that {metric} is zero in many resamples, and no relative "
                "difference to it can be bounded; make the test part longer, train it longer or take it out of the "
                "claim."
            )
    return {pair: found[key] for pair, key in zip(pairs, keys, strict=True)}


def _tests(
    contrasts: Mapping[Pair, Contrast],
    family: Sequence[Pair],
    evidence: Mapping[str, DatasetRanks],
    alpha: float,
    smallest_effect: float,
) -> dict[Pair, dict]:
    """Return the row of each contrast, without the claim, corrected for the whole family."""
    p_values = np.array([p_value(contrasts[pair].draws) for pair in family])
    corrected = zip(family, p_values, holm(p_values), holm_levels(p_values, alpha), strict=True)
    return {
        pair: _row(pair, contrasts[pair], evidence[pair[0]], alpha, float(level), smallest_effect)
        | {"p_value": float(p), "p_holm": float(p_holm)}
        for pair, p, p_holm, level in corrected
    }


def _row(
    pair: Pair, contrast: Contrast, data: DatasetRanks, alpha: float, level: float, smallest_effect: float
) -> dict[str, object]:
    dataset, better, worse, metric = pair
    low, high = interval(contrast.draws, alpha)
    holm_low, holm_high = interval(contrast.draws, level)
    relative_low, relative_high = interval(contrast.relative_draws, alpha)
    within = -smallest_effect <= relative_low and relative_high <= smallest_effect
    verdict = judge(holm_low, holm_high, within=within)
    n_better, n_worse = len(data.ranks[better]), len(data.ranks[worse])
    variances = contrast.variances.relative_to(contrast.value_worse)
    numbers = {
        "value_better": contrast.value_better,
        "value_worse": contrast.value_worse,
        "seed_sd_better": contrast.seed_sd_better,
        "seed_sd_worse": contrast.seed_sd_worse,
        "difference": contrast.difference,
        "ci_low": low,
        "ci_high": high,
        "ci_holm_low": holm_low,
        "ci_holm_high": holm_high,
        "relative": contrast.relative,
        "relative_low": relative_low,
        "relative_high": relative_high,
        "seed_sd_difference": contrast.seed_sd_difference,
        "relative_error_sessions": np.sqrt(variances.sessions),
        "relative_error_seeds": np.sqrt(variances.of_seeds),
    }
    found = detectable(variances, level)
    more = None
    if verdict == "inconclusive":
        more = more_evidence(contrast.relative, variances, level=level, alpha=alpha, margin=smallest_effect)
    return {
        "dataset": dataset,
        "metric": metric,
        "better": better,
        "worse": worse,
        # what lies beyond may depend on the machine's order of adding
        **{name: round(float(value), DIGITS) for name, value in numbers.items()},
        "p_equivalence": p_equivalence(contrast.relative_draws, smallest_effect),
        "detectable": None if found is None else round(found, FEWER_DIGITS),
        "more_evidence": more and asdict(more) | {"sentence": needed_sentence(more, n_better, n_worse)},
        "n_sessions": data.n_sessions,
        "n_events": len(data.sessions),
        "n_seeds": min(n_better, n_worse),
        "n_seeds_better": n_better,
        "n_seeds_worse": n_worse,
        "note": note(contrast, {better: n_better, worse: n_worse}),
        "within": within,
        "negligible": within and verdict in ("supported", "refuted"),
        "verdict": verdict,
    }
