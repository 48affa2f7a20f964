"""Quotation marks that are left open: they join the rows below into one value, and these rows are lost.

A value with line ends is a text of several lines or such a loss. Lost lines are rows, and hold as many separators as
every row does; lines of a text hardly ever do.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gru4recf.data.tables import BLOCK_BYTES
from gru4recf.errors import DataError

MANY_LINE_ENDS = 20
ROW_LIKE = 0.8  # of a value's lines; a blank line at the end of the file is no row
TAIL_BYTES = 1 << 16  # enough for the blank lines at the end of a file


def line_ends(path: Path, table: pa.Table, first_row: int, delimiter: str, reopen: Callable[[], pa.NativeFile]) -> str:
    """Return a sentence about the values that hold a line end, "" without any.

    Args:
        path: for sentences about it.
        table: columns of text.
        first_row: the number a person gives to the first row.
        delimiter: what separates fields.
        reopen: gives the file's unpacked bytes, from which the last value is seen to be closed or not.

    Raises:
        DataError: for a value that holds rows, or runs to the end of the file without a closing quotation mark.
    """
    told = []
    for column in table.column_names:
        n_ends = pc.count_substring(table[column], "\n").to_numpy()
        if not n_ends.any():
            continue
        for row in np.flatnonzero(n_ends >= MANY_LINE_ENDS):
            lines = table[column][row].as_py().split("\n")[1:-1]  # the others are parts of rows
            if np.mean([line.count(delimiter) == table.num_columns - 1 for line in lines]) >= ROW_LIKE:
                raise _left_open(path, row + first_row, column, f"holds {n_ends[row]:,} line ends")
        if n_ends[-1] and column == table.column_names[-1] and not _ends_in_quotes(reopen):
            raise _left_open(path, len(table) - 1 + first_row, column, "runs to the end of the file")
        told.append(f"{column} {(n_ends > 0).sum():,} (at most {n_ends.max():,}, in row {n_ends.argmax() + first_row})")
    return f"values with line ends: {', '.join(told)}; is a quotation mark left open there?" if told else ""


def _left_open(path: Path, row: int, column: str, what: str) -> DataError:
    return DataError(
        f"{path}, row {row}, column {column}: the value {what}; is a quotation mark left open there? Close it, or "
        'write "" for a quotation mark inside a quoted text.'
    )


def _ends_in_quotes(reopen: Callable[[], pa.NativeFile]) -> bool:
    tail = b""
    with reopen() as stream:
        while block := stream.read(BLOCK_BYTES):
            tail = (tail + block)[-TAIL_BYTES:]
    return tail.rstrip().endswith(b'"')
