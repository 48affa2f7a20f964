"""The values of a feature column in the shape of its kind, ready to be written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gru4recf.data.columns import list_vectors
from gru4recf.errors import DataError
from gru4recf.imports.kinds import SEPARATORS, Kind, is_list, plain_text, without_brackets
from gru4recf.imports.numbers import read_numbers
from gru4recf.imports.report import Report
from gru4recf.imports.tables import RawTable
from gru4recf.imports.text import text_vectors


def feature_values(raw: RawTable, column: str, kind: Kind, report: Report, *, drop_bad: bool = False) -> pd.Series:
    """Return strings ("" missing), lists of strings, floats (NaN missing) or float32 vectors (None missing).

    With `drop_bad`, what is no number in a column of floats is missing, and counted in the report.

    Raises:
        DataError: naming the first row whose value does not fit the kind.
    """
    if kind.kind == "token":
        return _tokens(raw, column)
    if kind.kind == "token_seq":
        return _token_lists(raw, column, kind.separator)
    if kind.kind == "float":
        return _floats(raw, column, report, drop_bad)
    if kind.kind == "text":
        return pd.Series(text_vectors(_joined(raw, column)), dtype=object)
    return _vectors(raw, column)


def read_npy(path: Path, n_rows: int) -> pd.Series:
    """Return the rows of a two-dimensional npy file as float32 vectors; a row with NaN is missing.

    Raises:
        DataError: for a file that is no such array, has another number of rows than the item table, or a number that
            float32 does not hold.
    """
    try:
        array = np.load(path, allow_pickle=False)
        shape, kind = array.shape, array.dtype.kind  # a zip of arrays has none
    except OSError as error:
        raise DataError(f"{path}: not readable as an npy file of numbers ({error.strerror}).") from None
    except (ValueError, AttributeError, EOFError):  # numpy would have the file loaded unsafely
        raise DataError(
            f"{path}: not readable as an npy file of numbers; write an array of numbers there with numpy.save."
        ) from None
    if kind not in "fiub":
        raise DataError(f"{path}: not readable as an npy file of numbers (it holds {array.dtype}).")
    if len(shape) != 2 or shape[0] != n_rows or shape[1] == 0:
        raise DataError(
            f"{path} has shape {shape}; one row of numbers per row of the item table ({n_rows:,}) is needed."
        )
    with np.errstate(over="ignore"):  # becomes infinite and is refused
        rows = array.astype(np.float32)
    if (infinite := np.isinf(rows).any(axis=1)).any():
        raise DataError(
            f"{path}, row {infinite.argmax() + 1}: a number is larger than float32 holds; scale the vectors."
        )
    return pd.Series(
        [None if is_missing else row for row, is_missing in zip(rows, np.isnan(rows).any(axis=1), strict=True)],
        dtype=object,
    )


def _tokens(raw: RawTable, column: str) -> pd.Series:
    if is_list(raw, column):
        raise DataError(f"{raw.path}, column {column}: holds lists; make it a token_seq or a float_seq.")
    return plain_text(raw, column).str.replace(r"\s+", " ", regex=True)


def _token_lists(raw: RawTable, column: str, separator: str) -> pd.Series:
    """Return lists; spaces inside a piece become underscores, because atomic files separate pieces by spaces."""
    if is_list(raw, column):
        lists = [[str(value) for value in row or [] if value is not None] for row in raw.table[column].to_pylist()]
    else:
        text = without_brackets(plain_text(raw, column))
        separator = separator or next((s for s in SEPARATORS if text.str.contains(s, regex=False).any()), None)
        lists = text.str.split(separator).tolist()
    return pd.Series([["_".join(piece.split()) for piece in row if piece.strip()] for row in lists], dtype=object)


def _joined(raw: RawTable, column: str) -> pd.Series:
    if not is_list(raw, column):
        return plain_text(raw, column)
    return pd.Series([" ".join(map(str, row or [])) for row in raw.table[column].to_pylist()], dtype="str")


def _floats(raw: RawTable, column: str, report: Report, drop_bad: bool) -> pd.Series:
    if is_list(raw, column):
        raise DataError(f"{raw.path}, column {column}: holds lists; make it a token_seq or a float_seq.")
    text = plain_text(raw, column)
    read = read_numbers(text[text != ""])
    numbers = read.values.reindex(text.index)
    bad = np.flatnonzero(numbers.isna() & (text != ""))
    if len(bad) and not drop_bad:
        expected = "clearly one number" if read.unclear[bad[0]] else "a number that float32 holds"
        raise _misfit(raw, column, int(bad[0]), text[bad[0]], expected, ", or read it as missing with --drop-bad")
    report.drop(f"values of {column} that are no numbers; they are missing now", len(bad))
    return numbers


def _vectors(raw: RawTable, column: str) -> pd.Series:
    if is_list(raw, column):
        vectors = list_vectors(raw.path, raw.table[column], column)
        text = raw.table[column]
    else:
        text = plain_text(raw, column)
        words = text.str.strip("[]() ").str.replace(",", " ", regex=False).str.split()
        vectors = [_vector(row) for row in words]
        text = pa.array(text)
    size = max((len(v) for v in vectors if v is not None), default=0)
    bad = [v is not None and not (0 < len(v) == size and np.isfinite(v).all()) for v in vectors]
    if any(bad):
        row = bad.index(True)
        raise _misfit(raw, column, row, str(text[row].as_py()), f"a list of {size or 'some'} finite numbers")
    return pd.Series(vectors, dtype=object)


def _vector(row: list[str]) -> np.ndarray | None:
    """Return a float32 vector; an empty one for what is no list of numbers."""
    if not row:
        return None
    try:
        with np.errstate(over="ignore"):
            return np.array([float(word) for word in row]).astype(np.float32)
    except ValueError:
        return np.empty(0, dtype=np.float32)


def _misfit(raw: RawTable, column: str, row: int, shown: str, expected: str, fix: str = "") -> DataError:
    return DataError(
        f"{raw.place(row, column)}: {shown[:40]!r} is not {expected}; mend it, or give the column another kind with "
        f"--feature NAME:KIND{fix}."
    )


def as_array(values: pd.Series, kind: str) -> pa.Array:
    """Return a feature's values as the parquet column that `gru4recf.data.atomic` reads."""
    if kind == "token":
        return pa.array(values.where(values != "", None), pa.string())
    if kind == "token_seq":
        return pa.array(values.tolist(), pa.list_(pa.string()))
    if kind == "float":
        return pa.array(values, pa.float64(), from_pandas=True)
    return pa.array(values.tolist(), pa.list_(pa.float32()))
