"""RecBole's weights in our networks.

Items, GRUs and head differ in names only; features are converted, exactly:

* a missing token is row 0 in both; an empty list is zero there (-1e9 under max pooling) and a row of its own here;
* a number is multiplied with one row there, which is the projection of a vector of length one here;
* a list of numbers is pooled there and multiplied with one row; under max pooling that is the largest number times
  the row's positive part plus the smallest times its negative part;
* numbers that RecBole cut into classes are tokens.

Source: RecBole 1.2.1, `model/sequential_recommender/gru4recf.py`, `model/layers.py`.
"""

from collections.abc import Sequence

import numpy as np
import torch

from gru4recf.data.atomic import KINDS
from gru4recf.data.features import Feature, TokenFeature, TokenSequenceFeature, VectorFeature
from gru4recf.data.tables import one_line
from gru4recf.errors import StudyError
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.id_only import IdOnly
from gru4recf.models.parallel_concat import ParallelConcat
from gru4recf.recbole.model import LAYERS, LOSSES, RecBoleModel, Tensors, renamed, table_prefix

MASKED = -1e9  # what RecBole's max pooling makes of padding


def from_recbole(model: RecBoleModel, catalogue: Sequence[str] | None = None) -> SessionNetwork:
    """Return our network with the same weights, in evaluation mode: its four methods give RecBole's numbers.

    Args:
        model: weights and what they are about.
        catalogue: raw item ids by our index, index 0 being padding, to number items as a `Split` does; items left out
            are not scored. None keeps RecBole's numbers.

    Raises:
        StudyError: for weights that are not GRU4RecF's or GRU4Rec's, features that do not fit them, unknown items.
    """
    _require_weights(model)
    rows = _rows_of(model, catalogue)
    embedded = _embedded(model, rows)
    recurrent = model.weights[f"{LAYERS[model.name]['item_rnn']}.weight_hh_l0"]
    sizes = Sizes(
        n_items=len(rows),
        embedding_size=model.weights["item_embedding.weight"].shape[1],
        hidden_size=recurrent.shape[1],
        n_layers=sum(name.startswith(f"{LAYERS[model.name]['item_rnn']}.weight_hh_l") for name in model.weights),
        dropout=model.dropout_prob,
        pooling=model.pooling_mode or "sum",
        loss=LOSSES[model.loss_type],
    )
    weights = {"item_embedding.weight": model.weights["item_embedding.weight"][rows]}
    for ours, theirs in LAYERS[model.name].items():
        weights |= renamed(model.weights, theirs, ours)
    for place, (_, table) in enumerate(embedded):
        weights |= {f"features.tables.{place}.{name}": tensor for name, tensor in table.items()}
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten: the caller's generator stays put
        network = (ParallelConcat if embedded else IdOnly)(sizes, [feature for feature, _ in embedded])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise StudyError(f"The weights do not fit together ({one_line(error)}); give the whole state dict.") from None
    return network.eval()


def features_of(model: RecBoleModel, catalogue: Sequence[str] | None = None) -> list[Feature]:
    """Return the features that the network of `from_recbole` is built with."""
    return [feature for feature, _ in _embedded(model, _rows_of(model, catalogue))]


def _require_weights(model: RecBoleModel) -> None:
    needed = ["item_embedding", *LAYERS[model.name].values()]
    missing = [layer for layer in needed if not any(name.startswith(f"{layer}.") for name in model.weights)]
    if missing:
        raise StudyError(
            f"The weights hold no {' and no '.join(missing)}, so they are not those of RecBole's {model.name} with "
            f"{len(model.features)} features; give its whole state dict and all of its selected_features."
        )
    n_items = len(model.weights["item_embedding.weight"])
    if model.items and len(model.items) != n_items:
        raise StudyError(f"There are {len(model.items)} items where the weights have {n_items}, padding included.")
    for name, values in model.features.items():
        if len(values) != n_items:
            raise StudyError(f"Feature {name!r} has {len(values)} rows where the weights have {n_items} items.")
    if model.loss_type not in LOSSES:
        raise StudyError(f"loss_type is {model.loss_type!r}; RecBole knows {' and '.join(LOSSES)}.")


def _rows_of(model: RecBoleModel, catalogue: Sequence[str] | None) -> torch.Tensor:
    """Return RecBole's number of each item of the catalogue (N,)."""
    if catalogue is None:
        return torch.arange(len(model.weights["item_embedding.weight"]))
    number = {item: row for row, item in enumerate(model.items)}
    unknown = [item for item in catalogue[1:] if item not in number]
    if unknown:
        raise StudyError(
            f"Item {unknown[0]!r} is not among the {len(number)} items of the RecBole model ({len(unknown)} are not); "
            "use the data that it was trained on."
        )
    return torch.tensor([0, *(number[item] for item in catalogue[1:])])


def _embedded(model: RecBoleModel, rows: torch.Tensor) -> list[tuple[Feature, Tensors]]:
    return [
        _EMBED[kind](name, model.features[name][rows].numpy(), table, model.pooling_mode)
        for kind in KINDS
        for name, table in _tables_of(model, kind).items()
    ]


def _kind_of(name: str, values: torch.Tensor) -> str:
    kind = {(1, False): "token", (2, False): "token_seq", (2, True): "float", (3, True): "float_seq"}.get(
        (values.ndim, values.is_floating_point())
    )
    if kind is None or (values.is_floating_point() and values.shape[-1] != 2):
        raise StudyError(
            f"Feature {name!r} of RecBole has shape {tuple(values.shape)}, which GRU4RecF cannot embed; "
            "name every float feature in RecBole's numerical_features."
        )
    return kind


def _tables_of(model: RecBoleModel, kind: str) -> Tensors:
    """Return the embedding table of each feature of a kind, in RecBole's order; scalars of a kind share one."""
    chosen = {name: values for name, values in model.features.items() if _kind_of(name, values) == kind}
    codes = [values[..., 1] if kind.startswith("float") else values for values in chosen.values()]
    sizes = [int(code.max()) + 1 for code in codes]
    prefix = table_prefix(kind)
    found = [tensor for name, tensor in model.weights.items() if name.startswith(prefix)]
    if kind.endswith("_seq"):  # by number: a safetensors file sorts "10" before "2"
        found = [model.weights[f"{prefix}{place}.weight"] for place in range(len(found))]
    elif chosen:
        found = list(found[0].split(sizes)) if found and len(found[0]) == sum(sizes) else []
    if len(found) != len(chosen):
        raise StudyError(
            f"The weights' tables for {kind} features do not fit {', '.join(chosen) or 'no such feature'}; "
            "give all of the model's selected_features, in its order and over all of its items."
        )
    return dict(zip(chosen, found, strict=True))


def _embed_token(name: str, codes: np.ndarray, table: torch.Tensor, pooling: str | None) -> tuple[Feature, Tensors]:
    return TokenFeature(name, codes, len(table)), {"embedding.weight": table}


def _embed_tokens(name: str, codes: np.ndarray, table: torch.Tensor, pooling: str | None) -> tuple[Feature, Tensors]:
    given = codes != 0
    empty = ~given.any(axis=1)
    given[empty, 0] = True  # an empty list is the single code 0
    offsets = np.concatenate([[0], np.cumsum(given.sum(axis=1))])
    row = table[:1] + MASKED if pooling == "max" else torch.zeros_like(table[:1])
    feature = TokenSequenceFeature(name, codes[given], offsets, len(table))
    return feature, {"embedding.weight": torch.cat([row, table[1:]])}


def _embed_float(name: str, pairs: np.ndarray, table: torch.Tensor, pooling: str | None) -> tuple[Feature, Tensors]:
    values, codes = pairs[:, 0], pairs[:, 1].astype(np.int64)
    if len(table) > 2:  # cut into classes: every value is 1
        return _embed_token(name, codes, table, pooling)
    return _projected(name, values[:, None], table[1:].T, np.zeros(len(values), dtype=bool))


def _embed_floats(name: str, pairs: np.ndarray, table: torch.Tensor, pooling: str | None) -> tuple[Feature, Tensors]:
    values, codes = pairs[..., 0], pairs[..., 1].astype(np.int64)
    if len(table) > 2:
        return _embed_tokens(name, codes, table, pooling)
    given = codes != 0
    empty = ~given.any(axis=1)
    if pooling == "max":
        largest = np.where(given, values, -np.inf).max(axis=1)
        smallest = np.where(given, values, np.inf).min(axis=1)
        extremes = np.where(empty[:, None], 0, np.stack([largest, smallest], axis=1))
        weight = torch.cat([table[1:].clamp(min=0), table[1:].clamp(max=0)]).T
        return _projected(name, extremes, weight, empty)
    number = np.where(given, values, 0).sum(axis=1)
    number = number / np.maximum(given.sum(axis=1), 1) if pooling == "mean" else number
    return _projected(name, number[:, None], table[1:].T, np.zeros_like(empty))


def _projected(
    name: str, vectors: np.ndarray, weight: torch.Tensor, missing: np.ndarray
) -> tuple[VectorFeature, Tensors]:
    """Return vectors (N, D) with their projection (E, D); only max pooling leaves any missing."""
    masked = torch.full((1, len(weight)), MASKED)
    feature = VectorFeature(name, vectors.astype(np.float32), missing)
    return feature, {"projection.weight": weight, "missing_embedding.weight": masked}


_EMBED = {"token": _embed_token, "token_seq": _embed_tokens, "float": _embed_float, "float_seq": _embed_floats}
