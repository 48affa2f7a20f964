"""Run folders: where a run's files lie, what they are called, and the manifest that says they are whole.

A run is finished when its `result.json`, written last, is there; it records the SHA-256 of the run's other files,
of the data and of the code that decided them.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4recf.data.split import Split
from gru4recf.errors import RunError, StudyError
from gru4recf.files import atomic_path, read_json, sha256_of, write_json, write_parquet
from gru4recf.models import BASELINES
from gru4recf.settings import RunSpec

if TYPE_CHECKING:
    from gru4recf.evaluation import Ranks
    from gru4recf.experiment import Trained

CHECKOUT = Path(__file__).resolve().parents[1]
RUNS = Path(os.environ.get("GRU4RECF_RUNS", CHECKOUT / "runs"))
RUN_NOTEBOOK = "02-train.ipynb"
RESULT_FILE = "result.json"
ERROR_FILE = "error.txt"
RUN_FILES = ("ranks.parquet", "history.parquet", "weights.safetensors")
RECORDED_PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "scipy", "safetensors", "papermill")
# what decides a run's numbers; a change elsewhere (figures, statistics, commands) does not make runs stale
DECIDING_CODE = (
    "data",
    "models",
    "losses.py",
    "metrics.py",
    "evaluation.py",
    "training.py",
    "optimisers.py",
    "experiment.py",
)


def find_in_checkout(*parts: str) -> Path:
    """Return a file or folder that lies beside the package (notebooks, workflow, studies).

    Raises:
        StudyError: when the package was installed without its checkout.
    """
    path = CHECKOUT.joinpath(*parts)
    if not path.exists():
        raise StudyError(
            f"{path} is not there: notebooks and workflow lie beside the package in a checkout. Clone the "
            "repository and install it with `pip install -e .`, or use `make setup`."
        )
    return path


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the packages that decide numbers."""
    installed = {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
    return {"python": platform.python_version(), "gru4recf": _own_version(), **installed}


def _own_version() -> str:
    from gru4recf import __version__

    return __version__


def code_digest(variant: str | None = None) -> str:
    """Return one SHA-256 over the modules that decide a run's numbers.

    Args:
        variant: leaves out what decides none of its runs: other controls, and baselines where it is a network. What
            controls share decides those whose names end like its module (`id_only_matched`: also `matched.py`).
    """
    package = Path(__file__).parent
    paths = [p for name in DECIDING_CODE for p in ([package / name] if "." in name else (package / name).rglob("*.py"))]
    deciding = [p for p in sorted(paths) if variant is None or _decides(p.relative_to(package), variant)]
    lines = (f"{p.relative_to(package).as_posix()}:{sha256_of(p)}\n" for p in deciding)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _decides(path: Path, variant: str) -> bool:
    if path.is_relative_to("models/controls"):
        return variant.endswith(path.stem)
    return variant in BASELINES or not path.is_relative_to("models/baselines")


def run_key(run: RunSpec, data_digest: str, code: str, label: str = "") -> str:
    """Return a folder name: readable, and different whenever data, code, torch or settings differ."""
    decided_by = [run.model_dump(exclude={"dataset"}), data_digest, code, importlib.metadata.version("torch")]
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^\w.-]+", "_", label or Path(run.dataset).name)
    return f"{name}-{run.variant}-{run.strategy}-seed{run.seed}-{digest[:10]}"


def run_folder(run: RunSpec, data_digest: str, out: str = "") -> Path:
    """Return where a run's files go: `out`, or a folder of its own below `runs/`."""
    return Path(out).resolve() if out else RUNS / run_key(run, data_digest, code_digest(run.variant))


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far; one that was forked (`gru4recf.warm`) counts of the
    libraries only what it has touched.
    """
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def rank_frame(parts: Split, ranks: "Ranks") -> pd.DataFrame:
    """Return one row per test target: session, position in it (1 is the first event), raw target item, the item's
    number of training events, length of the session, rank, and how many other items have the target's score.
    """
    sessions, catalogue = parts.test, parts.catalogue
    chosen = sessions.is_target
    session = sessions.session_of_events()[chosen]
    return pd.DataFrame(
        {
            "session": sessions.labels[session],
            "position": (sessions.position_of_events()[chosen] + 1).astype(np.int32),
            "target": catalogue[sessions.items[chosen]],
            "support": parts.support[sessions.items[chosen]].astype(np.int32),
            "session_length": sessions.lengths[session].astype(np.int32),
            "rank": ranks.ranks,
            "ties": ranks.ties.astype(np.int32),
        }
    )


def describe_run(
    run: RunSpec,
    *,
    data_digest: str,
    trained: "Trained",
    metrics: dict[str, float],
) -> dict[str, Any]:
    """Return what `result.json` says of a run besides versions and the digests of its files.

    `train_seconds` are CPU seconds of training without validation, `events_per_second` training events per CPU second,
    both of the network that was tested; `metrics_all_targets` counts targets that were not ranked, because their item
    was never or too seldom seen in training, as misses.
    """
    from gru4recf.training import count_parameters

    counts, progress = trained.parts.counts, trained.progress
    final = trained.retraining or progress
    ranked, unranked = counts["test targets"], counts["test targets not ranked"]
    seconds = sum(row.get("train_cpu_seconds", 0.0) for row in final.history)
    return {
        **run.model_dump(),
        "metrics": metrics,
        "metrics_all_targets": {name: value * ranked / (ranked + unranked) for name, value in metrics.items()},
        "metrics_validation": progress.validation_metrics,
        "n_parameters": count_parameters(trained.network),
        "n_events": ranked,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "train_seconds": seconds,
        "events_per_second": counts["train targets"] * final.epoch / seconds if seconds else 0.0,
        "peak_memory_bytes": peak_memory_bytes(),
        "counts": counts,
        "data_sha256": data_digest,
        "code_sha256": code_digest(run.variant),
    }


def save_run(
    folder: Path, *, ranks: pd.DataFrame, history: pd.DataFrame, weights: dict[str, Any], record: dict[str, Any]
) -> Path:
    """Write a run's files and, last, `result.json` with their digests; return its path.

    Args:
        folder: where; created when missing.
        ranks: see `rank_frame`.
        history: one row per epoch.
        weights: name -> tensor.
        record: what `result.json` says besides versions and digests; must not hold NaN.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT_FILE).unlink(missing_ok=True)
    write_parquet(folder / "ranks.parquet", ranks)
    write_parquet(folder / "history.parquet", history)
    with atomic_path(folder / "weights.safetensors") as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary)
    files = {name: sha256_of(folder / name) for name in RUN_FILES}
    write_json(folder / RESULT_FILE, {**record, "versions": versions(), "files": files})
    return folder / RESULT_FILE


def load_run(folder: Path) -> dict[str, Any]:
    """Return a finished run's record after checking its files against their digests.

    Raises:
        RunError: when the run is not finished or a file was changed.
    """
    if not (folder / RESULT_FILE).is_file():
        raise RunError(f"{folder}: no {RESULT_FILE}; the run has not finished.")
    record = read_json(folder / RESULT_FILE)
    for name, digest in record["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise RunError(
                f"{folder / name}: missing or not the file that was written; delete the folder to run again."
            )
    return record


def require_same_run(folder: Path, run: RunSpec, data_digest: str) -> None:
    """Refuse a folder whose finished run is another one than `run`.

    Raises:
        StudyError: naming what differs.
    """
    record = read_json(folder / RESULT_FILE)
    wanted = {**run.model_dump(), "data_sha256": data_digest, "code_sha256": code_digest(run.variant)}
    if different := [name for name, value in wanted.items() if record[name] != value]:
        raise StudyError(
            f"{folder} holds the results of another run (other {', '.join(different)}); choose another --out, or "
            "delete the folder."
        )


def checkpoint_path(folder: Path, run: RunSpec, data_digest: str, phase: str) -> Path:
    """Return the file that holds the state of a run's "selection" or "retraining".

    Another run, data or code in the same folder never continues from it.
    """
    return folder / f"checkpoint-{phase}-{run_key(run, data_digest, code_digest(run.variant))[-10:]}.pt"


def is_finished(folder: Path) -> bool:
    """Return whether the run's record and its executed notebook are there."""
    return (folder / RESULT_FILE).is_file() and (folder / RUN_NOTEBOOK).is_file()
