"""Item features as sparse arrays of items by values, for methods that count values."""

import numpy as np
from scipy import sparse

from gru4recf.data.features import Feature, TokenFeature, TokenSequenceFeature, VectorFeature

N_BINS = 10


def values_of(feature: Feature) -> sparse.csr_array:
    """Return (N, values) how often each item has each value of a feature; value 0 stands for a missing one.

    A number has one of `N_BINS` bins with equally many items as its value, a vector the bin of its first principal
    component. Row 0, the padding item, counts as missing.
    """
    if isinstance(feature, TokenSequenceFeature):
        codes, offsets, n_values = feature.codes, feature.offsets, feature.n_values
    else:
        codes, n_values = _single(feature)
        offsets = np.arange(len(codes) + 1)
    shape = (len(offsets) - 1, n_values)
    array = sparse.csr_array((np.ones(len(codes)), codes, offsets), shape=shape, copy=True)  # summing is done in place
    array.sum_duplicates()
    return array


def _single(feature: TokenFeature | VectorFeature) -> tuple[np.ndarray, int]:
    """Return (codes (N,), number of values) of a feature with one value per item."""
    if isinstance(feature, TokenFeature):
        return feature.codes, feature.n_values
    known = ~feature.missing
    numbers = _first_component(feature.vectors[known].astype(np.float64))
    edges = np.unique(np.quantile(numbers, np.arange(1, N_BINS) / N_BINS)) if len(numbers) else np.zeros(0)
    codes = np.zeros(len(known), dtype=np.int64)
    codes[known] = 1 + np.searchsorted(edges, numbers, side="right")
    return codes, len(edges) + 2


def _first_component(vectors: np.ndarray) -> np.ndarray:
    """Return (n,) the coordinate along which vectors (n, D) vary most."""
    if vectors.shape[1] == 1:
        return vectors[:, 0]
    centred = vectors - vectors.mean(axis=0)
    return centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
