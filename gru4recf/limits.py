"""What limits a study, in whole sentences: what a reader must know before believing its verdict."""

from typing import Any

import numpy as np
import pandas as pd

from gru4recf import tuned
from gru4recf.evidence import Evidence, datasets_of
from gru4recf.models import BASELINES
from gru4recf.plan import by_reason
from gru4recf.results import find_in_checkout

FEW_SEEDS = 5


def limits(evidence: Evidence, verdict: dict[str, Any]) -> str:
    """Return what a reader must know before believing the verdict: few seeds, missing data sets, unfinished runs."""
    runs, notes = runs_made(evidence), []
    if runs["made"] < runs["planned"]:
        begun = sorted(set(runs["without"]) - set(evidence.datasets["unavailable"]), key=runs["without"].index)
        notes.append(made(runs) + f" None yet on {', '.join(begun)}." * bool(begun))
    if evidence.study["seeds"] < FEW_SEEDS:
        notes.append(_few_seeds(evidence.study["seeds"]))
    if fewer := _unfinished(evidence):
        told = ", ".join(f"{label} {n}" for label, n in fewer.items())
        notes.append(f"Not all of the {evidence.study['seeds']} seeds are made: {told}.")
    if cut := sorted(set(_at_limit(evidence)["variant"])):
        notes.append(f"Runs of {', '.join(cut)} ended at their epoch limit and might have improved further.")
    if early := _stopped_early(evidence):
        told = ", ".join(f"{n} of {variant} on {label}" for (label, variant), n in early.items())
        notes.append(
            f"Some seeds stopped well before the epoch that was best for another seed: {told}. "
            "More `patience` may help."
        )
    records = _records(evidence)
    if random := [label for label, record in records.items() if record.trials <= record.random_trials]:
        notes.append(
            f"Settings on {', '.join(random)} are the best of random trials; none was proposed from what others showed."
        )
    if single := [label for label, record in records.items() if not record.repeats]:
        notes.append(
            f"Settings on {', '.join(single)} are the best of single trainings; another seed may prefer others."
        )
    if otherwise := [label for label, record in records.items() if _tuned_otherwise(record, evidence, label)]:
        notes.append(f"Settings were tuned with another patience or number of epochs on {', '.join(otherwise)}.")
    notes += [f"{reason.rstrip('.')}." for reason in verdict["undecided"].values()]
    for reason, labels in by_reason(evidence.datasets["unavailable"]).items():
        notes.append(f"Not part of it: {', '.join(labels)} ({reason.rstrip('.')}).")
    notes += evidence.study["notes"]
    return "\n".join(f"* {note}" for note in notes)


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


def _records(evidence: Evidence) -> dict[str, tuned.Tuned]:
    """Return data set -> the record of the search behind its settings; empty for a study that is not tuned."""
    if not evidence.study["tuned"]:
        return {}
    entries, folder = datasets_of(evidence.study), find_in_checkout("studies") / "tuned"
    return {label: tuned.read_record(folder, entries[label]["tuned_as"] or label) for label in evidence.real}


def _tuned_otherwise(record: tuned.Tuned, evidence: Evidence, label: str) -> bool:
    """Return whether the settings were chosen by trainings that stopped by other rules than the runs."""
    settings = evidence.datasets["available"][label]["settings"]
    return (record.patience, record.n_epochs) != (settings["patience"], settings["n_epochs"])


def _stopped_early(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return (data set, variant) -> seeds that ended on an early plateau of validation: before two thirds of the epochs
    that were best for another seed.
    """
    runs = evidence.results.drop_duplicates(["dataset", "variant", "seed"])
    best = runs.groupby(["dataset", "variant"])["best_epoch"].transform("max")
    early = runs[(runs["epochs"] < best * 2 / 3) & (runs["epochs"] > 0)]
    return early.groupby(["dataset", "variant"], sort=False).size().to_dict()


def _at_limit(evidence: Evidence) -> pd.DataFrame:
    return evidence.results[evidence.results["at_epoch_limit"] & (evidence.results["epochs"] > 0)]


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
