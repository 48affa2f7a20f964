"""The item table: one row per item, features in the shape of their kinds, those that tell nothing left out."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gru4recf.data.dataset import FeatureKind
from gru4recf.errors import DataError, StudyError, unknown_name
from gru4recf.imports.kinds import CHOICES, MISSING, Kind, infer, is_list, plain_text
from gru4recf.imports.numbers import read_numbers
from gru4recf.imports.report import Report
from gru4recf.imports.tables import RawTable
from gru4recf.imports.values import feature_values, read_npy

RESERVED = "item_id"


@dataclass(frozen=True)
class ItemTable:
    """Features of items: ids (n,), feature -> values (n,), feature -> kind out of those of atomic files."""

    ids: pd.Series
    features: dict[str, pd.Series]
    kinds: dict[str, FeatureKind]


def parse_kinds(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME:KIND`s into column -> kind."""
    kinds = {}
    for text in texts:
        name, _, kind = text.rpartition(":")
        if not name:
            raise StudyError(f"--feature {text}: write it as NAME:KIND with a kind out of {', '.join(CHOICES)}.")
        if kind not in CHOICES:
            raise unknown_name("kind of feature", kind, CHOICES)
        kinds[name] = kind
    return kinds


def make_items(
    raw: RawTable,
    item: str,
    events: pd.DataFrame,
    kinds: dict[str, str],
    vectors: dict[str, Path],
    report: Report,
    *,
    drop_bad: bool = False,
) -> ItemTable:
    """Choose kinds, read values, and add rows without features for items that the log has and the table lacks.

    Args:
        raw: the item table; of several rows of one item the first counts.
        item: its column of ids.
        events: cleaned events, whose items need a row.
        kinds: column -> kind where the user says it; the others are inferred.
        vectors: feature -> npy file with a row per row of the table.
        report: told each feature's kind and the reason.
        drop_bad: what is no number in a column of floats is missing, instead of refused.
    """
    raw.require(item, *kinds)
    if kinds.get(item, "drop") != "drop":
        report.tell(f"feature {item}: left out, it holds the ids")
    rows, ids = _distinct(raw, item, report)
    raw_kept = replace(raw, table=raw.table.take(pa.array(rows)))
    features, chosen = {}, {}
    for column in (name for name in raw.table.column_names if name != item):
        kind = _kind(raw, column, kinds)
        if kind.kind == "drop":
            report.tell(f"feature {column}: left out, {kind.reason}")
            continue
        table = raw if kind.kind != "text" else raw_kept
        values = feature_values(table, column, kind, report, drop_bad=drop_bad)
        values = values.iloc[rows].reset_index(drop=True) if kind.kind != "text" else values
        _add(features, chosen, column, values, kind, report)
    for name, path in vectors.items():
        values = read_npy(path, len(raw)).iloc[rows].reset_index(drop=True)
        _add(features, chosen, name, values, Kind("float_seq", f"rows of {path.name}"), report)
    if not ids.isin(events["item"]).any():
        raise DataError(
            f"{raw.path}, column {item}: none of its ids ({ids[0][:40]!r}, ...) is in the log, whose items are "
            f"{events['item'].iloc[0][:40]!r}, ...; write ids alike in both, or name another column with --item-id."
        )
    return _completed(ItemTable(ids, features, chosen), events, report)


def from_events(raw: RawTable, item: str, events: pd.DataFrame, columns: list[str], report: Report) -> RawTable:
    """Return an item table out of columns of the log: each item's most frequent value, the first met among equals."""
    raw.require(*columns)
    report.tell(f"{', '.join(columns)}: each item's most frequent value in the whole log, the days of test included")
    codes, labels = pd.factorize(events["item"])
    table = {item: pa.array(labels, pa.string())}
    for column in columns:
        if is_list(raw, column):
            raise DataError(f"{raw.path}, column {column}: holds lists; put them into a table of items (--items).")
        values = plain_text(raw, column).iloc[events["row"]].reset_index(drop=True)
        known = pd.DataFrame({"item": codes, "value": values})[(values != "").to_numpy()]
        counts = known.groupby(["item", "value"], sort=False).size().reset_index(name="n")
        best = (
            counts.sort_values("n", ascending=False, kind="stable").drop_duplicates("item").set_index("item")["value"]
        )
        table[column] = pa.array(best.reindex(range(len(labels)), fill_value=""), pa.string())
    path = raw.path.with_name(f"{raw.path.name} (one row per item)")  # rows in sentences are not those of the log
    return RawTable(path, pa.table(table), 1, {})


def _kind(raw: RawTable, column: str, kinds: dict[str, str]) -> Kind:
    if kinds.get(column) == "drop":
        return Kind("drop", "as asked for")
    inferred = infer(raw, column)
    if column not in kinds:
        return inferred
    if kinds[column] == "float" and not is_list(raw, column):
        text = plain_text(raw, column)
        return Kind("float", f"as asked for, {read_numbers(text[text != '']).told}")
    return Kind(kinds[column], "as asked for", inferred.separator if inferred.kind == kinds[column] else "")


def _distinct(raw: RawTable, item: str, report: Report) -> tuple[np.ndarray, pd.Series]:
    """Return (rows to keep, their ids): the first of each item."""
    ids = raw.text(item)
    empty = ids.str.strip().isin({"", *MISSING}).to_numpy()
    repeated = ids.duplicated().to_numpy() & ~empty
    report.drop(f"rows of {raw.path.name} without {item}", empty.sum())
    report.drop(f"rows of {raw.path.name} about an item that had one already (the first counts)", repeated.sum())
    rows = np.flatnonzero(~empty & ~repeated)
    if not len(rows):
        raise DataError(f"{raw.path}: no row has an id in column {item}; name the column of ids with --item-id.")
    return rows, ids.iloc[rows].reset_index(drop=True)


def _add(
    features: dict[str, pd.Series],
    chosen: dict[str, FeatureKind],
    column: str,
    values: pd.Series,
    kind: Kind,
    report: Report,
) -> None:
    """Keep a feature unless it says the same of all items; atomic files know names without colons and controls."""
    name = re.sub(r"[:\x00-\x1f\x7f]", "_", column)
    name = f"{name}_feature" if name == RESERVED else name
    if name in features:
        raise StudyError(f"Two features are called {name!r}; rename a column.")
    known = _known(values)
    if is_constant(values):
        report.tell(f"feature {column}: left out, {'one value for all items' if known.any() else 'nothing in it'}")
        return
    features[name] = values
    chosen[name] = "float_seq" if kind.kind == "text" else kind.kind
    text = f"text, a float_seq of {len(values[known].iloc[0])} numbers" if kind.kind == "text" else kind.kind
    report.tell(f"feature {name}: {text} ({kind.reason}), known for {known.mean():.1%} of the items")


def is_constant(values: pd.Series) -> bool:
    """Return whether all items have the same value, or none has any."""
    plain = values.map(lambda v: v.tobytes() if isinstance(v, np.ndarray) else tuple(v) if isinstance(v, list) else v)
    return (len(values) > 1 and plain.nunique(dropna=False) == 1) or not _known(values).any()


def _known(values: pd.Series) -> pd.Series:
    return values.map(lambda v: len(v) > 0 if hasattr(v, "__len__") else v is not None and v == v)


def _completed(items: ItemTable, events: pd.DataFrame, report: Report) -> ItemTable:
    """Add empty rows for the log's items that the table lacks."""
    sold = pd.Series(events["item"].unique())
    lacking = sold[~sold.isin(items.ids)]
    report.tell(
        f"items: {len(sold):,} in the log, {len(lacking):,} of them without a row (their features are missing); "
        f"{int((~items.ids.isin(sold)).sum()):,} rows about items that are not in the log"
    )
    if n_padded := int(lacking.str.strip().isin(items.ids.str.strip()).sum()):
        report.tell(f"items: {n_padded:,} without a row would have one but for spaces at the ends of their ids")
    if lacking.empty:
        return items
    empty = {"token": "", "float": float("nan"), "float_seq": None}
    features = {}
    for name, values in items.features.items():
        kind = items.kinds[name]
        more = [[] for _ in lacking] if kind == "token_seq" else [empty[kind]] * len(lacking)
        features[name] = pd.concat([values, pd.Series(more, dtype=values.dtype)], ignore_index=True)
    return replace(items, ids=pd.concat([items.ids, lacking], ignore_index=True), features=features)
