"""RecBole's weights from files, and its numbering of items and features from atomic files.

A RecBole checkpoint pickles whole objects and is never loaded; its owner runs `HOW_TO_WRITE` in their RecBole instead.

Source: RecBole 1.2.1, `data/dataset/dataset.py`, for how items and values are numbered and missing ones filled.
"""

import dataclasses
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gru4recf.data.atomic import read_events, read_items
from gru4recf.errors import StudyError
from gru4recf.recbole.model import PADDING, RecBoleModel, Tensors

HOW_TO_WRITE = """\
import torch; from recbole.quick_start import load_data_and_model
config, model, data, *_ = load_data_and_model("saved/GRU4RecF-DATE.pth")
torch.save({"weights": model.state_dict(), "items": [str(i) for i in data.field2id_token[data.iid_field]],
            "features": {name: data.get_item_feature()[name] for name in config["selected_features"] or []},
            **{name: config[name] for name in ("pooling_mode", "loss_type", "dropout_prob")}}, "recbole.pt")
"""


def read_recbole(path: Path) -> RecBoleModel:
    """Read what `HOW_TO_WRITE` wrote, or a plain state dict, from a safetensors file or one of torch.save.

    A plain state dict says nothing of items and features; `read_recboles_items` reads them from atomic files.

    Raises:
        StudyError: for a RecBole checkpoint, and for anything else that is not made of plain tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: no such file; name the one that holds the weights.")
    try:
        saved = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise _no_plain_weights(path) from None
    if not isinstance(saved, dict):
        raise _no_plain_weights(path)
    known = {field.name for field in dataclasses.fields(RecBoleModel)}
    model = (
        RecBoleModel(**saved) if {"weights", "items", "features"} <= set(saved) <= known else RecBoleModel(dict(saved))
    )
    if not (model.weights and _are_tensors(model.weights) and _are_tensors(model.features)):
        raise _no_plain_weights(path)
    if not (isinstance(model.items, list) and all(isinstance(item, str) for item in model.items)):
        raise StudyError(f"{path}: items must be a list of raw ids as text, by RecBole's number.")
    return model


def _are_tensors(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(value, torch.Tensor) for value in values.values())


def read_recboles_items(inter: Path, item: Path | None, names: Sequence[str] = ()) -> tuple[list[str], Tensors]:
    """Return what RecBole makes of atomic files: (raw item ids by its number, `names` as `RecBoleModel.features`).

    Items are numbered in order of first appearance in `.inter`, then in `.item`; events of items without a row in
    `.item` are dropped. Every float is taken for numerical. With settings that filter or change values in RecBole
    (intervals, normalize_field, discretization) use `HOW_TO_WRITE`, which asks RecBole itself.
    """
    events = read_events(inter)[0]["item"]
    if item is None:
        return [PADDING, *events.unique()], {}
    table, kinds = read_items(item)
    items = pd.unique(pd.concat([events[events.isin(table.index)], table.index.to_series()]))
    features = {name: _as_recbole(table[name], kinds[name], items) for name in names}
    return [PADDING, *items], {name: torch.from_numpy(values) for name, values in features.items()}


def _no_plain_weights(path: Path) -> StudyError:
    return StudyError(
        f"{path} holds no plain weights. A RecBole checkpoint pickles whole objects, which run code when they are "
        "loaded, so it is never read here; run these lines in your RecBole and use the file they write:\n"
        + HOW_TO_WRITE
    )


def _as_recbole(values: pd.Series, kind: str, items: Iterable[str]) -> np.ndarray:
    """Return a column of `.item`, rows in file order, over RecBole's item numbers; see `RecBoleModel.features`."""
    if kind == "token":
        codes = pd.Series(pd.factorize(values)[0] + 1, index=values.index)
        return np.concatenate([[0], codes.loc[items]])
    if kind == "float":
        numbers = values.fillna(values.mean())
        numbers = np.concatenate([[values.mean()], numbers.loc[items]])
        return np.stack([numbers, np.ones_like(numbers)], axis=1).astype(np.float32)
    if kind == "token_seq":
        codes = pd.factorize(values.explode().dropna())[0] + 1
        lists = np.split(codes, np.cumsum(values.map(len))[:-1])
        return _padded(dict(zip(values.index, lists, strict=True)), items, np.int64)
    lists = {item: [] if vector is None else vector for item, vector in values.items()}
    numbers = _padded(lists, items, np.float32)
    given = _padded({item: np.ones(len(vector)) for item, vector in lists.items()}, items, np.float32)
    return np.stack([numbers, given], axis=-1)


def _padded(lists: dict[str, Sequence], items: Iterable[str], kind: type) -> np.ndarray:
    padded = np.zeros((1 + len(lists), max(len(values) for values in lists.values())), dtype=kind)
    for row, item in enumerate(items, start=1):
        padded[row, : len(lists[item])] = lists[item]
    return padded
