"""YooChoose, RecSys Challenge 2015: `yoochoose-clicks.dat`, without a header: session, time, item, category.

The category is the context of a click: 0 is missing, S a special offer, 1 to 12 a category of the shop, anything else a
brand. An item's category and brand are therefore the most frequent ones of its clicks, test clicks included.

Source: the README that comes with the data.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gru4recf.imports.events import Columns
from gru4recf.imports.folders import find_all
from gru4recf.imports.step import Log
from gru4recf.imports.tables import read_raw

COLUMNS = ("session", "time", "item", "context")
CATEGORIES = [str(number) for number in range(1, 13)]
NEITHER = ["0", "S", ""]


def read_yoochoose(folder: Path, drop_bad: bool) -> Log:
    """Read the clicks; the purchases and the unlabelled test file of the challenge are not used."""
    (path,) = find_all(folder, "yoochoose-clicks.dat")
    clicks = read_raw(path, names=COLUMNS, delimiter=",", quotes=False, drop_bad=drop_bad)
    context = clicks.table["context"]
    is_category = pc.is_in(context, pa.array(CATEGORIES))
    is_brand = pc.invert(pc.or_(is_category, pc.is_in(context, pa.array(NEITHER))))
    empty = pa.scalar("")
    table = clicks.table.append_column("category", pc.if_else(is_category, context, empty))
    table = table.append_column("brand", pc.if_else(is_brand, context, empty))
    special = int(np.sum(pc.equal(context, "S").to_numpy()))
    return Log(
        events=replace(clicks, table=table),
        columns=Columns(item="item", time="time", session="session"),
        kinds={"category": "token", "brand": "token"},
        told=(f"YooChoose: {special:,} clicks on special offers, which tell neither category nor brand",),
    )
