"""A study's evidence: the small files that its verdict, figures and report are made from.

    ranks/DATASET.parquet   one row per test event: session, position, target, support, session_length, and one column
                            of ranks per run, named VARIANT/STRATEGY/SEED; where some items have the target's score, how
                            many, in a column VARIANT/STRATEGY/SEED/ties. A network's ranks are infinite where the
                            target is beyond the first 50, even if it came before all items with its score
    results.parquet         one row per run and metric; `run` is the run's name, `ranks_sha256` the digest of its ranks
    history.parquet         one row per run and epoch
    datasets.json           per data set: counts, digests, settings; and the data sets that could not be had

Timings stay out, so that the same seeds and versions give the same bytes. Sessions and target items are numbered in the
order in which they appear: evidence is published, and the ids of a data set may not be redistributed with it.

`collect.py` writes them.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gru4recf.claims import UNTRAINED
from gru4recf.errors import StudyError
from gru4recf.files import read_json
from gru4recf.models import CONTROLS, NETWORKS
from gru4recf.results import find_in_checkout

TIES = "/ties"
MANIFEST = "manifest.json"  # digests of a study's files, written with its report


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
        """Variants with results, in the study's order; last those that only some of its data sets name."""
        present, own = set(self.results["variant"]), [d["variants"] for d in self.study["datasets"]]
        named = dict.fromkeys(itertools.chain(self.study["variants"], *own))
        return [variant for variant in named if variant in present]

    @property
    def controls(self) -> dict[str, str]:
        """Label -> "positive" or "negative", of generated data sets on which features must pay, or must not."""
        return {label: kind for label in self.ranks if (kind := self.datasets["available"][label].get("control"))}

    @property
    def real(self) -> list[str]:
        """Labels of the data sets the claims are about: all that are no controls."""
        return [label for label in self.ranks if label not in self.controls]


def datasets_of(study: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return label -> the study's entry for it, of a study as `plan.json` holds it."""
    return {dataset["label"] or Path(dataset["name"]).name: dataset for dataset in study["datasets"]}


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


def n_parameters(evidence: Evidence, label: str, variant: str) -> int:
    """Return the number of a variant's parameters on a data set."""
    runs = evidence.results
    return runs.loc[(runs["dataset"] == label) & (runs["variant"] == variant), "n_parameters"].iloc[0]


def rank_columns(ranks: pd.DataFrame, variant: str, strategy: str = "simultaneous") -> list[str]:
    """Return the names of a variant's columns of ranks in order of the seed; none where it has no run."""
    found = [c for c in ranks.columns if c.startswith(f"{variant}/{strategy}/") and not c.endswith(TIES)]
    return sorted(found, key=lambda column: int(column.rsplit("/", 1)[1]))


def trained_networks(ranks: pd.DataFrame, strategy: str = "simultaneous") -> list[str]:
    """Return the variants with ranks that were trained; their seeds tell of one another's spread."""
    return [v for v in (*NETWORKS, *CONTROLS) if v not in UNTRAINED and rank_columns(ranks, v, strategy)]


def _required_columns(ranks: pd.DataFrame, variant: str, strategy: str) -> list[str]:
    if found := rank_columns(ranks, variant, strategy):
        return found
    raise StudyError(f"No finished run of {variant} with {strategy} training; run the study again to make it.")


def slice_by_support(ranks: pd.DataFrame, n_slices: int = 5) -> pd.DataFrame:
    """Return the events with a column `slice`: 0 for the rarest fifth of the target items by training count, to 4."""
    items = ranks[["target", "support"]].drop_duplicates("target").sort_values(["support", "target"])
    slices = pd.Series(np.arange(len(items)) * n_slices // len(items), index=items["target"])
    return ranks.assign(slice=slices[ranks["target"]].to_numpy())
