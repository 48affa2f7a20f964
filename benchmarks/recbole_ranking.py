"""Every event after the first of a test session ranked by RecBole and here, for recbole_speed.py.

A run is exported (`gru4recf export`), which gives RecBole every target with its inputs as a row; the metrics of both
sides must be equal, so that both are known to rank the same rows. RecBole reads each row's inputs, padded to L; a pass
over the session here gives all of its rows. On ml-100k a user's events are the session.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from sequences import write_sequences

from gru4recf.data.registry import open_dataset
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import start
from gru4recf.metrics import summarise
from gru4recf.results import load_run
from gru4recf.settings import RunSpec

SETTINGS = {"n_epochs": 1, "pooling": "sum", "dropout": 0.3}
USERS = ("ml-100k",)
"""Data sets whose sequences are users, of whom the project leaves out the last events otherwise."""


def export(name: str, work: Path) -> tuple[Path, Path]:
    """Make a run of a data set and its export where they are not there yet; return both folders."""
    run, out, dataset = work / f"run-{name}", work / f"export-{name}", name
    if not (out / "metrics.json").exists():
        if name in USERS:
            dataset = str(work / f"{name}-as-sessions")
            write_sequences(name, Path(dataset), as_sessions=True)
        gru4recf = [sys.executable, "-m", "gru4recf.cli"]
        options = [
            *("--dataset", dataset, "--variant", "parallel_concat"),
            *(f"--set={k}={v}" for k, v in SETTINGS.items()),
        ]
        subprocess.run([*gru4recf, "run", *options, "--out", str(run)], check=True)
        subprocess.run([*gru4recf, "export", str(run), "--out", str(out)], check=True)
    return run, out


def ours(folder: Path, n_tries: int) -> dict[str, Any]:
    """Return rows per CPU second of every try, and metrics."""
    torch.set_num_threads(1)
    record = load_run(folder)
    run = RunSpec(**{name: record[name] for name in RunSpec.model_fields})
    data = open_dataset(run.dataset)
    parts = split(data, **run.settings.data_options(), merge_validation=run.settings.retrain)
    network = start(run, data, parts)[0]
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    rates, metrics = [], {}
    for _ in range(n_tries):
        begin = time.process_time()
        metrics = summarise(rank_targets(network, parts.test, max_length=run.settings.max_length).ranks)
        rates.append(parts.test.n_targets / (time.process_time() - begin))
    return {"ranked_rows_per_cpu_second": rates, "metrics": metrics, "rows": parts.test.n_targets}


def recboles_settings(out: Path, n_tries: int) -> dict[str, Any]:
    """Return the settings that the export wrote, with what the measurement adds."""
    settings = yaml.safe_load((out / "recbole.yaml").read_text())
    return settings | {"data_path": str(out), "weights": str(out / "weights.safetensors"), "n_tries": n_tries}


def compared(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return both sides' best rate, their ratio, and how far their metrics differ."""
    lower = {name.lower(): value for name, value in ours["metrics"].items()}
    rates = {"ours": ours, "recbole": theirs}
    rates = {side: round(max(found["ranked_rows_per_cpu_second"])) for side, found in rates.items()}
    return {
        "users": name in USERS,
        "rows": ours["rows"],
        "ranked_rows_per_cpu_second": rates,
        "ratio": round(rates["ours"] / rates["recbole"], 1),
        "largest_difference_of_metrics": max(abs(lower[name] - value) for name, value in theirs["metrics"].items()),
    }
