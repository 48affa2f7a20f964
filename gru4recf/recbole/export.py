"""A run as RecBole's files: weights, atomic files, settings and a script that prints the same metrics there.

The atomic files are RecBole's benchmark files: every target with exactly the inputs that were read before it here,
split as here, so that none of RecBole's own rules on filters, order and time (it keeps times in float32) changes a row.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import yaml
from safetensors.torch import load_file, save_file

from gru4recf.data.dataset import Dataset
from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import Sessions, cut_windows
from gru4recf.data.split import split
from gru4recf.errors import StudyError
from gru4recf.experiment import start
from gru4recf.files import atomic_path, write_json, write_text
from gru4recf.metrics import CUTOFFS
from gru4recf.models.base import SessionNetwork
from gru4recf.recbole.model import PADDING, RecBoleModel
from gru4recf.recbole.outgoing import to_recbole
from gru4recf.results import load_run
from gru4recf.settings import RunSpec

EVALUATE = '''\
"""Print the test metrics that RecBole 1.2.1 computes with these weights: python evaluate.py (needs safetensors too)."""

import json
import os
import sys

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from safetensors.torch import load_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
sys.argv = sys.argv[:1]
config = Config(config_file_list=["recbole.yaml"])
init_seed(config["seed"], config["reproducibility"])
train, _, test = data_preparation(config, create_dataset(config))
model = get_model(config["model"])(config, train.dataset).to(config["device"])
model.load_state_dict(load_file("weights.safetensors"))
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
metrics = trainer.evaluate(test, load_best_model=False)
print(json.dumps({name: float(value) for name, value in metrics.items()}))
'''
RANKING = {
    "data_path": ".",
    "USER_ID_FIELD": "session_id",
    "ITEM_ID_FIELD": "item_id",
    "alias_of_item_id": ["item_id_list"],
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "metrics": ["Recall", "MRR", "NDCG"],
    "topk": list(CUTOFFS),
    "metric_decimal_place": 8,
    "show_progress": False,
    "state": "WARNING",
}
EXPORTED = {"parallel_concat": "GRU4RecF", "id_only": "GRU4Rec"}
EMPTY_LIST = "%none"  # no escaped token reads like this
# what pandas, and so RecBole, takes for a missing value
READ_AS_MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
}


def export_run(folder: Path, out: Path) -> None:
    """Write a finished run for RecBole.

    Args:
        folder: a run's folder.
        out: gets `weights.safetensors`, `recbole.yaml`, `evaluate.py`, `metrics.json` (ours) and the atomic files.

    Raises:
        StudyError: for a run that RecBole has no architecture for, or whose data are not those it was made with.
    """
    run, record, data = _open(folder)
    parts = split(data, **run.settings.data_options(), merge_validation=run.settings.retrain)
    network = start(run, data, parts)[0].cpu()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    features = encode_features(data, parts.catalogue, run.settings.feature_names) if network.uses_features else []
    written = {"train": parts.train, "valid": parts.validation, "test": parts.test}
    written = {part: sessions for part, sessions in written.items() if sessions.n_targets}
    model = to_recbole(network, features, parts.catalogue, _recboles_order(written, parts.catalogue))
    # not the data set's own name: RecBole takes "ml-100k" for its own copy, wherever it lies
    name = re.sub(r"[^\w.-]", "_", data.name) + "-exported"
    for part, sessions in written.items():
        lines = _samples(sessions, parts.catalogue, run.settings.max_length)
        header = ("session_id:token", "item_id_list:token_seq", "item_id:token")
        _write_table(out / name / f"{name}.{part}.inter", header, lines)
    header, columns = _item_columns(model, data)
    _write_table(out / name / f"{name}.item", header, ("\t".join(row) for row in zip(*columns, strict=True)))
    with atomic_path(out / "weights.safetensors") as temporary:
        save_file(model.weights, temporary)
    settings = {"dataset": name, "MAX_ITEM_LIST_LENGTH": run.settings.max_length}
    # training stands in for validation where the run was trained on both
    settings["benchmark_filename"] = ["train", "valid" if "valid" in written else "train", "test"]
    settings = {**settings, **_model_settings(model, network), **RANKING}
    write_text(out / "recbole.yaml", yaml.safe_dump(settings, sort_keys=False))
    write_text(out / "evaluate.py", EVALUATE)
    write_json(out / "metrics.json", record["metrics"])


def _open(folder: Path) -> tuple[RunSpec, dict[str, Any], Dataset]:
    """Return (what was run, its record, the data it was made with)."""
    record = load_run(folder)
    run = RunSpec(**{name: record[name] for name in RunSpec.model_fields})
    if run.variant not in EXPORTED:
        known = " and ".join(f"{ours} (its {theirs})" for ours, theirs in EXPORTED.items())
        raise StudyError(f"RecBole has no {run.variant}; only runs of {known} can be exported.")
    data = open_dataset(run.dataset)
    if data.digest != record["data_sha256"]:
        raise StudyError(f"{run.dataset} is not the data that {folder} was made with; restore it, or run it again.")
    return run, record, data


def _recboles_order(written: dict[str, Sessions], catalogue: np.ndarray) -> np.ndarray:
    """Return the items in the order in which RecBole numbers them: targets as they appear, then the rest of `.item`."""
    targets = [sessions.items[sessions.is_target] for sessions in written.values()]
    return pd.unique(catalogue[np.concatenate([*targets, np.arange(1, len(catalogue))])])


def _samples(sessions: Sessions, catalogue: np.ndarray, max_length: int) -> Iterable[str]:
    """Yield a line per target: session, inputs, item."""
    labels = [_escaped(label) for label in sessions.labels]
    owner = sessions.session_of_events()
    items = [_escaped(item) for item in catalogue[sessions.items]]
    windows = cut_windows(sessions, max_length)
    for first, stop in zip(windows.start, windows.stop, strict=True):
        for event in range(first + 1, stop):
            if sessions.is_target[event]:
                yield f"{labels[owner[event]]}\t{' '.join(items[first:event])}\t{items[event]}"


def _item_columns(model: RecBoleModel, data: Dataset) -> tuple[list[str], list[list[str]]]:
    """Return (typed names, fields by column) of `.item`, items in RecBole's order.

    Tokens read as in the data; a number is standardised, and what became a token only for RecBole is v1, v2, ...
    """
    items = model.items[1:]
    header, columns = ["item_id:token"], [[_escaped(item) for item in items]]
    for name, values in model.features.items():
        rows, raw = values[1:].tolist(), data.items[name].loc[items]
        if values.is_floating_point():
            kind, fields = "float", [str(np.float32(value)) for value, _ in rows]
        elif values.ndim == 2:
            kind, fields = "token_seq", [" ".join(_escaped(token) for token in row) or EMPTY_LIST for row in raw]
        elif data.kinds[name] == "token":
            kind, fields = "token", [_escaped(value) if row else "" for row, value in zip(rows, raw, strict=True)]
        else:
            kind, fields = "token", [f"v{row}" if row else "" for row in rows]
        header.append(f"{name}:{kind}")
        columns.append(fields)
    return header, columns


def _escaped(token: str) -> str:
    """Return a token as RecBole reads one back: no white space or quotes, and nothing that it takes for missing."""
    if token in READ_AS_MISSING or token == PADDING:
        return f"%{ord(token[0]):02X}{token[1:]}"
    return re.sub(r'[\s"%]', lambda match: quote(match[0]), token)


def _write_table(path: Path, header: Iterable[str], lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("\t".join(header) + "\n")
        file.writelines(f"{line}\n" for line in lines)


def _model_settings(model: RecBoleModel, network: SessionNetwork) -> dict[str, Any]:
    """Return RecBole's settings of the model and its columns."""
    settings = {
        "model": model.name,
        "load_col": {"inter": ["session_id", "item_id_list", "item_id"], "item": ["item_id", *model.features]},
        "embedding_size": network.sizes.embedding_size,
        "hidden_size": network.sizes.hidden_size,
        "num_layers": network.sizes.n_layers,
        "dropout_prob": model.dropout_prob,
        "loss_type": model.loss_type,
        "train_neg_sample_args": None,
    }
    if model.features:
        numerical = [name for name, values in model.features.items() if values.is_floating_point()]
        settings |= {"selected_features": list(model.features), "numerical_features": numerical}
        settings["pooling_mode"] = model.pooling_mode
    return settings
