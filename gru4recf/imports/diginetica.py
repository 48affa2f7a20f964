"""Diginetica, CIKM Cup 2016: `train-item-views.csv`, `product-categories.csv`, `products.csv`, separated by semicolons.

A view has its day and the milliseconds since the session's first query, so its time is the day's midnight (UTC) plus
these. Features: the category, the logarithm of the price, and the hashed words of the name.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from gru4recf.imports.events import Columns
from gru4recf.imports.folders import find_all
from gru4recf.imports.step import Log
from gru4recf.imports.tables import RawTable, read_raw
from gru4recf.imports.times import parse_times

KINDS = {"categoryId": "token", "pricelog2": "float", "product.name.tokens": "token_seq"}
OLDER_NAMES = {"session_id": "sessionId", "item_id": "itemId"}  # copies with renamed columns are about
MILLISECONDS_PER_DAY = 86_400_000


def read_diginetica(folder: Path, drop_bad: bool) -> Log:
    """Read views, categories and products."""
    views, categories, products = (
        _renamed(read_raw(path, delimiter=";", drop_bad=drop_bad))
        for path in find_all(folder, "train-item-views.csv", "product-categories.csv", "products.csv")
    )
    views.require("sessionId", "itemId", "timeframe", "eventdate")
    products.require("itemId", "pricelog2", "product.name.tokens")
    categories.require("itemId", "categoryId")
    days = parse_times(views, "eventdate").seconds * 1000
    offset = pd.to_numeric(views.text("timeframe"), errors="coerce").clip(0, MILLISECONDS_PER_DAY)
    time = pa.array(days + offset.to_numpy(), from_pandas=True)
    events = RawTable(views.path, views.table.append_column("time", time), views.first_row, views.dropped)
    tables = {raw.path.name: raw.table.to_pandas() for raw in (products, categories)}
    repeats = {name: int(table["itemId"].duplicated().sum()) for name, table in tables.items()}
    left, right = (table.drop_duplicates("itemId") for table in tables.values())
    items = pa.Table.from_pandas(left.merge(right, on="itemId", how="outer").fillna(""), preserve_index=False)
    return Log(
        events=events,
        columns=Columns(item="itemId", time="time", session="sessionId", unit="ms"),
        items=RawTable(products.path, items.select(["itemId", *KINDS]), 2, {}),
        item_id="itemId",
        kinds=KINDS,
        told=("Diginetica: time is eventdate plus timeframe (milliseconds, at most a day)",),
        dropped={f"rows of {name} about an item that had one already": count for name, count in repeats.items()},
    )


def _renamed(raw: RawTable) -> RawTable:
    names = [OLDER_NAMES.get(name, name) for name in raw.table.column_names]
    return RawTable(raw.path, raw.table.rename_columns(names), raw.first_row, raw.dropped)
