"""Our networks as RecBole holds them.

Features are converted, exactly:

* an empty list holds a token of its own, because RecBole has no row for it;
* a number stays one (standardised as here) where it is the only one: RecBole fails on a second float;
* what RecBole has no place for, a dense vector, a missing or a second number, becomes a token with a row per distinct
  vector;
* features are ordered by kind, as RecBole orders them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn

from gru4recf.data.atomic import KINDS
from gru4recf.data.features import Feature, TokenFeature, TokenSequenceFeature, VectorFeature, gather_lists
from gru4recf.errors import StudyError
from gru4recf.models.base import SessionNetwork
from gru4recf.models.id_only import IdOnly
from gru4recf.models.parallel_concat import ParallelConcat
from gru4recf.recbole.model import LAYERS, PADDING, RecBoleModel, Tensors, renamed, table_prefix

NAMES = {ParallelConcat: "GRU4RecF", IdOnly: "GRU4Rec"}


def to_recbole(
    network: SessionNetwork, features: Sequence[Feature], catalogue: Sequence[str], items: Sequence[str] | None = None
) -> RecBoleModel:
    """Return the same network as RecBole would hold it.

    Args:
        network: an `id_only` or `parallel_concat` with a tied output.
        features: those the network was built with.
        catalogue: raw item ids by our index, index 0 being padding.
        items: the same ids in the order in which RecBole numbers them, from its number 1 on; None keeps ours.

    Raises:
        StudyError: for an architecture that RecBole does not have.
    """
    names = LAYERS[_recboles_name(network)]
    index = {item: i for i, item in enumerate(catalogue)}
    order = list(catalogue[1:]) if items is None else list(items)
    rows = np.array([0, *(index[item] for item in order)])
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    weights = {"item_embedding.weight": state["item_embedding.weight"][torch.from_numpy(rows)]}
    for ours, theirs in names.items():
        weights |= renamed(state, ours, theirs)
    if isinstance(network.head, nn.Identity):
        size = network.sizes.embedding_size
        weights |= {f"{names['head']}.weight": torch.eye(size), f"{names['head']}.bias": torch.zeros(size)}
    columns: list[_Column] = []
    if network.features is not None:
        columns = _columns(features, network.features.tables, rows)
        first = f"{names['feature_rnn']}.weight_ih_l0"
        weights[first] = _by_kind(weights[first], [column.kind for column in columns])
        columns.sort(key=lambda column: KINDS.index(column.kind))
        weights |= _recboles_tables(columns)
    return RecBoleModel(
        weights={name: tensor.contiguous() for name, tensor in weights.items()},
        items=[PADDING, *order],
        features={column.name: torch.from_numpy(column.values) for column in columns},
        pooling_mode=network.sizes.pooling,
        loss_type="BPR" if network.sizes.loss == "bpr" else "CE",
        dropout_prob=network.sizes.dropout,
    )


@dataclass(frozen=True)
class _Column:
    """A feature as RecBole holds it: its kind, its values over RecBole's item numbers, its rows of a table."""

    name: str
    kind: str
    values: np.ndarray
    table: torch.Tensor


def _recboles_name(network: SessionNetwork) -> str:
    name = NAMES.get(type(network))
    if name is None:
        raise StudyError(
            f"RecBole has no {type(network).__name__}; only parallel_concat (its GRU4RecF) and id_only (its GRU4Rec) "
            "can go there."
        )
    if network.output is not None or network.output_side is not None:
        raise StudyError("RecBole scores items by their input embeddings; use output=tied and output_features=false.")
    return name


def _is_number(feature: Feature) -> bool:
    """Return whether every item has one number."""
    return isinstance(feature, VectorFeature) and feature.vectors.shape[1] == 1 and not feature.missing[1:].any()


def _columns(features: Sequence[Feature], tables: Sequence[nn.Module], rows: np.ndarray) -> list[_Column]:
    as_float = sum(_is_number(feature) for feature in features) == 1
    return [_column(feature, table, rows, as_float) for feature, table in zip(features, tables, strict=True)]


def _by_kind(weight: torch.Tensor, kinds: list[str]) -> torch.Tensor:
    """Return a GRU's input weights (3H, F * E) with their blocks, one per feature, in the order of kinds."""
    places = sorted(range(len(kinds)), key=lambda place: KINDS.index(kinds[place]))
    return weight.unflatten(1, (len(kinds), -1))[:, places].flatten(1)


def _column(feature: Feature, table: nn.Module, rows: np.ndarray, as_float: bool) -> _Column:
    """Convert one feature; `rows` are our indices in the order of RecBole's numbers, 0 first."""
    if isinstance(feature, TokenFeature):
        return _token_column(feature.name, feature.codes[rows], table.embedding.weight.detach().cpu())
    if isinstance(feature, TokenSequenceFeature):
        return _list_column(feature, table.embedding.weight.detach().cpu(), rows)
    if as_float and _is_number(feature):
        projection = table.projection.weight.detach().cpu().T
        pairs = np.concatenate([feature.vectors[rows], np.ones((len(rows), 1), dtype=np.float32)], axis=1)
        return _Column(feature.name, "float", pairs, torch.cat([torch.zeros_like(projection), projection]))
    missing = feature.missing[rows]
    missing[0] = True  # padding has no value
    _, codes = np.unique(feature.vectors[rows], axis=0, return_inverse=True)
    codes = np.where(missing, 0, codes.reshape(-1) + 1)
    vectors = table.missing_embedding.weight.detach().cpu().repeat(codes.max() + 1, 1)
    vectors[codes[~missing]] = table(torch.from_numpy(rows[~missing])).detach().cpu()
    return _token_column(feature.name, codes, vectors)


def _token_column(name: str, codes: np.ndarray, table: torch.Tensor) -> _Column:
    numbers, kept = _by_first_appearance(codes)
    return _Column(name, "token", numbers, table[[0, *kept]])


def _list_column(feature: TokenSequenceFeature, table: torch.Tensor, rows: np.ndarray) -> _Column:
    """Convert lists; an empty one holds a token of its own there, because RecBole has no row for it."""
    codes, offsets = gather_lists(feature.codes, feature.offsets, rows)
    codes, lengths = codes[offsets[1] :], np.diff(offsets)
    lengths[0] = 0  # the padding item's list
    numbers, kept = _by_first_appearance(codes + 1)
    values = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    values[np.arange(lengths.max()) < lengths[:, None]] = numbers
    return _Column(feature.name, "token_seq", values, torch.cat([torch.zeros_like(table[:1]), table[kept - 1]]))


def _by_first_appearance(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes numbered from 1 in order of first appearance, 0 staying 0, and the old code of each number."""
    numbers, known = np.zeros_like(codes), codes > 0
    places, kept = pd.factorize(codes[known])
    numbers[known] = places + 1
    return numbers, kept


def _recboles_tables(columns: list[_Column]) -> Tensors:
    weights = {}
    for kind in KINDS:
        tables = [column.table for column in columns if column.kind == kind]
        prefix = table_prefix(kind)
        if kind.endswith("_seq"):
            weights |= {f"{prefix}{place}.weight": table for place, table in enumerate(tables)}
        elif tables:
            weights[f"{prefix}embedding.weight"] = torch.cat(tables)
    return weights
