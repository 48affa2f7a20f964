"""RetailRocket: `events.csv`, `item_properties_part1.csv`, `item_properties_part2.csv`, `category_tree.csv`.

Views only, cut into sessions where a visitor was idle for 30 minutes. The properties are weekly snapshots; an item's
category is its first one, so that nothing is known before its time. Features: the category and its parent.

Source: the data set's page (retailrocket/ecommerce-dataset); Ludewig & Jannach, UMUAI 2018, for the 30 minutes.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gru4recf.data.tables import BLOCK_BYTES
from gru4recf.errors import DataError
from gru4recf.imports.events import Columns
from gru4recf.imports.folders import find_all
from gru4recf.imports.step import Log
from gru4recf.imports.tables import RawTable, read_raw

IDLE_SECONDS = 1800.0
PROPERTIES = ("timestamp", "itemid", "property", "value")


def read_retailrocket(folder: Path, drop_bad: bool) -> Log:
    """Read views and categories."""
    names = ("events.csv", "item_properties_part1.csv", "item_properties_part2.csv", "category_tree.csv")
    events_path, *parts, tree_path = find_all(folder, *names)
    events = read_raw(events_path, delimiter=",", quotes=False, drop_bad=drop_bad)
    events.require("timestamp", "visitorid", "event", "itemid")
    is_view = pc.equal(events.table["event"], "view")
    views = replace(events, table=events.table.filter(is_view))
    others = len(events) - len(views)
    return Log(
        events=views,
        columns=Columns(item="itemid", time="timestamp", user="visitorid", unit="ms"),
        items=RawTable(parts[0], _categories(parts, tree_path), 1, {}),
        item_id="itemid",
        gap=IDLE_SECONDS,
        kinds={"category": "token", "parent": "token"},
        told=("RetailRocket: views only; an item's category is the first one recorded",),
        dropped={"events that are no views": others},
    )


def _categories(parts: list[Path], tree_path: Path) -> pa.Table:
    """Return item, category and the category's parent."""
    rows = pd.concat([_category_rows(path) for path in parts], ignore_index=True)
    rows = rows.assign(timestamp=pd.to_numeric(rows["timestamp"], errors="coerce"))
    first = rows.sort_values("timestamp", kind="stable").drop_duplicates("itemid")
    tree = read_raw(tree_path, delimiter=",", quotes=False)
    tree.require("categoryid", "parentid")
    parents = pd.Series(tree.text("parentid").to_numpy(), index=tree.text("categoryid"))
    parent = first["value"].map(parents[~parents.index.duplicated()]).fillna("")
    return pa.table(
        {"itemid": pa.array(first["itemid"]), "category": pa.array(first["value"]), "parent": pa.array(parent)}
    )


def _category_rows(path: Path) -> pd.DataFrame:
    """Return the rows about categories, read block by block: both files together have twenty million rows."""
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(PROPERTIES, pa.string()))
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            reader = pyarrow.csv.open_csv(stream, read, convert_options=options)
            missing = [name for name in PROPERTIES if name not in reader.schema.names]
            if missing:
                raise DataError(f"{path}: there is no column {missing[0]!r}; it must have {', '.join(PROPERTIES)}.")
            batches = [batch.filter(pc.equal(batch["property"], "categoryid")) for batch in reader]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not readable as CSV ({' '.join(str(error).split())[:200]}).") from error
    return pa.Table.from_batches(batches, reader.schema).to_pandas()
