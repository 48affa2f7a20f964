"""One typed column of a table at a time: ids, times and the four kinds of features, each value checked.

Every reader takes the file's path (for its sentences), the table and the column's name, and returns a series in the
order of the table. Numbers in parquet become text exactly (ids of 2^63 too); an id kept as a fraction is refused,
because a float64 does not hold large ids.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gru4recf.data.dataset import FeatureKind
from gru4recf.data.tables import one_line, place
from gru4recf.errors import DataError

LARGEST_FLOAT = float(np.finfo(np.float32).max)
EXACT_FLOAT = 2.0**53  # whole numbers up to here are exact in float64


def read_strings(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return any column of single values as strings, exactly; missing ones are empty."""
    values = table[column]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        values = _whole(path, values, column)
    return _cast(path, values, column, pa.string()).fill_null("").to_pandas().astype("str")


def read_ids(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return ids as strings; every row needs one."""
    values = read_strings(path, table, column)
    empty = values == ""
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise DataError(f"{place(path, row, column)}: the field is empty; every row needs an id.")
    return values


def read_times(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return times as int64 where all are whole numbers of 64 bits, as float64 otherwise; every row needs one."""
    values = table[column]
    if pa.types.is_integer(values.type) and values.null_count == 0 and not pa.types.is_uint64(values.type):
        return values.cast(pa.int64()).to_pandas()
    text, numbers = _numbers(path, values, column)
    _refuse(path, column, ~np.isfinite(numbers.to_numpy(np.float64)), text, "write a finite number")
    return numbers


def read_floats(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return float64 numbers; an empty field is NaN, a written NaN is refused."""
    text, numbers = _numbers(path, table[column], column)
    numbers = numbers.astype("float64")
    empty = (text == "") if pd.api.types.is_string_dtype(text) else table[column].is_null().to_pandas()
    bad = ~(np.abs(numbers) <= LARGEST_FLOAT) & ~empty
    fix = f"write a number of size at most {LARGEST_FLOAT:.1g}, or nothing where the value is missing"
    _refuse(path, column, bad, text, fix)
    return numbers


def read_token(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return strings; an empty field is missing."""
    values = read_strings(path, table, column)
    return values.where(values != "")


def read_token_seq(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return lists of strings, out of text separated by spaces or a parquet list."""
    if _is_list(table[column].type):
        rows = table[column].to_pylist()
        return pd.Series([[str(value) for value in row or [] if value is not None] for row in rows], dtype=object)
    return read_strings(path, table, column).str.split().astype(object)


def read_float_seq(path: Path, table: pa.Table, column: str) -> pd.Series:
    """Return float32 vectors of one length, out of text separated by spaces or a parquet list; None where empty."""
    if _is_list(table[column].type):
        vectors = list_vectors(path, table[column], column)
    else:
        vectors = [_vector(path, column, i, text) for i, text in enumerate(read_strings(path, table, column))]
    sizes = [0 if vector is None else len(vector) for vector in vectors]
    size = max(sizes)
    for row, vector in enumerate(vectors):
        if vector is not None and not (len(vector) == size and np.isfinite(vector).all()):
            raise DataError(
                f"{place(path, row, column)}: every vector needs {size} finite numbers, this one has {len(vector)} or "
                "one that is not finite."
            )
    return pd.Series(vectors, dtype=object)


def list_vectors(path: Path, values: pa.ChunkedArray, column: str) -> list[np.ndarray | None]:
    """Return views into one flat array, so that a million vectors never become Python numbers."""
    vectors: list[np.ndarray | None] = []
    for chunk in values.chunks:
        flat = _cast(path, pa.chunked_array([chunk.flatten()]), column, pa.float64()).to_numpy()
        stops = np.cumsum(pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False))
        pieces = np.split(_narrow(flat), stops[:-1]) if len(chunk) else []
        vectors += [piece if len(piece) else None for piece in pieces]
    return vectors


READERS: dict[FeatureKind, Callable[[Path, pa.Table, str], pd.Series]] = {
    "token": read_token,
    "token_seq": read_token_seq,
    "float": read_floats,
    "float_seq": read_float_seq,
}


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _whole(path: Path, values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """Return ids that a column with gaps turned into floats as whole numbers again."""
    numbers = values.to_pandas().astype("float64")
    bad = ~((numbers % 1 == 0) & (numbers.abs() <= EXACT_FLOAT)) & numbers.notna()
    _refuse(path, column, bad, numbers, "write ids and tokens as whole numbers or as text")
    return pa.chunked_array([pa.array(numbers, pa.float64(), from_pandas=True).cast(pa.int64())])


def _numbers(path: Path, values: pa.ChunkedArray, column: str) -> tuple[pd.Series, pd.Series]:
    """Return (what stands there, its numbers: NaN where there is none)."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not _is_text(values.type):
        numbers = _cast(path, values, column, pa.float64()).to_pandas()
        return numbers, numbers
    values = values.cast(pa.string()).fill_null("")
    text = values.to_pandas().astype("str")
    for kind in (pa.int64(), pa.float64()):  # exact and quick; whatever it stumbles on is found by the slow way
        try:
            return text, pc.cast(values, kind).to_pandas()
        except pa.ArrowInvalid:
            continue
    return text, pd.to_numeric(text, errors="coerce").astype("float64")


def _cast(path: Path, values: pa.ChunkedArray, column: str, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return values.cast(kind, safe=not pa.types.is_integer(values.type))  # 2^63 as a float is rounded, not refused
    except pa.ArrowException as error:
        raise DataError(
            f"{path}, column {column}: values of type {values.type} cannot be read as {kind} ({one_line(error)}); "
            "write plain text or numbers."
        ) from error


def _vector(path: Path, column: str, row: int, text: str) -> np.ndarray | None:
    try:
        return _narrow(np.array([float(word) for word in text.split()])) if text.strip() else None
    except ValueError:
        raise DataError(
            f"{place(path, row, column)}: {text[:40]!r} is not a list of numbers separated by spaces."
        ) from None


def _narrow(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused
        return values.astype(np.float32)


def _refuse(path: Path, column: str, bad: pd.Series | np.ndarray, values: pd.Series, fix: str) -> None:
    if np.any(bad):
        row = int(np.flatnonzero(bad)[0])
        value = values.iloc[row]
        shown = repr(value[:40] if isinstance(value, str) else float(value))
        raise DataError(f"{place(path, row, column)}: {shown} is not usable; {fix}.")
