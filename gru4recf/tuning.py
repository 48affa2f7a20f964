"""Equal tuning: the same space, trials, epochs and patience for every network of a study, chosen on validation.

One search is one data set and one variant. Its trials follow each other, because each proposal learns from those
before; searches run side by side, one process and one torch thread each. So the number of jobs changes no byte.
Controls of `parallel_concat`'s size come second, as that network's winner gives them theirs.
"""

import hashlib
import importlib.metadata
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.errors import DataUnavailable, RunError, StudyError, unknown_name
from gru4recf.models import CONTROLS, NETWORKS
from gru4recf.results import RUNS, code_digest, find_in_checkout
from gru4recf.search import N_FINALISTS, N_RANDOM, SELECTED_ON, Search, repeats, search
from gru4recf.search_progress import Progress
from gru4recf.settings import Settings
from gru4recf.space import PARALLEL, SEARCHED, common_space, given_size, network_of, own_spaces
from gru4recf.trials import best_of
from gru4recf.winners import Budget, kept, read_tuned, write_tuned
from gru4recf.workers import side_by_side

if TYPE_CHECKING:
    from gru4recf.study import Study, StudyDataset

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
        variants: networks and controls to tune; the study's when empty.
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
    for variant in variants:
        if variant not in SEARCHED:
            raise unknown_name("network to tune", variant, SEARCHED)
    plans = []
    for dataset in _chosen_datasets(study.datasets, labels):
        asked = _searched(variants or variants_of(study, dataset), dataset.shown_as)
        try:
            effort = {"n_trials": n_trials, "n_finalists": n_finalists, "seed": seed, "n_epochs": n_epochs}
            plan = _plan(study, dataset, asked, **effort)
        except DataUnavailable as error:
            tell(f"{dataset.shown_as} is left out: {error}")
            continue
        there = kept(out, plan.budget, asked)
        if plan.controls and PARALLEL not in {*plan.networks, *there}:
            plan.networks.append(PARALLEL)
        plans.append(plan)
    if not plans:
        raise DataUnavailable(f"None of the data sets to tune on in {path} can be had here.")
    jobs = jobs or os.cpu_count() or 1
    problems = _make([(plan, plan.of_networks()) for plan in plans if plan.networks], jobs, out, tell)
    second = [plan for plan in plans if plan.controls and plan.budget.dataset not in problems]
    problems |= _make([(plan, plan.of_controls(out)) for plan in second], jobs, out, tell)
    if problems:
        raise RunError("; ".join(reason for reasons in problems.values() for reason in reasons))


def _searched(variants: Sequence[str], label: str) -> list[str]:
    """Return the variants that a search is made for: those among `variants`, and the networks whose settings the other
    controls have.
    """
    asked = {variant if variant in SEARCHED else network_of(variant) for variant in variants}
    if not asked & set(SEARCHED):
        raise StudyError(f"{label} has no network to tune; name some of {', '.join(SEARCHED)} with --variants.")
    return [variant for variant in SEARCHED if variant in asked]


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


@dataclass(frozen=True)
class _Plan:
    """What is tuned on one data set."""

    dataset: str
    budget: Budget
    settings: Settings
    """The study's own."""
    networks: list[str]
    controls: list[str]

    def of_networks(self) -> list[Search]:
        return [self._search(variant, {}) for variant in self.networks]

    def of_controls(self, out: Path) -> list[Search]:
        """Return the searches of controls, at the sizes of the winner in `out`."""
        parallel = read_tuned(out, self.budget.dataset)[PARALLEL]
        return [self._search(variant, given_size(variant, parallel)) for variant in self.controls]

    def _search(self, variant: str, given: Mapping[str, Any]) -> Search:
        first, budget = self.settings.model_copy(update=given), self.budget
        key = _key(budget.model_copy(update={"code_sha256": code_digest(variant)}), variant, first)
        effort = (budget.trials, budget.finalists, budget.seed)
        return Search(budget.dataset, self.dataset, variant, first, *effort, RUNS / "tuning" / key, tuple(given))


def _plan(
    study: "Study",
    dataset: "StudyDataset",
    variants: Sequence[str],
    *,
    n_trials: int,
    n_finalists: int,
    seed: int,
    n_epochs: int | None,
) -> _Plan:
    """Check one data set; return what is tuned on it, and what all its searches have in common."""
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
    controls = [variant for variant in variants if variant in CONTROLS]
    return _Plan(dataset.name, budget, settings, [v for v in variants if v in NETWORKS], controls)


def _key(budget: Budget, variant: str, first: Settings) -> str:
    """Return a folder name: another one whenever anything but the numbers of trials and finalists differs, so
    nothing is mixed.
    """
    decided_by = [budget.model_dump(exclude={"trials", "finalists", "repeats"}), variant, first.model_dump()]
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
    return re.sub(r"[^\w.-]+", "_", f"{budget.dataset}-{variant}-{digest[:10]}")


def _make(work: Sequence[tuple[_Plan, list[Search]]], jobs: int, out: Path, tell: Tell) -> dict[str, list[str]]:
    """Do all searches; write the files of a data set when its last search has ended.

    Returns:
        Data set -> what went wrong.
    """
    searches = [job for _, own in work for job in own]
    plans = {plan.budget.dataset: (plan, own) for plan, own in work}
    left = {label: {job.variant for job in own} for label, (_, own) in plans.items()}
    progress = Progress(searches, jobs, tell)
    problems = defaultdict(list)
    for ended, reason in side_by_side(search, searches, jobs, progress.hear):
        left[ended.label].remove(ended.variant)
        if reason:
            problems[ended.label].append(f"{ended.name}: {reason}")
        if not left[ended.label] and (lost := _finish(*plans[ended.label], out, tell)):
            problems[ended.label].append(lost)
    return problems


def _finish(plan: _Plan, searches: Sequence[Search], out: Path, tell: Tell) -> str:
    """Write the files of one data set if every search has all its trials and a winner; return what is in the way."""
    budget = plan.budget
    trials = {job.variant: job.trials() for job in searches}
    if any(len(trials[job.variant]) < budget.trials or job.missing(trials[job.variant]) for job in searches):
        return f"{budget.dataset} is not written, as its searches are not complete"
    if lost := [variant for variant, own in trials.items() if best_of(own) is None]:
        errors = "; ".join(f"{variant}: {trials[variant][0].error}" for variant in lost)
        return f"{budget.dataset} is not written, as all trials failed: {errors}"
    path = write_tuned(out, budget, trials, to_come=plan.controls)
    for variant, own in trials.items():
        best = best_of(own)
        chosen = ", ".join(f"{name} {value}" for name, value in best.settings.items())
        of = f"{budget.dataset} {variant}: {SELECTED_ON} {best.mean:.4f} in trial {best.number} of {budget.trials}"
        tell(f"{of}: {chosen}")
    tell(f"Written: {os.path.relpath(path)}")
    return ""
