"""Item features as arrays over the catalogue, ready for a network to embed.

Row 0 belongs to the padding item. Codes are given in order of first appearance along the catalogue; code 0 means
missing and has an embedding of its own. Floats are standardised over the catalogue, which holds training items
only; a missing float is 0 with its flag set.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.errors import DataError, unknown_name


@dataclass(frozen=True)
class TokenFeature:
    """One value out of a vocabulary. `codes` is (N,) int64, 0 = missing; `n_values` counts the missing one too."""

    name: str
    codes: np.ndarray
    n_values: int


@dataclass(frozen=True)
class TokenSequenceFeature:
    """A list of values. Item i has `codes[offsets[i]:offsets[i + 1]]`; an empty list is the single code 0."""

    name: str
    codes: np.ndarray
    offsets: np.ndarray
    n_values: int


@dataclass(frozen=True)
class VectorFeature:
    """A dense vector, or one number when D is 1. `vectors` is (N, D) float32, `missing` (N,) bool."""

    name: str
    vectors: np.ndarray
    missing: np.ndarray


Feature = TokenFeature | TokenSequenceFeature | VectorFeature


def encode_features(dataset: Dataset, catalogue: np.ndarray, names: tuple[str, ...] = ()) -> list[Feature]:
    """Return the features called `names` (all, when empty) over the catalogue, in the data set's order.

    Raises:
        StudyError: for a name the data set does not have.
    """
    for name in names:
        if name not in dataset.kinds:
            raise unknown_name(f"feature of {dataset.name}", name, dataset.kinds)
    items = dataset.items.loc[catalogue[1:]]
    chosen = [name for name in dataset.kinds if not names or name in names]
    return [_encode(items[name], dataset.kinds[name]) for name in chosen]


def permute_items(features: list[Feature], generator: np.random.Generator) -> list[Feature]:
    """Return the features with all items' values exchanged by one permutation: a control that must bring no gain."""
    n_items = _n_rows(features[0])
    rows = np.concatenate([[0], 1 + generator.permutation(n_items - 1)])
    return [_take(feature, rows) for feature in features]


def _n_rows(feature: Feature) -> int:
    if isinstance(feature, TokenSequenceFeature):
        return len(feature.offsets) - 1
    return len(feature.codes if isinstance(feature, TokenFeature) else feature.vectors)


def _take(feature: Feature, rows: np.ndarray) -> Feature:
    if isinstance(feature, TokenFeature):
        return TokenFeature(feature.name, feature.codes[rows], feature.n_values)
    if isinstance(feature, VectorFeature):
        return VectorFeature(feature.name, feature.vectors[rows], feature.missing[rows])
    codes, offsets = gather_lists(feature.codes, feature.offsets, rows)
    return TokenSequenceFeature(feature.name, codes, offsets, feature.n_values)


def gather_lists(values: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lists of `rows`, one behind the other, and their new offsets."""
    lengths = np.diff(offsets)[rows]
    new_offsets = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(new_offsets[-1]) + np.repeat(offsets[rows] - new_offsets[:-1], lengths)
    return values[index], new_offsets


def _encode(values: pd.Series, kind: str) -> Feature:
    if kind == "token":
        codes, vocabulary = pd.factorize(values)
        return TokenFeature(values.name, np.concatenate([[0], codes + 1]).astype(np.int64), len(vocabulary) + 1)
    if kind == "token_seq":
        return _encode_lists(values)
    if kind == "float":
        return _encode_vectors(values.name, values.to_numpy(np.float64)[:, None])
    known = [v for v in values if v is not None]
    if not known:
        raise DataError(f"Feature {values.name}: no item of the catalogue has a vector; leave the feature out.")
    empty = np.full(len(known[0]), np.nan)
    return _encode_vectors(values.name, np.stack([empty if v is None else v for v in values]).astype(np.float64))


def _encode_lists(values: pd.Series) -> TokenSequenceFeature:
    lists = values.reset_index(drop=True)
    exploded = lists.explode()
    codes, vocabulary = pd.factorize(exploded)  # an empty list explodes into one missing value: code -1, then 0
    lengths = np.bincount(exploded.index.to_numpy(np.int64), minlength=len(lists))
    offsets = np.concatenate([[0, 1], 1 + np.cumsum(lengths)])
    return TokenSequenceFeature(values.name, np.concatenate([[0], codes + 1]), offsets, len(vocabulary) + 1)


def _encode_vectors(name: str, values: np.ndarray) -> VectorFeature:
    """Standardise each column over the items that have it; row 0 (padding) counts as missing."""
    missing = np.isnan(values).any(axis=1)
    known = values[~missing]
    mean = known.mean(axis=0) if len(known) else 0.0
    spread = known.std(axis=0) if len(known) else np.ones(values.shape[1])
    scaled = np.where(missing[:, None], 0.0, (values - mean) / np.where(spread > 0, spread, 1.0))
    rows = np.concatenate([np.zeros((1, values.shape[1])), scaled]).astype(np.float32)
    return VectorFeature(name, rows, np.concatenate([[True], missing]))
