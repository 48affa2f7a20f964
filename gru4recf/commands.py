"""What the commands do, free of the command line: `tell` is called with each line meant for the user."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.errors import RunError, StudyError
from gru4recf.files import locked, read_json, write_text
from gru4recf.results import (
    ERROR_FILE,
    RUN_NOTEBOOK,
    RUNS,
    find_in_checkout,
    is_finished,
    require_same_run,
    run_folder,
    versions,
)
from gru4recf.settings import STRATEGIES, RunSpec, Settings, validated

if TYPE_CHECKING:
    from gru4recf.study import Study

Tell = Callable[[str], None]
START_SECONDS = 6  # a kernel, its imports and reading the data


def make_run(
    dataset: str,
    variant: str,
    strategy: str,
    seed: int,
    settings: dict[str, Any],
    out: str,
    *,
    checked_data: str = "",
    tell: Tell,
) -> None:
    """Make one run by executing the training notebook, unless it is finished already.

    Names and data are checked first, unless `checked_data`, the digest of the data, says that a study did so: checking
    takes as long as a short run's training.

    Raises:
        StudyError: for wrong settings or data.
        RunError: when the run failed; its sentence is kept in the folder as `error.txt`.
    """
    from gru4recf.notebooks import run_notebook
    from gru4recf.study import located

    chosen = validated(Settings, settings, "--set")
    names = {"dataset": located(dataset), "variant": variant, "strategy": strategy, "seed": seed}
    spec = validated(RunSpec, {**names, "settings": chosen}, "run")
    digest = checked_data or _check(spec)
    folder = run_folder(spec, digest, out)
    with locked(folder, lambda: tell(f"{folder}: another process makes this run; waiting for it to end.")):
        if is_finished(folder):
            require_same_run(folder, spec, digest)
            tell(f"{folder}: finished before; delete the folder to run it again.")
            return
        parameters = {**names, **chosen.model_dump(), "out": str(folder)}
        try:
            run_notebook(find_in_checkout("notebooks", RUN_NOTEBOOK), folder / RUN_NOTEBOOK, parameters)
            require_same_run(folder, spec, digest)  # the data may have been changed since they were checked
        except StudyError as error:
            write_text(folder / ERROR_FILE, f"{error}\n")
            raise
    (folder / ERROR_FILE).unlink(missing_ok=True)
    metrics = read_json(folder / "result.json")["metrics"]
    tell(f"{folder}: Recall@20 {metrics['Recall@20']:.4f}, MRR@20 {metrics['MRR@20']:.4f}")


def make_study(
    path: Path,
    overrides: dict[str, Any],
    settings: dict[str, Any],
    *,
    jobs: int | None,
    profile: str,
    out: Path | None,
    report_only: bool = False,
    published: bool = False,
    tell: Tell,
) -> bool:
    """Bring a study, or with `report_only` its report alone, up to date; return whether all its claims are supported
    on all of its data sets.

    With `published`, runs that the evidence in the study's folder has are not made again.

    Raises:
        StudyError: for a wrong study, settings or data.
        RunError: when runs failed; verdict and report are made from the others first.
    """
    from gru4recf.collect import collect, published_only, with_published
    from gru4recf.evidence import MANIFEST
    from gru4recf.grid import run_missing
    from gru4recf.plan import by_reason, failed, finished, make_plan, require_same_study, write_plan
    from gru4recf.report import is_current, make_report
    from gru4recf.study import read_study

    study = read_study(path, settings, **overrides)
    folder = out if out else find_in_checkout("reports") / study.name
    require_same_study(folder, study.name)
    plan = make_plan(study, folder, RUNS)
    _check_claims(study, {run.variant for run in plan.runs})
    if published:
        plan = with_published(plan, folder)
        tell(f"{len(plan.published)} of {len(plan.runs)} runs are taken from {folder} as they are published.")
    elif n_published := len(published_only(plan, folder)):
        has = f"{folder} has the results of {n_published} of {len(plan.runs)} runs that are not at hand"
        if report_only:
            raise StudyError(f"{has}, and a report without them would take their place; add --published to keep them.")
        tell(f"{has}; they are made again. With --published they are taken over.")
    write_plan(plan, folder)
    for reason, labels in by_reason(plan.unavailable).items():
        tell(f"Left out: {', '.join(labels)}: {reason}")
    n_done = len(finished(plan, folder))
    if n_done < len(plan.runs) and not report_only:
        tell(f"{study.name}: {len(plan.runs) - n_done} of {len(plan.runs)} runs to make.")
        run_missing(plan, folder, jobs=jobs or os.cpu_count() or 1, profile=profile, tell=tell)
    if not finished(plan, folder):
        why = "Call without --report-only to make them." if report_only else _first_errors(failed(plan, folder))
        raise RunError(f"No run of {study.name} finished. {why}")
    n_failed = 0 if report_only else len(plan.runs) - len(finished(plan, folder))
    if report_only and n_done < len(plan.runs):
        tell(f"{n_done} of {len(plan.runs)} runs are finished; the report is made from these.")
    if not is_current(plan, folder):
        tell("Comparing, drawing figures, writing the report.")
        (folder / MANIFEST).unlink(missing_ok=True)
        collect(plan, folder)
        try:
            make_report(plan, folder)
        except StudyError as error:
            if not n_failed:
                raise
            told = _first_errors(failed(plan, folder))
            raise RunError(f"{n_failed} runs failed: {told} The others do not make a report: {error}") from None
    verdict = read_json(folder / "verdict.json")
    for claim in verdict["overall"].values():
        for dataset in claim["datasets"].values():
            tell(dataset["sentence"])
    for reason in verdict["undecided"].values():
        tell(f"{reason.rstrip('.')}.")
    for check in verdict["controls"]:
        if check["passed"] is False:
            tell(f"Control failed: {check['dataset']}, {check['control']}: it showed {check['showed']}.")
    tell(f"Report: {os.path.relpath(folder / 'report.html')}")
    if n_failed:
        raise RunError(f"{n_failed} runs failed, the others are reported. {_first_errors(failed(plan, folder))}")
    return not verdict["undecided"] and all(
        dataset["verdict"] == "supported"
        for claim in verdict["overall"].values()
        for dataset in claim["datasets"].values()
    )


def _check_claims(study: "Study", variants: set[str]) -> None:
    """Refuse, before anything is trained, a study none of whose claims is about its variants alone."""
    lacking = [sorted({*claim.better, *claim.worse} - variants) for claim in study.claims]
    if not lacking:
        raise StudyError(f"{study.name} makes no claim; add one to `claims` in its file.")
    if all(lacking):
        raise StudyError(
            f"No claim of {study.name} is about these variants alone, so that nothing could be decided; add "
            f"{', '.join(min(lacking, key=len))} (--variants) or other claims to its file."
        )


def tell_status(folder: Path, *, tell: Tell) -> None:
    """Tell how far a study is, and what failed."""
    from gru4recf.collect import published_only
    from gru4recf.grid import duration
    from gru4recf.plan import by_reason, failed, finished, is_running, read_plan

    plan = read_plan(folder)
    done = finished(plan, folder)
    running = [run for run in plan.runs if run not in done and is_running(plan.folder_of(run, folder))]
    errors = failed(plan, folder)
    seconds = [read_json(plan.folder_of(r, folder) / "result.json")["train_seconds"] for r in done]
    n_left = len(plan.runs) - len(done)
    tell(
        f"{plan.study['name']}: {len(done)} of {len(plan.runs)} runs done, {len(running)} running, "
        f"{len(errors)} failed, {n_left} left."
    )
    n_published = len(published_only(plan, folder))
    if n_left > n_published and done:
        each = sum(seconds) / len(done) + START_SECONDS
        left = duration((n_left - n_published) * each / (os.cpu_count() or 1))
        tell(f"About {left} left with one run per core{', without those published' if n_published else ''}.")
    if n_published:
        tell(f"{n_published} of the runs left are published in {folder}; `gru4recf study --published` takes them over.")
    for name, error in errors.items():
        tell(f"failed: {name}: {error}")
    for reason, labels in by_reason(plan.unavailable).items():
        tell(f"not available: {', '.join(labels)}: {reason}")


def tell_doctor(*, tell: Tell) -> None:
    """Tell versions, device, disk space, data folders and settings."""
    from gru4recf.data.cache import cache_folder, data_folder
    from gru4recf.training import choose_device

    for name, version in versions().items():
        tell(f"{name} {version}")
    device, reason = choose_device()
    tell(f"device: {device} ({reason}); {os.cpu_count()} cores")
    tell(f"data: GRU4RECF_DATA is {data_folder() or 'not set'}; cache {cache_folder()}")
    tell(f"runs: {RUNS}; {shutil.disk_usage(RUNS.parent).free / 1e9:.0f} GB free (a default study needs 0.1 GB)")
    tell("settings (--set name=value):")
    for name, default in Settings().model_dump().items():
        tell(f"  {name} = {default!r}")


def _check(spec: RunSpec) -> str:
    """Refuse what no run can be made of, before a notebook is begun; return the digest of the data."""
    from gru4recf.models import VARIANTS
    from gru4recf.study import check_data, check_name

    check_name("variant", spec.variant, VARIANTS)
    check_name("strategy", spec.strategy, STRATEGIES)
    return check_data(spec.dataset, spec.settings, [spec.variant])


def _first_errors(errors: dict[str, str], n: int = 3) -> str:
    told = "; ".join(f"{name}: {error}" for name, error in list(errors.items())[:n])
    more = f"; and {len(errors) - n} more" if len(errors) > n else ""
    return f"{told}{more}" if told else "No reason was written; see the log in runs/.workflow."
