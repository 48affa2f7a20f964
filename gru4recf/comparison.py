"""From a study's evidence to what its notebooks show: the verdict, and frames for tables and figures.

Nothing is decided here: the rule is in `decision.py`, the intervals in `statistics.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gru4recf.claims import UNTRAINED, Claim, DatasetRanks
from gru4recf.decision import compare
from gru4recf.errors import StudyError
from gru4recf.evidence import Evidence, datasets_of, rank_matrix
from gru4recf.intervals import interval
from gru4recf.metrics import PRIMARY, per_event
from gru4recf.models import BASELINES, NETWORKS
from gru4recf.statistics import bootstrap, session_sums

N_DRAWS = 10_000
FLOOR = "popularity"
OF_TRAINING_PART = {"train_fraction", "learning_rate", "batch_size", "n_epochs", "patience"}
"""Settings that go with the size of the training part; data sets that differ in these alone are drawn as one line."""


def claims_of(evidence: Evidence) -> list[Claim]:
    """Return the study's claims.

    Raises:
        StudyError: when none has results for all its variants.
    """
    claims = [
        Claim(claim["name"], claim["text"], tuple(claim["better"]), tuple(claim["worse"]), claim["against"])
        for claim in evidence.study["claims"]
    ]
    known = set(evidence.variants)
    if not any(known.issuperset([*claim.better, *claim.worse]) for claim in claims):
        raise StudyError(
            f"Study {evidence.study['name']} has results for {', '.join(evidence.variants)} and no claim about these "
            "alone; add the other variants of a claim to `variants`."
        )
    return claims


def dataset_ranks(evidence: Evidence, label: str) -> DatasetRanks:
    """Return what a comparison reads of one data set: sessions, ranks per variant, validation means."""
    frame, runs = evidence.ranks[label], evidence.results[evidence.results["dataset"] == label]
    validation = runs[runs["metric"] == "MRR@20"].groupby("variant")["validation"].mean()
    variants = [variant for variant in evidence.variants if variant in validation.index]
    return DatasetRanks(
        dataset=label,
        sessions=frame["session"].to_numpy(),
        ranks={variant: rank_matrix(frame, variant) for variant in variants},
        validation=validation.to_dict(),
    )


def decide(evidence: Evidence) -> dict[str, Any]:
    """Return the content of `verdict.json`: every contrast with its interval, and the verdict on every claim.

    Claims that cannot be judged somewhere, because a variant was not run or its runs failed, are named under
    "undecided". Generated data sets are controls, and no claim is about them.

    Raises:
        StudyError: when nothing can be judged.
    """
    measured = [dataset_ranks(evidence, label) for label in evidence.real]
    compared = compare(measured, claims_of(evidence), n_draws=N_DRAWS)
    return {
        "study": evidence.study["name"],
        "sources": {label: source(evidence, label) for label in evidence.real},
    } | compared


def variant_summary(evidence: Evidence, metrics: Sequence[str] = PRIMARY) -> pd.DataFrame:
    """Return the mean of each variant on each data set with its 95% interval over sessions and seeds.

    Columns: dataset, variant, metric, value, low, high, n_seeds, events_per_item, family.
    """
    rows = []
    for label in evidence.real:
        facts = {"events_per_item": events_per_item(evidence, label), "family": family(evidence, label)}
        variants = list(dataset_ranks(evidence, label).ranks)
        rows += [{"dataset": label, **row, **facts} for row in means(evidence, label, variants, metrics)]
    return pd.DataFrame(rows)


def family(evidence: Evidence, label: str) -> str:
    """Return what data sets have in common that differ in their training part only: the data's name, or the label of
    one that the study treats otherwise (other items, another loss).
    """
    if set(datasets_of(evidence.study)[label]["settings"]) - OF_TRAINING_PART:
        return label
    return source(evidence, label)


def source(evidence: Evidence, label: str) -> str:
    """Return the name of the data that a data set of a study is a part or a setting of."""
    return Path(evidence.datasets["available"][label]["dataset"]).name


def events_per_item(evidence: Evidence, label: str) -> float:
    """Return the training events of a data set per item of its catalogue."""
    counts = evidence.datasets["available"][label]["counts"]
    return counts["train events"] / counts["items"]


def means(
    evidence: Evidence, label: str, variants: Sequence[str], metrics: Sequence[str] = PRIMARY, alpha: float = 0.05
) -> list[dict[str, Any]]:
    """Return the mean of each variant and metric with its interval of level 1 - `alpha`: its difference to a variant
    that is always 1.
    """
    data = dataset_ranks(evidence, label)
    sizes = np.bincount(data.codes)
    sums = {
        (variant, metric): session_sums(per_event(metric, data.ranks[variant]), data.codes)
        for variant in variants
        for metric in metrics
    }
    pairs = [(key, ("one", key[1])) for key in sums]
    ones = {("one", metric): sizes[None, :] for metric in metrics}
    draws = {"n_draws": N_DRAWS // 5, "rng": np.random.default_rng(0)}
    found = bootstrap(sums | ones, sizes, pairs, **draws, apart=UNTRAINED)
    rows = []
    for ((variant, metric), _), contrast in found.items():
        low, high = interval(contrast.draws, alpha)
        row = {"variant": variant, "metric": metric, "value": contrast.value_better, "low": 1 + low, "high": 1 + high}
        rows.append({**row, "n_seeds": len(data.ranks[variant])})
    return rows


def between_networks(verdict: dict[str, Any], *, baselines: bool = False) -> pd.DataFrame:
    """Return the contrasts of a verdict between networks, or with `baselines` those against simple baselines."""
    rows = pd.DataFrame(verdict["claims"])
    return rows[rows["worse"].isin(BASELINES) == baselines]


def of_networks(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the floor and of the networks that are no controls: what fits into a figure of lines."""
    return frame[frame["variant"].isin([*NETWORKS, FLOOR])]


def results_table(evidence: Evidence, metrics: Sequence[str] = PRIMARY) -> pd.DataFrame:
    """Return one row per data set and variant: mean and standard deviation over seeds, sizes and epochs."""
    runs = evidence.results[evidence.results["metric"].isin(metrics)]
    by = ["dataset", "variant"]
    values = runs.groupby([*by, "metric"], sort=False)[["value", "value_all_targets"]].agg(["mean", "std"])
    text = values["value"].apply(lambda v: _with_spread(v["mean"], v["std"]), axis=1).unstack("metric")[list(metrics)]
    missed = values["value_all_targets"]["mean"].unstack("metric")[list(metrics)]
    missed.columns = [f"{metric} of all targets" for metric in metrics]
    facts = runs.groupby(by, sort=False).agg(
        parameters=("n_parameters", "first"),
        seeds=("seed", "nunique"),
        epochs=("best_epoch", lambda v: f"{v.min()} to {v.max()}" if v.min() < v.max() else f"{v.min()}"),
        at_limit=("at_epoch_limit", "any"),
    )
    facts["parameters"] = facts["parameters"].map("{:,}".format)
    facts = facts.rename(columns={"epochs": "best epoch", "at_limit": "at epoch limit"})
    return pd.concat([text, missed.map("{:.4f}".format), facts], axis=1).reindex(_order(evidence, runs))


def contrasts_table(verdict: dict[str, Any]) -> pd.DataFrame:
    """Return the contrasts of a verdict as a reader wants them: effect, its spread between seeds, interval, test,
    correction, the least true difference that this design finds four times out of five, verdict.
    """
    rows = pd.DataFrame(verdict["claims"])
    relative, low, high = (rows[c].map("{:+.1%}".format) for c in ("relative", "relative_low", "relative_high"))
    return pd.DataFrame(
        {
            "claim": rows["claim"],
            "data set": rows["dataset"],
            "better": rows["better"],
            "worse": rows["worse"],
            "metric": rows["metric"],
            "difference": rows["difference"].map("{:+.4f}".format),
            "sd over seeds": rows["seed_sd_difference"].map("{:.4f}".format),
            "relative [95%]": relative + " [" + low + ", " + high + "]",
            "p": rows["p_value"].map("{:.4f}".format),
            "p (Holm)": rows["p_holm"].map("{:.4f}".format),
            "detectable": rows["detectable"].map("{:.1%}".format, na_action="ignore").fillna("none"),
            "verdict": rows["verdict"],
        }
    )


def _with_spread(mean: float, deviation: float) -> str:
    return f"{mean:.4f}" if np.isnan(deviation) else f"{mean:.4f} ± {deviation:.4f}"


def _order(evidence: Evidence, runs: pd.DataFrame) -> pd.MultiIndex:
    present = set(zip(runs["dataset"], runs["variant"], strict=True))
    pairs = [(label, variant) for label in evidence.ranks for variant in evidence.variants]
    return pd.MultiIndex.from_tuples([pair for pair in pairs if pair in present], names=["data set", "variant"])
