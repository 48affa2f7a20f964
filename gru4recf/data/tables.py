"""Tables with typed column names (`item_id:token`) from tab-separated text or parquet, checked as far as a table goes.

What cannot be used is refused with the file, the line (text; the header is line 1) or row (parquet, counted from 1),
the column and the fix. Nothing is guessed from values: every text field stays text until its column is read.
"""

import codecs
import mmap
from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gru4recf.data.dataset import FeatureKind
from gru4recf.errors import DataError

KINDS: tuple[FeatureKind, ...] = ("token", "token_seq", "float", "float_seq")
BLOCK_BYTES = 1 << 25  # a row must fit into one: about a million numbers written as text
SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}


def read_table(path: Path, wanted: Collection[str] = ()) -> tuple[pa.Table, dict[str, FeatureKind]]:
    """Return the table with untyped column names, and column -> kind.

    Args:
        path: a parquet file if it ends in `.parquet`, tab-separated UTF-8 text otherwise.
        wanted: untyped names of the columns to read; the others are only checked in the header. All when empty.

    Raises:
        DataError: for a file that is no such table, a wrong header, rows of another width, no rows.
    """
    is_parquet = path.suffix == ".parquet"
    try:
        header = pa.parquet.read_schema(path).names if is_parquet else _header(path)
    except (OSError, pa.ArrowException) as error:
        kind = "parquet" if is_parquet else "tab-separated UTF-8 text"
        raise DataError(f"{path}: not readable as {kind} ({one_line(error)}).") from error
    kinds = dict(_typed(path, column, header) for column in header)
    if len(kinds) < len(header):
        raise DataError(f"{path}: a column name appears twice in the header; rename or remove one.")
    columns = [f"{name}:{kind}" for name, kind in kinds.items() if not wanted or name in wanted]
    table = _read_parquet(path, columns) if is_parquet else _read_text(path, header, columns)
    if len(table) == 0:
        raise DataError(f"{path}: no rows below the header; the file is empty.")
    return table.rename_columns([column.partition(":")[0] for column in table.column_names]), kinds


def place(path: Path, row: int, column: str) -> str:
    """Return where the row with this index (from 0) stands, as `FILE, line 4, column price`.

    Blank lines are no rows, so lines are counted in the file itself.
    """
    with open(path, "rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        return f"{path}, row {row + 1}, column {column}"
    return f"{path}, line {_line(path, row + 1)}, column {column}"


def one_line(error: Exception) -> str:
    """Return an error's text without its line ends, cut to a length that a sentence can hold."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def _line(path: Path, row: int) -> int:
    """Return the line number of the row with this index, where the header has index 0."""
    with open(path, encoding="latin-1") as file:  # any bytes; ends lines at CR, LF and both, as the reader does
        for number, text in enumerate(file, start=1):
            if number == 1 or text != "\n":
                row -= 1
            if row < 0:
                return number
    return number


def _header(path: Path) -> list[str]:
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; the first line must name the columns, such as item_id:token.")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if (at := content.find(b"\0")) >= 0:
            raise _unreadable(path, content[:at], "holds a NUL byte, so the file is damaged or UTF-16")
        first = content.readline().removeprefix(codecs.BOM_UTF8).split(b"\r")[0].rstrip(b"\n")
    try:
        return first.decode().split("\t")
    except UnicodeDecodeError as error:
        raise _unreadable(path, first[: error.start], "is not UTF-8") from None


def _unreadable(path: Path, before: bytes, why: str) -> DataError:
    """Return the error for a byte that text must not hold, found behind the bytes `before`."""
    lines = before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    n_tabs = lines[-1].count(b"\t")
    return DataError(f"{path}, line {len(lines)}, field {n_tabs + 1}: {why}; save the file as UTF-8 text.")


def _read_text(path: Path, header: list[str], columns: list[str]) -> pa.Table:
    ragged: list[tuple[int, int]] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    types = dict.fromkeys(header, pa.string())

    def read(handler: Callable[[pyarrow.csv.InvalidRow], str] | None) -> pa.Table:
        return pyarrow.csv.read_csv(
            path,
            pyarrow.csv.ReadOptions(use_threads=False, column_names=header, skip_rows=1, block_size=BLOCK_BYTES),
            pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False, invalid_row_handler=handler),
            pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False, include_columns=columns),
        )

    try:
        try:
            table = read(None)
        except pa.ArrowInvalid:
            _refuse_other_encodings(path)  # the handler is given rows as text
            table = read(keep)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not readable as tab-separated UTF-8 text ({one_line(error)}).") from error
    if ragged:
        row, n_fields = ragged[0]
        raise DataError(
            f"{path}, line {_line(path, row - 1)}: {n_fields} fields where the header has {len(header)}; fields are "
            f"separated by one tab each, and {len(ragged)} rows differ."
        )
    return table


def _refuse_other_encodings(path: Path) -> None:
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, content[: error.start], "is not UTF-8") from None


def _read_parquet(path: Path, columns: list[str]) -> pa.Table:
    try:  # no partitioning: a folder called a=b in the path would become a column
        return pa.parquet.read_table(path, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not readable as parquet ({one_line(error)}).") from error


def _typed(path: Path, column: str, header: list[str]) -> tuple[str, FeatureKind]:
    name, _, kind = column.partition(":")
    if name and kind in KINDS:
        return name, kind
    found = [word for separator, word in SEPARATORS.items() if len(header) == 1 and separator in column]
    if found and column.count(":") > 1:
        raise DataError(f"{path}, line 1: the columns are separated by {found[0]}; separate all fields by tabs.")
    raise DataError(
        f"{path}, column {column[:40]!r}: the header must read name:type in line 1, with a type out of "
        f"{', '.join(KINDS)}, such as item_id:token."
    )
