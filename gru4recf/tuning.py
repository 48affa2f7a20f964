"""Equal tuning: the same space, trials, epochs and patience for every network of a study, chosen on validation.

One search is one data set and one variant. Its trials follow each other, because each proposal learns from those
before; searches run side by side, one process and one torch thread each. So the number of jobs changes no byte.
Controls of `parallel_concat`'s size come second, as that network's winner gives them theirs.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gru4recf.errors import DataUnavailable, RunError, StudyError, unknown_name
from gru4recf.models import CONTROLS
from gru4recf.results import find_in_checkout
from gru4recf.search import N_FINALISTS, SELECTED_ON, Search, search
from gru4recf.search_plan import SearchPlan, plan_searches
from gru4recf.search_progress import Progress
from gru4recf.space import PARALLEL, SEARCHED, network_of
from gru4recf.trials import best_of
from gru4recf.winners import check_budget, read_tuned, tuned_path, write_tuned
from gru4recf.workers import side_by_side

if TYPE_CHECKING:
    from gru4recf.study import StudyDataset

SEED = 1000  # no run of a study has it: settings are compared with other seeds than the one that chose them

Tell = Callable[[str], None]
Work = Sequence[tuple[SearchPlan, list[Search]]]


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
        asked = _searched(variants or variants_of(study, dataset), dataset.shown_as, out)
        try:
            effort = {"n_trials": n_trials, "n_finalists": n_finalists, "seed": seed, "n_epochs": n_epochs}
            plan = plan_searches(study, dataset, asked, **effort)
        except DataUnavailable as error:
            tell(f"{dataset.shown_as} is left out: {error}")
            continue
        check_budget(out, plan.budget, asked)
        plans.append(plan)
    if not plans:
        raise DataUnavailable(f"None of the data sets to tune on in {path} can be had here.")
    jobs = jobs or os.cpu_count() or 1
    progress = Progress({plan.label: plan.n_trainings for plan in plans}, jobs, tell)
    problems = _make([(plan, plan.of_networks()) for plan in plans if plan.networks], jobs, out, progress)
    second = [plan for plan in plans if plan.controls and plan.label not in problems]
    problems |= _make([(plan, plan.of_controls(out)) for plan in second], jobs, out, progress)
    if problems:
        raise RunError("; ".join(reason for reasons in problems.values() for reason in reasons))


def _searched(variants: Sequence[str], label: str, out: Path) -> list[str]:
    """Return the variants that a search is made for: those among `variants`, the networks whose settings the other
    controls have, and `parallel_concat` where controls need its size and `out` does not have it.
    """
    asked = {variant if variant in SEARCHED else network_of(variant) for variant in variants} & set(SEARCHED)
    if not asked:
        raise StudyError(f"{label} has no network to tune; name some of {', '.join(SEARCHED)} with --variants.")
    there = read_tuned(out, label) if tuned_path(out, label).is_file() else {}
    if asked & set(CONTROLS) and PARALLEL not in there:
        asked.add(PARALLEL)
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


def _make(work: Work, jobs: int, out: Path, progress: Progress) -> dict[str, list[str]]:
    """Do all searches; write the files of a data set when its last search has ended.

    Returns:
        Data set -> what went wrong.
    """
    searches = [job for _, own in work for job in own]
    plans = {plan.label: (plan, own) for plan, own in work}
    left = {label: {job.variant for job in own} for label, (_, own) in plans.items()}
    problems = defaultdict(list)
    for ended, reason in side_by_side(search, searches, jobs, progress.hear):
        left[ended.label].remove(ended.variant)
        if reason:
            problems[ended.label].append(f"{ended.name}: {reason}")
        if not left[ended.label] and (lost := _finish(*plans[ended.label], out, progress.tell)):
            problems[ended.label].append(lost)
    return problems


def _finish(plan: SearchPlan, searches: Sequence[Search], out: Path, tell: Tell) -> str:
    """Write the files of one data set if every search has all its trials and a winner; return what is in the way."""
    budget = plan.budget
    trials = {job.variant: job.trials() for job in searches}
    if any(len(trials[job.variant]) < budget.trials or job.missing(trials[job.variant]) for job in searches):
        return f"{budget.dataset} is not written, as its searches are not complete"
    if lost := [variant for variant, own in trials.items() if best_of(own) is None]:
        errors = "; ".join(f"{variant}: {trials[variant][0].error}" for variant in lost)
        return f"{budget.dataset} is not written, as all trials failed: {errors}"
    lost = write_tuned(out, budget, trials, to_come=plan.controls)
    for variant, own in trials.items():
        best = best_of(own)
        chosen = ", ".join(f"{name} {value}" for name, value in best.settings.items())
        of = f"{budget.dataset} {variant}: {SELECTED_ON} {best.mean:.4f} in trial {best.number} of {budget.trials}"
        tell(f"{of}: {chosen}")
    path = os.path.relpath(tuned_path(out, budget.dataset))
    for control in lost:
        if control not in plan.controls:
            tell(
                f"{path} no longer has {control}: parallel_concat's size, or its own code, has changed. Tune it again."
            )
    tell(f"Written: {path}")
    return ""
