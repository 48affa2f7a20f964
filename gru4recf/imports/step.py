"""The import step: a log as somebody else wrote it -> atomic files in a new folder, and a report of what was done."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from gru4recf.data.atomic import read_atomic
from gru4recf.errors import DataError, StudyError
from gru4recf.files import write_text
from gru4recf.imports.events import Columns, clean_events
from gru4recf.imports.items import ItemTable, from_events, make_items
from gru4recf.imports.report import Report
from gru4recf.imports.tables import RawTable
from gru4recf.imports.writing import new_folder, require_free, require_name, write_events, write_items


@dataclass(frozen=True)
class Log:
    """Raw tables and what their columns mean.

    Attributes:
        events: the log.
        columns: which of its columns is what.
        items: the table of items; without it, the columns of the log that `kinds` names describe the items.
        item_id: its column of ids.
        gap: seconds of idle time after which a new session begins; None keeps sessions (or users) whole.
        kinds: column -> kind of feature; columns that are not named are inferred.
        vectors: feature -> npy file with a row per row of `items`.
        told: what was done while reading, for the report.
        dropped: reason -> number of rows left out while reading.
    """

    events: RawTable
    columns: Columns
    items: RawTable | None = None
    item_id: str = ""
    gap: float | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, Path] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)


def import_log(log: Log, out: Path, name: str = "", *, drop_bad: bool = False) -> Report:
    """Write `out/NAME.inter`, `out/NAME.item` and `out/NAME.report.txt`; nothing is written on an error.

    Args:
        log: what to import.
        out: a folder that does not exist or is empty.
        name: the data set's name; the folder's when empty.
        drop_bad: leave out rows that cannot be read, and count them, instead of stopping at the first.

    Raises:
        StudyError: for what cannot be used; the sentence names file, row, column and fix.
    """
    name = name or out.resolve().name
    require_name(name)
    require_free(out)
    if not (log.columns.session or log.columns.user):
        raise StudyError("Name the column that says which events belong together: --session COL, or --user COL.")
    report = Report(list(log.told))
    for table in (log.events, log.items):
        for reason, count in (table.dropped if table else {}).items():
            report.drop(f"{reason} in {table.path.name}", count)
        if table and table.told:
            report.tell(f"{table.path}: {table.told}")
    for reason, count in log.dropped.items():
        report.drop(reason, count)
    events = clean_events(log.events, log.columns, log.gap, report, drop_bad=drop_bad)
    items = _items(log, events, report, drop_bad)
    by_user = not log.columns.session and log.gap is None
    _tell_events(events, len(log.events), log.events.path, by_user, report)
    _write(out, name, events, items, "user_id" if by_user else "session_id", report)
    return report


def _items(log: Log, events: pd.DataFrame, report: Report, drop_bad: bool) -> ItemTable:
    if log.items is not None:
        return make_items(log.items, log.item_id, events, log.kinds, log.vectors, report, drop_bad=drop_bad)
    if log.vectors:
        raise StudyError("--vectors needs --items: row n of the npy file belongs to row n of that table.")
    described = [column for column, kind in log.kinds.items() if kind != "drop"]
    if not described:
        report.tell("items: no features, which --items FILE or --feature COLUMN:KIND (of the log) would name")
        return ItemTable(pd.Series(events["item"].unique()), {}, {})
    table = from_events(log.events, log.columns.item, events, described, report)
    return make_items(table, log.columns.item, events, log.kinds, {}, report, drop_bad=drop_bad)


def _tell_events(events: pd.DataFrame, n_rows: int, path: Path, by_user: bool, report: Report) -> None:
    lengths = events.groupby("session", sort=False).size()
    report.tell(
        f"{path}: {n_rows:,} rows read, {len(events):,} events kept in {len(lengths):,} "
        f"{'users' if by_user else 'sessions'} ({int((lengths == 1).sum()):,} of a single event), "
        f"{events['item'].nunique():,} items"
    )


def _write(out: Path, name: str, events: pd.DataFrame, items: ItemTable, owner: str, report: Report) -> None:
    """Write all files, and read them back before they get their place, so that the other commands can."""
    with new_folder(out) as folder:
        files = [write_events(folder, name, events, owner), write_items(folder, name, items)]
        try:
            data = read_atomic(folder, name)
        except DataError as error:
            raise DataError(str(error).replace(f"{folder}/", "after import: ")) from None
        names = " and ".join(path.name for path in files if path)
        report.tell(f"{out}: {names} written ({data.digest[:12]})")
        write_text(folder / f"{name}.report.txt", report.text() + "\n")
