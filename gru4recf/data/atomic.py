"""Read RecBole's atomic files, the field's exchange format, and parquet with the same typed column names.

`NAME.inter` holds events (`session_id:token  item_id:token  timestamp:float`; `user_id` instead of
`session_id` means one sequence per user), `NAME.item` holds one row per item with typed features.
An empty field is a missing value. Everything is checked here, at the edge: what cannot be used is refused
with file, column, row (line number, the header is line 1) and fix.

Source: RecBole 1.2.1, "Atomic Files" (https://recbole.io/docs/user_guide/data/atomic_files.html).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gru4recf.data.dataset import Dataset, FeatureKind
from gru4recf.errors import DataError
from gru4recf.files import sha256_of

KINDS: tuple[FeatureKind, ...] = ("token", "token_seq", "float", "float_seq")
SUFFIXES = ("", ".parquet")


def read_atomic(folder: Path, name: str | None = None) -> Dataset:
    """Read `folder/NAME.inter` and `folder/NAME.item` (or `.parquet` of both) into a checked data set.

    Without `name` the folder's only `.inter` file is taken. Without an `.item` file the data set has no features.

    Raises:
        DataError: for anything that cannot be used; the sentence names file, column, row and fix.
    """
    folder = Path(folder)
    inter = _find(folder, name)
    name = inter.name.split(".inter")[0]
    item = next((p for s in SUFFIXES if (p := folder / f"{name}.item{s}").is_file()), None)
    events, sequences = read_events(inter)
    items, kinds = read_items(item) if item else (pd.DataFrame(index=events["item"].unique()), {})
    if item:
        _require_rows(events, items, inter, item)
    files = sorted(p for p in (inter, item) if p)
    lines = "".join(f"{p.name}:{sha256_of(p)}\n" for p in files)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return Dataset(name, sort_events(events), items, kinds, sequences, digest)


def sort_events(events: pd.DataFrame) -> pd.DataFrame:
    """Return events ordered by the start of their session, then session, then time; equal times keep file order."""
    codes, _ = pd.factorize(events["session"])
    starts = events["time"].groupby(codes).min().to_numpy()[codes]
    order = np.lexsort((np.arange(len(events)), events["time"].to_numpy(), codes, starts))
    return events.iloc[order].reset_index(drop=True)


def read_events(path: Path) -> tuple[pd.DataFrame, Literal["sessions", "users"]]:
    """Return (events in file order with `session`, `item`, `time`; what `session` holds)."""
    table, kinds = _read_table(path)
    by_session = "session_id" in kinds
    if not by_session and "user_id" not in kinds:
        raise DataError(
            f"{path}: no column session_id:token or user_id:token among {', '.join(kinds) or 'none'}; "
            "rename the column that says which events belong together."
        )
    owner = "session_id" if by_session else "user_id"
    for column, kind in ((owner, "token"), ("item_id", "token"), ("timestamp", "float")):
        _require_column(path, kinds, column, kind)
    frame = pd.DataFrame(
        {
            "session": _tokens(path, table, owner),
            "item": _tokens(path, table, "item_id"),
            "time": _floats(path, table, "timestamp", missing=False),
        }
    )
    return frame, "sessions" if by_session else "users"


def read_items(path: Path) -> tuple[pd.DataFrame, dict[str, FeatureKind]]:
    """Return (one row per item, indexed by item id, one column per feature; feature -> kind)."""
    table, kinds = _read_table(path)
    _require_column(path, kinds, "item_id", "token")
    ids = _tokens(path, table, "item_id")
    if (repeated := ids.duplicated()).any():
        row = int(np.flatnonzero(repeated)[0])
        raise DataError(
            f"{path}, line {row + 2}, column item_id: item {ids.iloc[row]!r} appears a second time; "
            "keep one row per item."
        )
    features = {name: kind for name, kind in kinds.items() if name != "item_id"}
    columns = {name: _READERS[kind](path, table, name) for name, kind in features.items()}
    items = pd.DataFrame(columns).set_axis(pd.Index(ids, name="item"), axis="index")
    for name in features:
        _refuse_constant(path, items[name])
    return items, features


def _find(folder: Path, name: str | None) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that holds NAME.inter and NAME.item.")
    pattern = name or "*"
    found = sorted(p for s in SUFFIXES for p in folder.glob(f"{pattern}.inter{s}") if p.is_file())
    preferred = [p for p in found if p.name.split(".inter")[0] == folder.resolve().name]
    if preferred or len(found) == 1:
        return (preferred or found)[0]
    if not found:
        raise DataError(
            f"{folder}: no {pattern}.inter or {pattern}.inter.parquet; events belong into NAME.inter "
            "with the columns session_id:token, item_id:token, timestamp:float."
        )
    raise DataError(
        f"{folder}: several data sets ({', '.join(p.name for p in found)}); keep one per folder, "
        "or name the folder like the one to read."
    )


def _read_table(path: Path) -> tuple[pa.Table, dict[str, str]]:
    """Return the table with untyped column names and column -> kind."""
    table = pa.parquet.read_table(path) if path.suffix == ".parquet" else _read_text(path)
    kinds = dict(_typed(path, name) for name in table.column_names)
    if len(kinds) < table.num_columns:
        raise DataError(f"{path}: a column name appears twice in the header; rename or remove one.")
    if table.num_rows == 0:
        raise DataError(f"{path}: no rows below the header; the file is empty.")
    return table.rename_columns(list(kinds)), kinds


def _read_text(path: Path) -> pa.Table:
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; the first line must name the columns, such as item_id:token.")
    ragged: list[str] = []

    def keep_first(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(f"line {row.number}: {row.actual_columns} fields where the header has {row.expected_columns}")
        return "skip"

    with open(path, encoding="utf-8-sig", newline="") as file:
        header = file.readline().rstrip("\r\n").split("\t")
    try:
        table = pyarrow.csv.read_csv(
            path,
            pyarrow.csv.ReadOptions(use_threads=False, column_names=header, skip_rows=1),
            pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False, invalid_row_handler=keep_first),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as tab-separated UTF-8 text ({error}).") from error
    if ragged:
        raise DataError(f"{path}, {ragged[0]}; fields are separated by one tab each, and {len(ragged)} rows differ.")
    return table


def _typed(path: Path, column: str) -> tuple[str, FeatureKind]:
    name, _, kind = column.partition(":")
    if not name or kind not in KINDS:
        raise DataError(
            f"{path}, column {column!r}: the header must read name:type with a type out of "
            f"{', '.join(KINDS)}, such as item_id:token."
        )
    return name, kind


def _require_column(path: Path, kinds: dict[str, str], column: str, kind: str) -> None:
    if column not in kinds:
        raise DataError(f"{path}: column {column}:{kind} is missing; the header has {', '.join(kinds)}.")
    if kinds[column] != kind:
        raise DataError(f"{path}, column {column}: typed {kinds[column]}, must be {kind}; change the header.")


def _require_rows(events: pd.DataFrame, items: pd.DataFrame, inter: Path, item: Path) -> None:
    unknown = ~events["item"].isin(items.index)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        n_items = events.loc[unknown, "item"].nunique()
        raise DataError(
            f"{inter}, line {row + 2}, column item_id: item {events['item'].iloc[row]!r} has no row in "
            f"{item.name} ({n_items} items lack one); add the rows, empty fields mean missing."
        )


def _refuse_constant(path: Path, values: pd.Series) -> None:
    seen = values.map(lambda v: v.tobytes() if isinstance(v, np.ndarray) else tuple(v) if isinstance(v, list) else v)
    if len(values) > 1 and len(seen.unique()) == 1:
        what = "is empty for every item" if pd.isna(seen.iloc[0]) or seen.iloc[0] == () else "has one value for all"
        raise DataError(f"{path}, column {values.name}: {what}, so it tells nothing; remove the column.")


def _strings(table: pa.Table, column: str) -> pd.Series:
    return table[column].cast(pa.string()).fill_null("").to_pandas().astype("str")


def _tokens(path: Path, table: pa.Table, column: str) -> pd.Series:
    values = _strings(table, column)
    empty = values == ""
    if empty.any():
        raise DataError(
            f"{path}, line {int(np.flatnonzero(empty)[0]) + 2}, column {column}: the field is empty; "
            "every row needs an id."
        )
    return values


def _token(path: Path, table: pa.Table, column: str) -> pd.Series:
    values = _strings(table, column)
    return values.where(values != "")


def _token_seq(path: Path, table: pa.Table, column: str) -> pd.Series:
    if pa.types.is_list(table.schema.field(column).type):
        return pd.Series([[str(v) for v in row or []] for row in table[column].to_pylist()], dtype=object)
    return _strings(table, column).str.split().astype(object)


def _floats(path: Path, table: pa.Table, column: str, missing: bool = True) -> pd.Series:
    """Return float64 values; an empty field is NaN where `missing` is allowed, a written NaN never is."""
    values = table[column]
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        text = _strings(table, column)
        numbers = pd.to_numeric(text, errors="coerce").astype("float64")
        allowed = (text == "") if missing else pd.Series(False, index=text.index)
    else:
        text = numbers = values.cast(pa.float64()).to_pandas()
        allowed = values.is_null().to_pandas() if missing else pd.Series(False, index=numbers.index)
    bad = ~np.isfinite(numbers) & ~allowed
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        fix = "write a finite number, or nothing where the value is missing" if missing else "write a finite number"
        raise DataError(f"{path}, line {row + 2}, column {column}: {text.iloc[row]!r} is not usable; {fix}.")
    return numbers


def _float_seq(path: Path, table: pa.Table, column: str) -> pd.Series:
    if pa.types.is_list(table.schema.field(column).type):
        rows = table[column].to_pylist()
    else:
        rows = [_numbers(path, column, i, text) for i, text in enumerate(_strings(table, column))]
    vectors = [np.asarray(row, dtype=np.float32) if row else None for row in rows]
    sizes = {len(v) for v in vectors if v is not None}
    wrong = [i for i, v in enumerate(vectors) if v is not None and (len(v) != max(sizes) or not np.isfinite(v).all())]
    if wrong:
        raise DataError(
            f"{path}, line {wrong[0] + 2}, column {column}: every vector needs {max(sizes)} finite "
            f"numbers, this one has {len(vectors[wrong[0]])} or one that is not finite."
        )
    return pd.Series(vectors, dtype=object)


def _numbers(path: Path, column: str, row: int, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise DataError(
            f"{path}, line {row + 2}, column {column}: {text[:40]!r} is not a list of numbers separated by spaces."
        ) from None


_READERS: dict[str, Callable[[Path, pa.Table, str], pd.Series]] = {
    "token": _token,
    "token_seq": _token_seq,
    "float": _floats,
    "float_seq": _float_seq,
}
