"""Choosing among the entries of each row of a sparse array, all rows at once."""

import numpy as np
from scipy import sparse

ENTRIES_AT_ONCE = 2**22


def keep_first(array: sparse.csr_array, n: int) -> sparse.csr_array:
    """Keep the first `n` stored entries of each row."""
    if np.diff(array.indptr).max(initial=0) <= n:
        return array
    place = np.arange(array.nnz) - np.repeat(array.indptr[:-1], np.diff(array.indptr))
    return _keep(array, place < n)


def keep_largest(array: sparse.csr_array, n: int) -> sparse.csr_array:
    """Keep the `n` largest stored entries of each row; of equal ones, those stored first."""
    lengths = np.diff(array.indptr)
    if lengths.max(initial=0) <= n:
        return array
    chosen = np.ones(array.nnz, dtype=bool)
    long_rows = np.flatnonzero(lengths > n)
    rows_at_once = max(1, ENTRIES_AT_ONCE // int(lengths.max()))
    for part in np.split(long_rows, range(rows_at_once, len(long_rows), rows_at_once)):
        index = array.indptr[part, None] + np.arange(lengths[part].max())
        inside = index < array.indptr[part + 1, None]
        values = np.where(inside, array.data[np.where(inside, index, 0)], -np.inf)
        chosen[index[inside]] = _largest(values, n)[inside]
    return _keep(array, chosen)


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Mark the `n` largest of each row (rows, width); of equal ones, the first."""
    threshold = np.partition(values, -n, axis=1)[:, -n, None]
    above, equal = values > threshold, values == threshold
    room = n - above.sum(axis=1, keepdims=True)
    return above | (equal & (np.cumsum(equal, axis=1) <= room))


def _keep(array: sparse.csr_array, chosen: np.ndarray) -> sparse.csr_array:
    kept_before = np.concatenate([[0], np.cumsum(chosen)])
    parts = (array.data[chosen], array.indices[chosen], kept_before[array.indptr])
    return sparse.csr_array(parts, shape=array.shape)
