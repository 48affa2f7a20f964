"""What limits a study, in whole sentences: what a reader must know before believing its verdict."""

from typing import Any

import numpy as np

from gru4recf.comparison import source
from gru4recf.evidence import Evidence, datasets_of
from gru4recf.models import BASELINES
from gru4recf.plan import by_reason
from gru4recf.searched import open_questions

FEW_SEEDS = 5
FALLEN = 0.2
"""By how much less a seed has, beside its variant's others, on test than on validation before a reader is told."""


def limits(evidence: Evidence, verdict: dict[str, Any]) -> str:
    """Return what a reader must know before believing the verdict: few seeds, missing data sets, unfinished runs, what
    the search for settings leaves open.
    """
    runs, notes = runs_made(evidence), []
    if runs["made"] < runs["planned"]:
        begun = sorted(set(runs["without"]) - set(evidence.datasets["unavailable"]), key=runs["without"].index)
        notes.append(made(runs) + f" None yet on {', '.join(begun)}." * bool(begun))
    sources = [source(evidence, label) for label in evidence.real]
    if several := [name for name in dict.fromkeys(sources) if sources.count(name) > 1]:
        notes.append(
            f"Parts and settings of one source ({', '.join(several)}) share their test sessions: what comes out alike "
            "on them is less evidence than on as many shops."
        )
    notes.append(_one_training_part(evidence))
    if evidence.study["seeds"] < FEW_SEEDS:
        notes.append(_few_seeds(evidence.study["seeds"]))
    if fewer := _unfinished(evidence):
        told = ", ".join(f"{label} {n}" for label, n in fewer.items())
        notes.append(f"Not all of the {evidence.study['seeds']} seeds are made: {told}.")
    if cut := _at_limit(evidence):
        notes.append(f"Runs ended at their limit of epochs and might have improved further: {_seeds(cut)}.")
    if early := _stopped_early(evidence):
        notes.append(
            f"Some seeds stopped well before the epoch that was best for another seed: {_seeds(early)}. "
            "More `patience` may help."
        )
    if fallen := _fallen(evidence):
        notes.append(
            f"Some seeds are, beside their variant's others, more than {FALLEN:.0%} lower on test than on validation: "
            f"{_seeds(fallen)}. Training anew with the validation part did not go as well as the first time, or test "
            "events are few."
        )
    if bare := _without_baselines(evidence):
        notes.append(f"No simple baseline was run on {', '.join(bare)}: whether a network is any use there is open.")
    notes += open_questions(evidence)
    notes += [f"{reason.rstrip('.')}." for reason in verdict["undecided"].values()]
    for reason, labels in by_reason(evidence.datasets["unavailable"]).items():
        notes.append(f"Not part of it: {', '.join(labels)} ({reason.rstrip('.')}).")
    notes += evidence.study["notes"]
    return "\n".join(f"* {note}" for note in notes)


def _one_training_part(evidence: Evidence) -> str:
    """Return that training sessions are not drawn anew, and where they are fewest."""
    sessions = {label: evidence.datasets["available"][label]["counts"]["train sessions"] for label in evidence.real}
    fewest = min(sessions, key=sessions.get)
    return (
        "Intervals hold what other test sessions and seeds would change, and not what other training sessions would; "
        f"{fewest} has the fewest, {sessions[fewest]:,}."
    )


def _few_seeds(n_seeds: int) -> str:
    if n_seeds == 1:
        return (
            "This study has a single seed: its intervals hold the variation between sessions alone, and another seed "
            "may turn any of its verdicts (`--seeds`)."
        )
    return (
        f"This study makes do with {n_seeds} seeds; the intervals are the wider for it, and differences near their "
        "edge want more seeds (`--seeds`)."
    )


def _unfinished(evidence: Evidence) -> dict[str, int]:
    """Return data set -> the seeds that all its networks have, where the study asks for more."""
    networks = evidence.results[~evidence.results["variant"].isin(BASELINES)]
    made = networks.groupby(["dataset", "variant"])["seed"].nunique().groupby("dataset", sort=False).min()
    return {label: int(made[label]) for label in evidence.ranks if made.get(label, np.inf) < evidence.study["seeds"]}


def _stopped_early(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return (data set, variant) -> seeds that ended on an early plateau of validation: before two thirds of the epochs
    that were best for another seed.
    """
    runs = evidence.results.drop_duplicates("run")
    best = runs.groupby(["dataset", "variant"])["best_epoch"].transform("max")
    early = runs[(runs["epochs"] < best * 2 / 3) & (runs["epochs"] > 0)]
    return early.groupby(["dataset", "variant"], sort=False).size().to_dict()


def _without_baselines(evidence: Evidence) -> list[str]:
    """Return the data sets on which networks stand alone."""
    beside = set(evidence.results.loc[evidence.results["variant"].isin(BASELINES), "dataset"])
    return [label for label in evidence.real if label not in beside]


def _fallen(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return (data set, variant) -> seeds whose MRR@20, as a share of the median of all seeds, is lower on test than on
    validation by more than `FALLEN`.
    """
    runs = evidence.results[(evidence.results["metric"] == "MRR@20") & (evidence.results["epochs"] > 0)]
    median = runs.groupby(["dataset", "variant"])[["value", "validation"]].transform("median")
    share = runs[["value", "validation"]] / median
    fallen = runs[share["value"] < (1 - FALLEN) * share["validation"]]
    return fallen.groupby(["dataset", "variant"], sort=False).size().to_dict()


def _at_limit(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return (data set, variant) -> seeds that ended at their limit of epochs."""
    runs = evidence.results.drop_duplicates("run")
    cut = runs[runs["at_epoch_limit"] & (runs["epochs"] > 0)]
    return cut.groupby(["dataset", "variant"], sort=False).size().to_dict()


def _seeds(found: dict[tuple[str, str], int]) -> str:
    return ", ".join(f"{n} of {variant} on {label}" for (label, variant), n in found.items())


def runs_made(evidence: Evidence) -> dict[str, Any]:
    """Return how many runs the study describes and how many are made, and the data sets that have none."""
    study, entries = evidence.study, datasets_of(evidence.study)
    planned = 0
    for entry in entries.values():
        for variant in entry["variants"] or study["variants"]:
            planned += 1 if variant in BASELINES else study["seeds"] * len(study["strategies"])
    without = [label for label in entries if label not in evidence.ranks]
    return {"planned": planned, "made": evidence.results["run"].nunique(), "without": without}


def made(runs: dict[str, Any]) -> str:
    """Return how far the study is; see `runs_made`."""
    return f"{runs['made']:,} of the {runs['planned']:,} runs that the study describes are made."
