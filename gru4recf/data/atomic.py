"""Read RecBole's atomic files, the field's exchange format, and parquet with the same typed column names.

`NAME.inter` holds events (`session_id:token  item_id:token  timestamp:float`; `user_id` instead of
`session_id` means one sequence per user), `NAME.item` holds one row per item with typed features.
An empty field is a missing value. Everything is checked here, at the edge: what cannot be used is refused
with file, column, row (line number, the header is line 1) and fix.

Source: RecBole 1.2.1, "Atomic Files" (https://recbole.io/docs/user_guide/data/atomic_files.html).
"""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from gru4recf.data.columns import READERS, read_ids, read_times
from gru4recf.data.dataset import Dataset, FeatureKind
from gru4recf.data.tables import KINDS, place, read_table
from gru4recf.errors import DataError
from gru4recf.files import sha256_of

__all__ = ["KINDS", "SUFFIXES", "read_atomic", "read_events", "read_items", "sort_events"]

SUFFIXES = ("", ".parquet")
OWNERS = ("session_id", "user_id")


def read_atomic(folder: Path, name: str | None = None) -> Dataset:
    """Read `folder/NAME.inter` and `folder/NAME.item` (or `.parquet` of both) into a checked data set.

    Without `name` the folder's only `.inter` file is taken. Without an `.item` file the data set has no features.

    Raises:
        DataError: for anything that cannot be used; the sentence names file, column, row and fix.
    """
    folder = Path(folder)
    inter = _find(folder, name)
    name = inter.name.removesuffix(".parquet").removesuffix(".inter")
    item = _find_items(folder, name)
    events, sequences = read_events(inter)
    items, kinds = read_items(item) if item else (pd.DataFrame(index=events["item"].unique()), {})
    if item:
        _require_rows(events, items, inter, item)
    files = sorted(p for p in (inter, item) if p)
    lines = "".join(f"{p.name}:{sha256_of(p)}\n" for p in files)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return Dataset(name, sort_events(events), items, kinds, sequences, digest)


def sort_events(events: pd.DataFrame) -> pd.DataFrame:
    """Return events ordered by the start of their session, then session, then time; equal times keep file order.

    Whole-number times are compared in 64 bits before they become float64, which rounds above 2^53.
    """
    codes, _ = pd.factorize(events["session"])
    starts = events["time"].groupby(codes).min().to_numpy()[codes]
    order = np.lexsort((np.arange(len(events)), events["time"].to_numpy(), codes, starts))
    return events.iloc[order].reset_index(drop=True).astype({"time": "float64"})


def read_events(path: Path) -> tuple[pd.DataFrame, Literal["sessions", "users"]]:
    """Return (events in file order with `session`, `item`, `time`; what `session` holds)."""
    table, kinds = read_table(path, (*OWNERS, "item_id", "timestamp"))
    owner = next((column for column in OWNERS if column in kinds), None)
    if owner is None:
        raise DataError(
            f"{path}: no column session_id:token or user_id:token among {', '.join(kinds) or 'none'}; "
            "rename the column that says which events belong together."
        )
    for column, kind in ((owner, "token"), ("item_id", "token"), ("timestamp", "float")):
        _require_column(path, kinds, column, kind)
    frame = pd.DataFrame(
        {
            "session": read_ids(path, table, owner),
            "item": read_ids(path, table, "item_id"),
            "time": read_times(path, table, "timestamp"),
        }
    )
    return frame, "sessions" if owner == "session_id" else "users"


def read_items(path: Path) -> tuple[pd.DataFrame, dict[str, FeatureKind]]:
    """Return (one row per item, indexed by item id, one column per feature; feature -> kind)."""
    table, kinds = read_table(path)
    _require_column(path, kinds, "item_id", "token")
    ids = read_ids(path, table, "item_id")
    if (repeated := ids.duplicated()).any():
        row = int(np.flatnonzero(repeated)[0])
        raise DataError(
            f"{place(path, row, 'item_id')}: item {ids.iloc[row]!r} appears a second time; keep one row per item."
        )
    features = {name: kind for name, kind in kinds.items() if name != "item_id"}
    columns = {name: READERS[kind](path, table, name) for name, kind in features.items()}
    items = pd.DataFrame(columns, index=range(len(ids))).set_axis(pd.Index(ids, name="item"), axis="index")
    for name in features:
        _refuse_constant(path, items[name])
    return items, features


def _find(folder: Path, name: str | None) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that holds NAME.inter and NAME.item.")
    wanted = [f"{name or '*'}.inter{suffix}" for suffix in SUFFIXES]
    if name:
        found = [folder / file for file in wanted if (folder / file).exists()]
    else:
        found = sorted(p for pattern in wanted for p in folder.glob(pattern) if not p.name.startswith("."))
    preferred = [p for p in found if p.name.partition(".inter")[0] == folder.resolve().name]
    if preferred or len(found) == 1:
        return _require_file((preferred or found)[0])
    if not found:
        raise DataError(
            f"{folder}: no {wanted[0]} or {wanted[1]}; events belong into NAME.inter "
            "with the columns session_id:token, item_id:token, timestamp:float."
        )
    raise DataError(
        f"{folder}: several data sets ({', '.join(p.name for p in found)}); keep one per folder, "
        "or name the folder like the one to read."
    )


def _find_items(folder: Path, name: str) -> Path | None:
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}.item{suffix}").exists()]
    return _require_file(found[0]) if found else None


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is not a file; put the table itself there.")
    return path


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
            f"{place(inter, row, 'item_id')}: item {events['item'].iloc[row]!r} has no row in "
            f"{item.name} ({n_items} items lack one); add the rows, empty fields mean missing."
        )


def _refuse_constant(path: Path, values: pd.Series) -> None:
    seen = values.map(lambda v: v.tobytes() if isinstance(v, np.ndarray) else tuple(v) if isinstance(v, list) else v)
    if len(values) > 1 and len(seen.unique()) == 1:
        what = "is empty for every item" if pd.isna(seen.iloc[0]) or seen.iloc[0] == () else "has one value for all"
        raise DataError(f"{path}, column {values.name}: {what}, so it tells nothing; remove the column.")
