"""The searches behind a study's settings, and what they leave open, in whole sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gru4recf import space, winners
from gru4recf.budget import Tuned
from gru4recf.evidence import Evidence, datasets_of
from gru4recf.models import NETWORKS
from gru4recf.results import find_in_checkout
from gru4recf.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

NEAR = 0.1
"""Relative distance from an end of a range within which a winner makes one ask what lies beyond."""


@dataclass(frozen=True)
class Searched:
    """One file of winners, and who has settings from it."""

    label: str
    """The data set that was searched on."""
    record: Tuned
    trials: "pd.DataFrame"
    users: dict[str, dict[str, Any]]
    """Data set -> the settings of its runs, but for what was searched."""


def open_questions(evidence: Evidence) -> list[str]:
    """Return what the searches behind the settings leave open; nothing for a study that is not tuned."""
    searches, notes = _searches(evidence), []
    if searches:
        notes.append(
            "Settings are those of one search for each variant: intervals and p hold what sessions and seeds change, "
            "and not that another search may find others, which has turned verdicts."
        )
    if told := _told(map(_elsewhere, searches)):
        notes.append(f"Settings were searched on another part or setting of the same source: {told}.")
    record_of = {label: search.record for search in searches for label in search.users}
    settings_of = {label: settings for search in searches for label, settings in search.users.items()}
    if random := [label for label, record in record_of.items() if record.trials <= record.random_trials]:
        notes.append(
            f"Settings on {', '.join(random)} are the best of random trials; none was proposed from what others showed."
        )
    if single := [label for label, record in record_of.items() if not record.repeats]:
        notes.append(
            f"Settings on {', '.join(single)} are the best of single trainings; another seed may prefer others."
        )
    if otherwise := [label for label, record in record_of.items() if _stopped_otherwise(record, settings_of[label])]:
        notes.append(f"Settings were tuned with another patience or number of epochs on {', '.join(otherwise)}.")
    others = {label: _tuned_otherwise(record, settings_of[label]) for label, record in record_of.items()}
    if told := [f"{', '.join(names)} on {label}" for label, names in others.items() if names]:
        notes.append(f"Settings were tuned with another option than they are used with: {'; '.join(told)}.")
    if told := _told(map(_cut_trials, searches)):
        notes.append(f"Trials of a search ended at its limit of epochs: {told}.")
    if told := _told(map(_at_ends, searches)):
        notes.append(f"Winners at an end of what was searched, beyond which better ones may lie: {told}.")
    return notes


def _searches(evidence: Evidence) -> list[Searched]:
    """Return each file of winners that settings of the study are from; none for a study that is not tuned."""
    if not evidence.study["tuned"]:
        return []
    folder, entries = find_in_checkout("studies") / "tuned", datasets_of(evidence.study)
    users = {}
    for label in evidence.real:
        own = evidence.datasets["available"][label]["settings"]
        users.setdefault(entries[label]["tuned_as"] or label, {})[label] = own
    return [
        Searched(label, winners.read_record(folder, label), winners.read_trials(folder, label), own)
        for label, own in users.items()
    ]


def _told(lines: Iterable[str]) -> str:
    return "; ".join(line for line in lines if line)


def _elsewhere(search: Searched) -> str:
    """Return which data sets took the settings of a search on another one."""
    others = [label for label in search.users if label != search.label]
    return f"on {search.label} for {', '.join(others)}" * bool(others)


def _stopped_otherwise(record: Tuned, settings: dict[str, Any]) -> bool:
    """Return whether the settings were chosen by trainings that stopped by other rules than the runs."""
    return (record.patience, record.n_epochs) != (settings["patience"], settings["n_epochs"])


def _tuned_otherwise(record: Tuned, settings: dict[str, Any]) -> list[str]:
    """Return the options that the runs have otherwise than the trials had, but for those of the data, and `retrain`,
    which comes after validation.
    """
    others = {"retrain", *Settings().data_options()}
    return [name for name, value in record.fixed.items() if name not in others and settings.get(name, value) != value]


def _cut_trials(search: Searched) -> str:
    """Return how many trials of a search ended at its limit, and whose winners did."""
    record, trials = search.record, search.trials
    cut = trials[trials["epochs"] >= record.n_epochs]
    if cut.empty:
        return ""
    numbers = set(cut[["variant", "trial"]].itertuples(index=False, name=None))
    taken = [variant for variant, winner in record.variants.items() if (variant, winner.trial) in numbers]
    told = f", the one taken for {', '.join(taken)} among them" if taken else ""
    return f"{len(cut)} of {len(trials)} on {search.label}{told}"


def _at_ends(search: Searched) -> str:
    """Return which winners of a search are near an end of a range, and how many have a largest size."""
    record, told = search.record, []
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
    return f"{' and '.join(told)} on {search.label}" if told else ""
