"""What limits a study, in whole sentences: what a reader must know before believing its verdict."""

from pathlib import Path
from typing import Any

import numpy as np

from gru4recf import space, winners
from gru4recf.budget import Tuned
from gru4recf.comparison import source
from gru4recf.evidence import Evidence, datasets_of
from gru4recf.models import BASELINES, NETWORKS
from gru4recf.plan import by_reason
from gru4recf.results import find_in_checkout
from gru4recf.settings import Settings

FEW_SEEDS = 5
NEAR = 0.1
"""Relative distance from an end of a range within which a winner makes one ask what lies beyond."""


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
    notes += _of_tuning(evidence)
    notes += [f"{reason.rstrip('.')}." for reason in verdict["undecided"].values()]
    for reason, labels in by_reason(evidence.datasets["unavailable"]).items():
        notes.append(f"Not part of it: {', '.join(labels)} ({reason.rstrip('.')}).")
    notes += evidence.study["notes"]
    return "\n".join(f"* {note}" for note in notes)


def _of_tuning(evidence: Evidence) -> list[str]:
    """Return what the searches behind the settings leave open."""
    records, notes = _records(evidence), []
    if random := [label for label, record in records.items() if record.trials <= record.random_trials]:
        notes.append(
            f"Settings on {', '.join(random)} are the best of random trials; none was proposed from what others showed."
        )
    if single := [label for label, record in records.items() if not record.repeats]:
        notes.append(
            f"Settings on {', '.join(single)} are the best of single trainings; another seed may prefer others."
        )
    settings = {label: evidence.datasets["available"][label]["settings"] for label in records}
    if otherwise := [label for label, record in records.items() if _stopped_otherwise(record, settings[label])]:
        notes.append(f"Settings were tuned with another patience or number of epochs on {', '.join(otherwise)}.")
    others = {label: _tuned_otherwise(record, settings[label]) for label, record in records.items()}
    if told := [f"{', '.join(names)} on {label}" for label, names in others.items() if names]:
        notes.append(f"Settings were tuned with another option than they are used with: {'; '.join(told)}.")
    searched = dict.fromkeys(_searches(evidence).values())
    if told := [line for line in map(_cut_trials, searched) if line]:
        notes.append(f"Trials of a search ended at its limit of epochs: {'; '.join(told)}.")
    if told := [line for line in map(_at_ends, searched) if line]:
        notes.append(f"Winners at an end of what was searched, beyond which better ones may lie: {'; '.join(told)}.")
    if told := [line for line in (_not_searched(evidence, label) for label in searched) if line]:
        notes.append(
            "No search was made for some controls of parallel_concat's size, which have the settings of the network "
            f"that they are a control of: {'; '.join(told)}."
        )
    return notes


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


def _searches(evidence: Evidence) -> dict[str, str]:
    """Return data set -> the one its settings were searched on; empty for a study that is not tuned."""
    entries = datasets_of(evidence.study)
    return {label: entries[label]["tuned_as"] or label for label in evidence.real if evidence.study["tuned"]}


def _records(evidence: Evidence) -> dict[str, Tuned]:
    """Return data set -> the record of the search behind its settings."""
    return {label: winners.read_record(_tuned_folder(), other) for label, other in _searches(evidence).items()}


def _tuned_folder() -> Path:
    return find_in_checkout("studies") / "tuned"


def _stopped_otherwise(record: Tuned, settings: dict[str, Any]) -> bool:
    """Return whether the settings were chosen by trainings that stopped by other rules than the runs."""
    return (record.patience, record.n_epochs) != (settings["patience"], settings["n_epochs"])


def _tuned_otherwise(record: Tuned, settings: dict[str, Any]) -> list[str]:
    """Return the options that the runs have otherwise than the trials had, but for those of the data, and `retrain`,
    which comes after validation.
    """
    others = {"retrain", *Settings().data_options()}
    return [name for name, value in record.fixed.items() if name not in others and settings.get(name, value) != value]


def _cut_trials(label: str) -> str:
    """Return how many trials of a search ended at its limit, and whose winners did."""
    record, trials = winners.read_record(_tuned_folder(), label), winners.read_trials(_tuned_folder(), label)
    cut = trials[trials["epochs"] >= record.n_epochs]
    if cut.empty:
        return ""
    numbers = set(cut[["variant", "trial"]].itertuples(index=False, name=None))
    taken = [variant for variant, winner in record.variants.items() if (variant, winner.trial) in numbers]
    told = f", the one taken for {', '.join(taken)} among them" if taken else ""
    return f"{len(cut)} of {len(trials)} on {label}{told}"


def _at_ends(label: str) -> str:
    """Return which winners of a search are near an end of a range, and how many have a largest size."""
    record, told = winners.read_record(_tuned_folder(), label), []
    settings = {variant: winner.settings for variant, winner in record.variants.items()}
    for option, values in record.space.items():
        if isinstance(values, dict):
            ends = (values["low"], values["high"])
            near = [v for v, own in settings.items() if any(abs(own[option] - end) <= NEAR * end for end in ends)]
            told += [f"{option} of {', '.join(near)}"] * bool(near)
    sizes = [option for option in space.SIZES if option in record.space]
    networks = [own for variant, own in settings.items() if variant in NETWORKS]  # controls are given theirs
    largest = sum(any(own[option] == max(record.space[option]) for option in sizes) for own in networks)
    told += [f"a largest size for {largest} of {len(networks)} networks"] * bool(largest)
    return f"{' and '.join(told)} on {label}" if told else ""


def _not_searched(evidence: Evidence, label: str) -> str:
    """Return which controls of `parallel_concat`'s size have runs with settings searched on `label`, but no winner of
    their own there.
    """
    found = winners.read_record(_tuned_folder(), label).variants
    users = [name for name, other in _searches(evidence).items() if other == label]
    present = set(evidence.results.loc[evidence.results["dataset"].isin(users), "variant"])
    missing = [variant for variant in space.AS_LARGE_AS_PARALLEL if variant in present and variant not in found]
    return f"{', '.join(missing)} on {label}" if missing else ""


def _stopped_early(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return (data set, variant) -> seeds that ended on an early plateau of validation: before two thirds of the epochs
    that were best for another seed.
    """
    runs = evidence.results.drop_duplicates("run")
    best = runs.groupby(["dataset", "variant"])["best_epoch"].transform("max")
    early = runs[(runs["epochs"] < best * 2 / 3) & (runs["epochs"] > 0)]
    return early.groupby(["dataset", "variant"], sort=False).size().to_dict()


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
