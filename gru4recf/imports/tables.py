"""Any table of a log: CSV, TSV, JSON lines or parquet, plain or packed with gzip, zstd or bzip2.

What a file is is seen from its bytes, whatever its name. Text stays text, so that ids keep every digit and leading
zero; JSON numbers keep the digits they were written with.
"""

import codecs
import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gru4recf.data.columns import read_strings
from gru4recf.data.tables import BLOCK_BYTES, one_line
from gru4recf.errors import DataError
from gru4recf.imports.json_lines import read_json_lines
from gru4recf.imports.quotes import line_ends

PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
DELIMITERS = ("\t", ",", ";", "|")
HEAD_BYTES = 1 << 16
MAX_SHOWN = 300  # letters of a header in a sentence


@dataclass(frozen=True)
class RawTable:
    """A table as its file holds it.

    Attributes:
        path: where it was read from, for sentences about it.
        table: text, lists of text, or what types a parquet file has.
        first_row: the number a person gives to the first row: 2 below a header, 1 without.
        dropped: reason -> number of rows left out while reading.
        told: what is odd in it, for the report.
    """

    path: Path
    table: pa.Table
    first_row: int
    dropped: dict[str, int]
    told: str = ""

    def __len__(self) -> int:
        return len(self.table)

    def place(self, row: int, column: str) -> str:
        """Return where a row (index from 0) stands; blank lines are no rows."""
        return f"{self.path}, row {row + self.first_row}, column {column}"

    def text(self, column: str) -> pd.Series:
        """Return a column's values as strings, exactly; a missing one is empty."""
        return read_strings(self.path, self.table, column)

    def require(self, *columns: str) -> None:
        """Refuse a table that lacks one of these columns."""
        for column in columns:
            if column not in self.table.column_names:
                found = ", ".join(self.table.column_names)
                shown = found if len(found) <= MAX_SHOWN else f"{found[:MAX_SHOWN]}..."
                raise DataError(f"{self.path}: there is no column {column!r}; its columns are {shown}.")


def read_raw(
    path: Path,
    *,
    names: Sequence[str] = (),
    delimiter: str = "",
    encoding: str = "utf-8",
    quotes: bool = True,
    drop_bad: bool = False,
) -> RawTable:
    """Read a table whose first row names the columns, unless `names` does.

    Args:
        path: the file.
        names: column names of a file that has none.
        delimiter: what separates fields, one letter or several; "" looks for the one that parts the first row most.
        encoding: of text.
        quotes: whether a field may stand in double quotes, and hold line ends there.
        drop_bad: leave rows of another width out and count them, instead of refusing the file.

    Raises:
        DataError: for a file that is no such table.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}; name one file, a CSV, TSV, JSON lines or parquet table.")
    with _reading(path):
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic == b"PAR1":
            table = _plain_strings(pa.parquet.ParquetFile(path).read())
            _require_distinct(path, table.column_names)
            return RawTable(path, table, 1, {})
        if magic[:2] == b"PK":
            raise DataError(f"{path} is a zip or a spreadsheet; unpack it, or save the sheet as CSV.")
        with _stream(path, magic) as stream:
            head = stream.read(HEAD_BYTES)
    if not head.strip():
        raise DataError(f"{path}: the file is empty{'' if names else '; its first row must name the columns'}.")
    if b"\0" in head:
        line = head.partition(b"\0")[0].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: holds a NUL byte; save the file as UTF-8 text, packed by gzip, zstd or not at all."
        )
    first = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if first == b"[" and not names:
        raise DataError(f"{path} is one JSON list; write JSON lines, one object per line.")
    with _reading(path, magic):
        if first == b"{" and not names:
            with _stream(path, magic) as stream:
                return RawTable(path, read_json_lines(path, stream), 1, {})
        return _delimited(path, magic, head, list(names), delimiter, encoding, quotes, drop_bad)


@contextlib.contextmanager
def _reading(path: Path, magic: bytes = b"") -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, UnicodeDecodeError):
            _require_utf8(path, magic)
        if "straddling" in str(error):  # arrow's word for a row that is longer than a block
            raise DataError(f"{path}: a row has over {BLOCK_BYTES:,} bytes; is a quotation mark left open?") from None
        raise DataError(f"{path}: not readable as a table of UTF-8 text ({one_line(error)}).") from error


def _require_utf8(path: Path, magic: bytes) -> None:
    """Refuse a text with a line that is not UTF-8."""
    with _stream(path, magic) as stream:
        for number, line in enumerate(io.BufferedReader(stream), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: is not UTF-8; save the file as UTF-8 text.") from None


def _plain_strings(table: pa.Table) -> pa.Table:
    """Return a table whose texts are of the one type that can be filtered: views into buffers cannot."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(index, field.name, table[index].cast(pa.string()))
        elif pa.types.is_list(field.type) and pa.types.is_string_view(field.type.value_type):
            table = table.set_column(index, field.name, table[index].cast(pa.list_(pa.string())))
    return table


def _stream(path: Path, magic: bytes) -> pa.NativeFile:
    packed = next((kind for start, kind in PACKED.items() if magic.startswith(start)), None)
    return pa.input_stream(str(path), compression=packed)


def _delimited(
    path: Path,
    magic: bytes,
    head: bytes,
    names: list[str],
    delimiter: str,
    encoding: str,
    quotes: bool,
    drop_bad: bool,
) -> RawTable:
    header, n_lines = names, 0
    if not names:
        text = codecs.getincrementaldecoder(encoding)().decode(head.removeprefix(codecs.BOM_UTF8))
        delimiter = delimiter or max(DELIMITERS, key=lambda d: len(_first_row(text, d, quotes)[0]))
        fields, n_lines = _first_row(text, delimiter, quotes)
        header = [" ".join(name.split()) or f"column{i}" for i, name in enumerate(fields, start=1)]
        _require_distinct(path, header)
    ragged: list[tuple[int, int, int]] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns, row.text.count("\n")))
        return "skip"

    read = partial(_read_rows, path, magic, header, n_lines, delimiter, encoding, quotes)
    try:
        table = read(None)
    except pa.ArrowInvalid:
        if encoding == "utf-8":
            _require_utf8(path, magic)  # rows of another width are handed over as text
        table = read(keep)
    if ragged and not drop_bad:
        row, n_fields, n_joined = ragged[0]
        hint = f" A quotation mark joins {n_joined + 1:,} lines into this row; is it left open?" if n_joined else ""
        raise DataError(
            f"{path}, row {row}: {n_fields} fields where {len(header)} are expected, separated by {delimiter!r} "
            f"({len(ragged):,} rows differ); mend them, or leave them out with --drop-bad.{hint}"
        )
    counts = {
        "rows of another width": len(ragged),
        "lines more that quotation marks join to rows of another width": sum(n_joined for *_, n_joined in ragged),
    }
    told = line_ends(path, table, n_lines + 1, delimiter, partial(_stream, path, magic)) if quotes else ""
    return RawTable(path, table, n_lines + 1, {reason: count for reason, count in counts.items() if count}, told)


def _read_rows(
    path: Path,
    magic: bytes,
    header: list[str],
    n_lines: int,
    delimiter: str,
    encoding: str,
    quotes: bool,
    handler: Callable[[pyarrow.csv.InvalidRow], str] | None,
) -> pa.Table:
    """Read the rows below the first `n_lines` lines as text; `handler` is asked about those of another width."""
    letter = delimiter if len(delimiter) == 1 else "\x1f"  # arrow knows single letters only
    with _stream(path, magic) as stream:
        if letter != delimiter:
            stream = pa.BufferReader(stream.read().replace(delimiter.encode(), letter.encode()))
        return pyarrow.csv.read_csv(
            stream,
            pyarrow.csv.ReadOptions(
                use_threads=False, column_names=header, skip_rows=n_lines, encoding=encoding, block_size=BLOCK_BYTES
            ),
            pyarrow.csv.ParseOptions(
                delimiter=letter,
                quote_char='"' if quotes else False,
                newlines_in_values=quotes,
                invalid_row_handler=handler,
            ),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
        )


def _require_distinct(path: Path, names: list[str]) -> None:
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise DataError(f"{path}: column {repeated[0]!r} appears twice in the header; rename one.")


def _first_row(text: str, delimiter: str, quotes: bool) -> tuple[list[str], int]:
    """Return the fields of the first row that is not blank, and the number of lines down to its end."""
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    return next((row for row in rows if row), []), rows.line_num
