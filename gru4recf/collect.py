"""Gather the runs of a study into its evidence.

Published evidence can take the place of runs: a run's name says which data, settings, code and torch decided it, so a
study that is made over many days, or by many people, need not keep its run folders (`with_published`).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gru4recf.errors import RunError, StudyError
from gru4recf.evidence import MANIFEST, TIES, Evidence, datasets_of, load_evidence
from gru4recf.files import read_json, sha256_of, write_json, write_parquet
from gru4recf.models import BASELINES
from gru4recf.plan import Plan, PlannedRun, finished
from gru4recf.results import RESULT_FILE, is_finished, load_run

EVENT_COLUMNS = ["session", "position", "target", "support", "session_length"]
RUN_COLUMNS = ["dataset", "variant", "strategy", "seed"]
TIMINGS = ["seconds", "train_cpu_seconds"]
N_RANKS = 50  # what lies beyond is a miss at every cutoff of a study, and would be most of the published bytes


def collect(plan: Plan, folder: Path) -> None:
    """Gather the finished runs of a plan into evidence files in `folder`.

    Raises:
        RunError: when a run's files are not the ones it wrote, or runs of a data set rank different events.
    """
    runs = finished(plan, folder)
    old = load_evidence(folder) if plan.published else None
    sources = {
        run.name: _Published(old, run) if run.name in plan.published else _Made(plan, folder, run) for run in runs
    }
    described = {}
    # what is published may exist here only, and an interruption must not lose it: the list of runs is written last
    for label in dict.fromkeys(run.dataset for run in runs):
        own = [run for run in runs if run.dataset == label]
        write_parquet(folder / "ranks" / f"{label}.parquet", _rank_columns(own, [sources[r.name].ranks() for r in own]))
        described[label] = _describe(plan, label, {run.variant: sources[run.name].record for run in own})
    write_parquet(folder / "history.parquet", pd.concat([_with_names(sources[r.name].history(), r) for r in runs]))
    write_json(folder / "datasets.json", {"available": described, "unavailable": plan.unavailable})
    write_parquet(folder / "results.parquet", pd.concat([sources[r.name].results() for r in runs]))
    for file in (folder / "ranks").glob("*.parquet"):
        if file.stem not in described:
            file.unlink()  # of a data set that is not part of the study any more


class _Made:
    """What evidence takes from a run's folder."""

    def __init__(self, plan: Plan, study_folder: Path, run: PlannedRun) -> None:
        self.run, self.folder = run, plan.folder_of(run, study_folder)
        self.record = load_run(self.folder)
        if (digest := self.record["data_sha256"]) != (planned := plan.digests[run.dataset]):
            raise RunError(
                f"{self.folder}: made from data with SHA-256 {digest[:16]}..., and those of {run.dataset} have "
                f"{planned[:16]}...; its test events are not the others'. Delete the folder and run again."
            )

    def ranks(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "ranks.parquet")

    def history(self) -> pd.DataFrame:
        """Return the epochs that validation chose from; those of the training after it repeat them without a choice."""
        history = pd.read_parquet(self.folder / "history.parquet")
        return history[history["phase"] == "selection"].drop(columns=["phase", *TIMINGS], errors="ignore")

    def results(self) -> pd.DataFrame:
        return _result_rows(self.run, self.record)


class _Published:
    """The same of a run whose folder is not here, from evidence that has it already."""

    def __init__(self, evidence: Evidence, run: PlannedRun) -> None:
        self.run, self.evidence = run, evidence
        described = evidence.datasets["available"][run.dataset]
        settings = {**described["settings"], **described["own_settings"].get(run.variant, {})}
        self.record = {**described, "settings": settings, "code_sha256": described["code_sha256"][run.variant]}

    def ranks(self) -> pd.DataFrame:
        ranks, column = self.evidence.ranks[self.run.dataset], _column(self.run)
        own = {"rank": ranks[column], "ties": ranks.get(column + TIES, 0)}
        return ranks[EVENT_COLUMNS].assign(**own)

    def history(self) -> pd.DataFrame:
        return _rows_of(self.evidence.history, self.run).drop(columns=RUN_COLUMNS)

    def results(self) -> pd.DataFrame:
        return self.evidence.results[self.evidence.results["run"] == self.run.name]


def published_only(plan: Plan, folder: Path) -> frozenset[str]:
    """Return the names of the plan's runs that the evidence in `folder` has and that are not made here."""
    if not (folder / "results.parquet").is_file():
        return frozenset()
    known = set(pd.read_parquet(folder / "results.parquet", columns=["run"])["run"])
    return frozenset(r.name for r in plan.runs if r.name in known and not is_finished(plan.folder_of(r, folder)))


def with_published(plan: Plan, folder: Path) -> Plan:
    """Return the plan with the runs of `published_only`.

    Raises:
        StudyError: when a file is not the one that the report in `folder` was made with, or the report is about a data
            set that cannot be had here, which a new one would leave out.
    """
    digests = read_json(folder / MANIFEST)["files"] if (folder / MANIFEST).is_file() else {}
    for name, digest in digests.items():
        if name.endswith(".parquet") and (not (folder / name).is_file() or sha256_of(folder / name) != digest):
            raise StudyError(
                f"{folder / name}: missing or changed since its report was made, so its runs cannot be taken over; "
                "restore the file, or leave out --published to make the runs again."
            )
    lost = {label: why for label, why in plan.unavailable.items() if (folder / "ranks" / f"{label}.parquet").is_file()}
    if lost:
        raise StudyError(
            f"{folder} has results of {', '.join(lost)}, and a report without them would take their place; get the "
            f"data, or write to another --out without --published. {' '.join(dict.fromkeys(lost.values()))}"
        )
    return replace(plan, published=published_only(plan, folder))


def ranks_digests(plan: Plan, folder: Path) -> list[str]:
    """Return the SHA-256 of every finished run's `ranks.parquet`, in the order of the plan."""
    published = {}
    if plan.published:
        results = pd.read_parquet(folder / "results.parquet", columns=["run", "ranks_sha256"])
        published = dict(results.itertuples(index=False))
    return [
        published[run.name]
        if run.name in plan.published
        else read_json(plan.folder_of(run, folder) / RESULT_FILE)["files"]["ranks.parquet"]
        for run in finished(plan, folder)
    ]


def _column(run: PlannedRun) -> str:
    return f"{run.variant}/{run.strategy}/{run.seed}"


def _rows_of(frame: pd.DataFrame, run: PlannedRun) -> pd.DataFrame:
    return frame[np.logical_and.reduce([frame[name] == getattr(run, name) for name in RUN_COLUMNS])]


def _with_names(frame: pd.DataFrame, run: PlannedRun) -> pd.DataFrame:
    names = {name: getattr(run, name) for name in RUN_COLUMNS}
    return pd.concat([pd.DataFrame(names, index=frame.index), frame], axis=1)


def _result_rows(run: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return one row per metric: over ranked targets, with unseen items as misses, and on validation."""
    values = {
        "value": record["metrics"],
        "value_all_targets": record["metrics_all_targets"],
        "validation": record["metrics_validation"],
    }
    frame = _with_names(pd.DataFrame(values).rename_axis("metric").reset_index(), run)
    facts = {name: record[name] for name in ("n_events", "n_parameters", "epochs", "best_epoch")}
    n_epochs, n_train = record["settings"]["n_epochs"], record["counts"]["train targets"]
    origin = {"run": run.name, "ranks_sha256": record["files"]["ranks.parquet"]}
    return frame.assign(**facts, n_train_events=n_train, at_epoch_limit=record["epochs"] >= n_epochs, **origin)


def _rank_columns(runs: list[PlannedRun], frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the test events of one data set, by number, with a column of ranks per run."""
    events = _numbered(frames[0])
    columns = {}
    for run, frame in zip(runs, frames, strict=True):
        if not _numbered(frame).equals(events):
            raise RunError(
                f"{run.folder}: its test events differ from those of {runs[0].folder}; the two come from "
                "different splits and cannot be compared. Delete both folders and run again."
            )
        # popularity's control reads all its ranks; like every baseline's they are one column
        far = frame["rank"] - frame["ties"] / 2 > (np.inf if run.variant in BASELINES else N_RANKS)
        columns[_column(run)] = frame["rank"].mask(far, np.inf)
        if (ties := frame["ties"].mask(far, 0)).any():
            columns[_column(run) + TIES] = ties
    return pd.concat([events, pd.DataFrame(columns)], axis=1)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the event columns with sessions and targets numbered by first appearance; numbered ones stay the same."""
    numbers = {name: pd.factorize(frame[name])[0].astype(np.int32) for name in ("session", "target")}
    return frame[EVENT_COLUMNS].assign(**numbers)


def _describe(plan: Plan, label: str, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what a report says of a data set, taken from a run of each variant.

    `settings` are those of all its variants; `own_settings` what some have otherwise, variant -> setting -> value.
    """
    first = next(iter(records.values()))
    settings = {variant: record["settings"] for variant, record in records.items() if variant not in BASELINES}
    shared = next(iter(settings.values()), first["settings"])
    varied = [name for name in shared if any(own[name] != shared[name] for own in settings.values())]
    return {
        **{name: first[name] for name in ("dataset", "counts", "data_sha256", "versions")},
        "code_sha256": {variant: record["code_sha256"] for variant, record in records.items()},
        "settings": {name: value for name, value in shared.items() if name not in varied},
        "own_settings": {variant: {name: own[name] for name in varied} for variant, own in settings.items()},
        "control": datasets_of(plan.study)[label]["control"],
    }
