"""Run what is missing of a plan: hand the grid to Snakemake and tell what gets done."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gru4recf.errors import StudyError
from gru4recf.files import locked, read_json
from gru4recf.plan import Plan, PlannedRun, finished
from gru4recf.results import RESULT_FILE, find_in_checkout, is_finished
from gru4recf.warm.server import Served, serving

POLL_SECONDS = 0.5


def run_missing(plan: Plan, folder: Path, *, jobs: int, profile: str, tell: Callable[[str], None]) -> None:
    """Make the plan's missing runs; returns when nothing more can be done, whether or not all succeeded.

    Args:
        plan: what to run; `folder` holds it as `plan.json`.
        folder: the study's folder.
        jobs: runs at once.
        profile: name of a folder below `workflow/profiles`.
        tell: called with one line for each finished run.
    """
    profile_folder = find_in_checkout("workflow", "profiles") / profile
    if not profile_folder.is_dir():
        raise StudyError(f"{profile_folder}: no such profile; use local or slurm, or add a folder of that name there.")
    workspace = plan.folder_of(plan.runs[0], folder).parent / ".workflow" / plan.study["name"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(find_in_checkout("workflow", "Snakefile"))]
    command += ["--profile", str(profile_folder), "--directory", str(workspace), "--cores", str(jobs)]
    command += ["--config", f"folder={folder.resolve()}", f"published={bool(plan.published)}"]
    busy = "This study's runs are being made by another call, or by what a killed one left; waiting for them to end."
    with (
        locked(workspace, lambda: tell(busy)) as lock,
        open(workspace / "snakemake.log", "w", encoding="utf-8") as log,
        serving(log) if profile == "local" else contextlib.nullcontext(Served()) as served,
    ):
        # Snakemake holds the lock, and what keeps the server, too: it goes on when only this process is killed
        options = {"env": {**os.environ, **served.environment}, "pass_fds": (lock, *served.descriptors)}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            _watch(plan, folder, process, tell)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _watch(plan: Plan, folder: Path, process: subprocess.Popen, tell: Callable[[str], None]) -> None:
    done = {run.folder for run in finished(plan, folder)}
    left = {plan.folder_of(run, folder): run for run in plan.runs if run.folder not in done}
    n_left, begin = len(left), time.monotonic()
    running = True
    while running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
        running = process.poll() is None
        for run_folder in [path for path in left if is_finished(path)]:
            run = left.pop(run_folder)
            pace = (time.monotonic() - begin) / (n_left - len(left))
            place = f"{len(plan.runs) - len(left)}/{len(plan.runs)}"
            tell(f"[{place}] {describe(plan, folder, run)}, about {duration(pace * len(left))} left")


def describe(plan: Plan, folder: Path, run: PlannedRun) -> str:
    """Return one line about a finished run."""
    record = read_json(plan.folder_of(run, folder) / RESULT_FILE)
    metrics = record["metrics"]
    accuracy = f"Recall@20 {metrics['Recall@20']:.4f}, MRR@20 {metrics['MRR@20']:.4f}"
    return f"{run.dataset} {run.variant} seed {run.seed}: {accuracy}, {duration(record['train_seconds'])} of training"


def duration(seconds: float) -> str:
    """Return seconds as a person says them: "42 s", "3 min", "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
