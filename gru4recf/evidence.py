"""A study's evidence: the small files that its verdict, figures and report are made from.

    ranks/DATASET.parquet   one row per test event: session, position, target, support, session_length, and one column
                            of ranks per run, named VARIANT/STRATEGY/SEED; where some items have the target's score, how
                            many, in a column VARIANT/STRATEGY/SEED/ties
    results.parquet         one row per run and metric
    history.parquet         one row per run and epoch
    datasets.json           per data set: counts, digests, settings; and the data sets that could not be had

Timings stay out, so that the same seeds and versions give the same bytes. Sessions and target items are numbered in the
order in which they appear: evidence is published, and the ids of a data set may not be redistributed with it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gru4recf.errors import RunError, StudyError
from gru4recf.files import read_json, write_json, write_parquet
from gru4recf.models import BASELINES
from gru4recf.plan import Plan, PlannedRun, finished
from gru4recf.results import find_in_checkout, load_run

EVENT_COLUMNS = ["session", "position", "target", "support", "session_length"]
TIES = "/ties"
TIMINGS = ["seconds", "train_cpu_seconds"]
RUN_COLUMNS = ["dataset", "variant", "strategy", "seed"]


@dataclass(frozen=True)
class Evidence:
    """Everything below a study's folder that figures and verdict need; see the module."""

    study: dict[str, Any]
    results: pd.DataFrame
    history: pd.DataFrame
    datasets: dict[str, Any]
    ranks: dict[str, pd.DataFrame]

    @property
    def variants(self) -> list[str]:
        """Variants with results, in the study's order."""
        present = set(self.results["variant"])
        return [variant for variant in self.study["variants"] if variant in present]

    @property
    def controls(self) -> dict[str, str]:
        """Label -> "positive" or "negative", of generated data sets on which features must pay, or must not."""
        return {label: kind for label in self.ranks if (kind := self.datasets["available"][label].get("control"))}

    @property
    def real(self) -> list[str]:
        """Labels of the data sets the claims are about: all that are no controls."""
        return [label for label in self.ranks if label not in self.controls]


def collect(plan: Plan, folder: Path) -> None:
    """Gather the finished runs of a plan into evidence files in `folder`.

    Raises:
        RunError: when a run's files are not the ones it wrote, or runs of a data set rank different events.
    """
    runs = finished(plan, folder)
    records = {run.folder: load_run(plan.folder_of(run, folder)) for run in runs}
    write_parquet(folder / "results.parquet", pd.concat([_result_rows(r, records[r.folder]) for r in runs]))
    history = [_with_names(_selection(plan.folder_of(r, folder)), r) for r in runs]
    write_parquet(folder / "history.parquet", pd.concat(history).drop(columns=TIMINGS, errors="ignore"))
    for old in (folder / "ranks").glob("*.parquet"):
        old.unlink()  # of a data set that may not be part of the study any more
    described = {}
    for label in dict.fromkeys(run.dataset for run in runs):
        own = [run for run in runs if run.dataset == label]
        write_parquet(folder / "ranks" / f"{label}.parquet", _rank_columns(plan, own, folder))
        described[label] = _describe(plan, label, {run.variant: records[run.folder] for run in own})
    write_json(folder / "datasets.json", {"available": described, "unavailable": plan.unavailable})


def study_folder_or_default(folder: str) -> Path:
    """Return the folder, or that of the default study beside the package when the name is empty."""
    return Path(folder) if folder else find_in_checkout("reports", "default")


def load_evidence(folder: Path) -> Evidence:
    """Read the evidence of a study's folder.

    Raises:
        StudyError: when it holds none.
    """
    folder = Path(folder)
    if not (folder / "results.parquet").is_file():
        raise StudyError(f"{folder}: no results.parquet; run `gru4recf study` with --out {folder} first.")
    datasets = read_json(folder / "datasets.json")
    return Evidence(
        study=read_json(folder / "plan.json")["study"],
        results=pd.read_parquet(folder / "results.parquet"),
        history=pd.read_parquet(folder / "history.parquet"),
        datasets=datasets,
        ranks={label: pd.read_parquet(folder / "ranks" / f"{label}.parquet") for label in datasets["available"]},
    )


def rank_matrix(ranks: pd.DataFrame, variant: str, strategy: str = "simultaneous") -> np.ndarray:
    """Return the ranks (n_seeds, n_events) of one variant; rows in order of the seed.

    Raises:
        StudyError: when the data set has no run of it.
    """
    return ranks[_required_columns(ranks, variant, strategy)].to_numpy(np.float32).T


def tie_matrix(ranks: pd.DataFrame, variant: str, strategy: str = "simultaneous") -> np.ndarray:
    """Return how many other items have the target's score (n_seeds, n_events), in the order of `rank_matrix`."""
    columns = [f"{column}{TIES}" for column in _required_columns(ranks, variant, strategy)]
    return ranks.reindex(columns=columns, fill_value=0).to_numpy(np.float32).T


def rank_columns(ranks: pd.DataFrame, variant: str, strategy: str = "simultaneous") -> list[str]:
    """Return the names of a variant's columns of ranks in order of the seed; none where it has no run."""
    found = [c for c in ranks.columns if c.startswith(f"{variant}/{strategy}/") and not c.endswith(TIES)]
    return sorted(found, key=lambda column: int(column.rsplit("/", 1)[1]))


def _required_columns(ranks: pd.DataFrame, variant: str, strategy: str) -> list[str]:
    if found := rank_columns(ranks, variant, strategy):
        return found
    raise StudyError(f"No finished run of {variant} with {strategy} training; run the study again to make it.")


def _selection(folder: Path) -> pd.DataFrame:
    """Return the epochs that validation chose from; those of the training after it repeat them without a choice."""
    history = pd.read_parquet(folder / "history.parquet")
    return history[history["phase"] == "selection"].drop(columns="phase")


def _with_names(frame: pd.DataFrame, run: PlannedRun) -> pd.DataFrame:
    return frame.assign(dataset=run.dataset, variant=run.variant, strategy=run.strategy, seed=run.seed)


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
    return frame.assign(**facts, n_train_events=n_train, at_epoch_limit=record["epochs"] >= n_epochs)


def _rank_columns(plan: Plan, runs: list[PlannedRun], folder: Path) -> pd.DataFrame:
    """Return the test events of one data set with a column of ranks per run."""
    frames = [pd.read_parquet(plan.folder_of(run, folder) / "ranks.parquet") for run in runs]
    events = frames[0][EVENT_COLUMNS]
    columns = {}
    for run, frame in zip(runs, frames, strict=True):
        if not frame[EVENT_COLUMNS].equals(events):
            raise RunError(
                f"{run.folder}: its test events differ from those of {runs[0].folder}; the two come from "
                "different splits and cannot be compared. Delete both folders and run again."
            )
        name = f"{run.variant}/{run.strategy}/{run.seed}"
        columns[name] = frame["rank"]
        if frame["ties"].any():
            columns[name + TIES] = frame["ties"]
    numbered = {name: pd.factorize(events[name])[0].astype(np.int32) for name in ("session", "target")}
    return pd.concat([events.assign(**numbered), pd.DataFrame(columns)], axis=1)


def _describe(plan: Plan, label: str, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what a report says of a data set, taken from a run of each variant.

    `settings` are those of all its variants; `own_settings` what some have otherwise, variant -> setting -> value.
    """
    first = next(iter(records.values()))
    settings = {variant: record["settings"] for variant, record in records.items() if variant not in BASELINES}
    shared = next(iter(settings.values()), first["settings"])
    varied = [name for name in shared if any(own[name] != shared[name] for own in settings.values())]
    datasets = {dataset["label"] or Path(dataset["name"]).name: dataset for dataset in plan.study["datasets"]}
    return {
        **{name: first[name] for name in ("dataset", "counts", "data_sha256", "code_sha256", "versions")},
        "settings": {name: value for name, value in shared.items() if name not in varied},
        "own_settings": {variant: {name: own[name] for name in varied} for variant, own in settings.items()},
        "control": datasets[label]["control"],
    }


def slice_by_support(ranks: pd.DataFrame, n_slices: int = 5) -> pd.DataFrame:
    """Return the events with a column `slice`: 0 for the rarest fifth of the target items by training count, to 4."""
    items = ranks[["target", "support"]].drop_duplicates("target").sort_values(["support", "target"])
    slices = pd.Series(np.arange(len(items)) * n_slices // len(items), index=items["target"])
    return ranks.assign(slice=slices[ranks["target"]].to_numpy())
