"""Equal tuning: the same space, trials, epochs and patience for every network of a study, chosen on validation.

One search is one data set and one variant. Its trials follow each other, because each proposal learns from those
before; searches run side by side, one process and one torch thread each. So the number of jobs changes no byte.
"""

import hashlib
import importlib.metadata
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gru4recf.errors import DataUnavailable, RunError, StudyError, unknown_name
from gru4recf.models import NETWORKS
from gru4recf.results import RUNS, code_digest, find_in_checkout
from gru4recf.search import N_FINALISTS, N_RANDOM, News, Search, repeats, search
from gru4recf.settings import Settings
from gru4recf.space import common_space, own_spaces
from gru4recf.trials import best_of
from gru4recf.tuned import Budget, check_budget, networks_of, write_tuned
from gru4recf.workers import side_by_side

if TYPE_CHECKING:
    from gru4recf.study import Study, StudyDataset

SELECTED_ON = "validation MRR@20"
SEED = 1000  # no run of a study has it: settings are compared with other seeds than the one that chose them
DECIDING_PACKAGES = ("torch", "optuna")

Tell = Callable[[str], None]


def tune(
    path: Path,
    *,
    n_trials: int,
    labels: Sequence[str] = (),
    variants: Sequence[str] = (),
    n_finalists: int = N_FINALISTS,
    jobs: int | None = None,
    seed: int = SEED,
    n_epochs: int | None = None,
    out: Path | None = None,
    tell: Tell,
) -> None:
    """Tune the networks of a study and write the winners and all trials of each data set.

    Args:
        path: the study file.
        n_trials: trials of each network on each data set; those made before count, failed ones too.
        labels: the study's data sets to tune on, by their names there; all when empty.
        variants: networks to tune; the study's when empty.
        n_finalists: the best trials, which are repeated with further seeds before the highest mean wins; 1: no repeats.
        jobs: searches at once; the number of cores when None.
        seed: of the proposals, and of every training but the repeats.
        n_epochs: epochs at most, in place of the study's.
        out: folder of the winners; `studies/tuned` when None.
        tell: called with each line meant for the user.

    Raises:
        StudyError: for a wrong study, settings or data, or a budget that would not be equal.
        RunError: when a search ended early, or all trials of a network failed.
    """
    from gru4recf.study import read_study, variants_of

    study = read_study(path)
    out = out if out else find_in_checkout("studies") / "tuned"
    _check_networks(variants)
    plan = {}
    for dataset in _chosen_datasets(study.datasets, labels):
        chosen = _networks(variants or variants_of(study, dataset), dataset.shown_as)
        try:
            effort = {"n_trials": n_trials, "n_finalists": n_finalists, "seed": seed, "n_epochs": n_epochs}
            budget, searches = _plan(study, dataset, chosen, **effort)
        except DataUnavailable as error:
            tell(f"{dataset.shown_as} is left out: {error}")
            continue
        check_budget(out, budget, chosen)
        plan[dataset.shown_as] = (budget, searches)
    if not plan:
        raise DataUnavailable(f"None of the data sets to tune on in {path} can be had here.")
    _make(plan, jobs or os.cpu_count() or 1, out, tell)


def _check_networks(variants: Sequence[str]) -> None:
    """Refuse what has no settings of its own: a control takes its network's, a baseline has none."""
    for variant in variants:
        if variant not in NETWORKS:
            raise unknown_name("network to tune", variant, NETWORKS)


def _networks(variants: Sequence[str], label: str) -> list[str]:
    """Return the networks among `variants`, and those whose settings its controls have."""
    asked = {network for variant in variants for network in networks_of(variant)}
    if not asked & set(NETWORKS):
        raise StudyError(f"{label} has no network to tune; name some of {', '.join(NETWORKS)} with --variants.")
    return [network for network in NETWORKS if network in asked]


def _chosen_datasets(datasets: Sequence["StudyDataset"], labels: Sequence[str]) -> list["StudyDataset"]:
    """Return the data sets with these labels, or all that do not take settings tuned under another label.

    Generated controls keep the settings of their study.
    """
    known = {dataset.shown_as: dataset for dataset in datasets if not dataset.control}
    borrowing = {label: one.tuned_as for label, one in known.items() if one.tuned_as not in ("", label)}
    for label in labels:
        if label not in known:
            raise unknown_name("data set of the study", label, known)
        if label in borrowing:
            raise StudyError(f"{label} takes the settings tuned as {borrowing[label]}; tune on that one.")
    return [one for label, one in known.items() if label not in borrowing and (not labels or label in labels)]


def _plan(
    study: "Study",
    dataset: "StudyDataset",
    variants: Sequence[str],
    *,
    n_trials: int,
    n_finalists: int,
    seed: int,
    n_epochs: int | None,
) -> tuple[Budget, list[Search]]:
    """Check one data set; return what all its searches have in common, and the searches."""
    from gru4recf.study import check_data, settings_of

    settings = settings_of(study, dataset)
    settings = settings.model_copy(update={"n_epochs": n_epochs}) if n_epochs else settings
    space, own_space = common_space(settings), own_spaces(settings)
    searched = {*space, *(name for own in own_space.values() for name in own)}
    budget = Budget(
        dataset=dataset.shown_as,
        selected_on=SELECTED_ON,
        data_sha256=check_data(dataset.name, settings, variants),
        code_sha256=code_digest(next(iter(NETWORKS))),  # one for all networks
        versions={name: importlib.metadata.version(name) for name in DECIDING_PACKAGES},
        seed=seed,
        trials=n_trials,
        random_trials=N_RANDOM,
        finalists=n_finalists,
        repeats=repeats(n_finalists),
        n_epochs=settings.n_epochs,
        patience=settings.patience,
        fixed=settings.model_dump(exclude={*searched, "n_epochs", "patience"}),
        space=space,
        own_space=own_space,
    )
    jobs = []
    for variant in variants:
        folder = RUNS / "tuning" / _key(budget, variant, settings)
        jobs.append(Search(dataset.shown_as, dataset.name, variant, settings, n_trials, n_finalists, seed, folder))
    return budget, jobs


def _key(budget: Budget, variant: str, first: Settings) -> str:
    """Return a folder name: another one whenever anything but the numbers of trials and finalists differs, so
    nothing is mixed.
    """
    decided_by = [budget.model_dump(exclude={"trials", "finalists", "repeats"}), variant, first.model_dump()]
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
    return re.sub(r"[^\w.-]+", "_", f"{budget.dataset}-{variant}-{digest[:10]}")


def _make(plan: dict[str, tuple[Budget, list[Search]]], jobs: int, out: Path, tell: Tell) -> None:
    """Do all searches; write the files of a data set when its last search has ended."""
    searches = [job for _, own in plan.values() for job in own]
    left = {label: {job.variant for job in own} for label, (_, own) in plan.items()}
    progress = _Progress(searches, jobs, tell)
    problems = []
    for ended, reason in side_by_side(search, searches, jobs, progress.hear):
        left[ended.label].remove(ended.variant)
        if reason:
            problems.append(f"{ended.name}: {reason}")
        if not left[ended.label]:
            problems += _finish(*plan[ended.label], out, tell)
    if problems:
        raise RunError("; ".join(problems))


def _finish(budget: Budget, searches: Sequence[Search], out: Path, tell: Tell) -> list[str]:
    """Write the files of one data set if every search has all its trials and a winner; return what is in the way."""
    trials = {job.variant: job.trials() for job in searches}
    if any(len(trials[job.variant]) < budget.trials or job.missing(trials[job.variant]) for job in searches):
        return [f"{budget.dataset} is not written, as its searches are not complete"]
    if lost := [variant for variant, own in trials.items() if best_of(own) is None]:
        errors = "; ".join(f"{variant}: {trials[variant][0].error}" for variant in lost)
        return [f"{budget.dataset} is not written, as all trials failed: {errors}"]
    path = write_tuned(out, budget, trials)
    for variant, own in trials.items():
        best = best_of(own)
        chosen = ", ".join(f"{name} {value}" for name, value in best.settings.items())
        of = f"{budget.dataset} {variant}: {SELECTED_ON} {best.mean:.4f} in trial {best.number} of {budget.trials}"
        tell(f"{of}: {chosen}")
    tell(f"Written: {os.path.relpath(path)}")
    return []


class _Progress:
    """Counts trainings and tells each with the time that is left, by the pace of its data set."""

    def __init__(self, searches: Sequence[Search], jobs: int, tell: Tell):
        self.tell, self.jobs = tell, min(jobs, len(searches))
        self.n_trainings, self.n_ended = sum(job.n_trainings for job in searches), 0
        self.left = defaultdict(int)
        self.seconds = defaultdict(list)
        for job in searches:
            self.left[job.label] += job.n_trainings

    def hear(self, news: News) -> None:
        """Take in what a search reports."""
        ended = news.found + (news.trial is not None)
        self.n_ended += ended
        self.left[news.search.label] -= ended
        if news.trial is not None:
            self.seconds[news.search.label].append(news.seconds)
            self.tell(f"[{self.n_ended}/{self.n_trainings}] {_told(news)}, about {self._time_left()} left")
        elif news.text:
            self.tell(news.text)

    def _time_left(self) -> str:
        from gru4recf.grid import duration

        known = [value for own in self.seconds.values() for value in own]
        paces = {label: self.seconds[label] or known for label in self.left}
        seconds = sum(self.left[label] * sum(pace) / len(pace) for label, pace in paces.items())
        return duration(seconds / self.jobs)


def _told(news: News) -> str:
    from gru4recf.grid import duration

    trial = news.trial
    value = f"failed: {trial.error.rstrip('.')}" if trial.value is None else f"{SELECTED_ON} {trial.value:.4f}"
    best = "" if news.best is None else f" (best {news.best:.4f})"
    name = f"{news.search.name} trial {trial.number}" + ("" if news.seed is None else f", seed {news.seed}")
    return f"{name}: {value}{best}, {duration(news.seconds)}"
