"""Events of a log: ids and times checked, sessions by their id or cut where a user was idle, put in order of time."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from gru4recf.errors import DataError, StudyError
from gru4recf.imports.kinds import MISSING
from gru4recf.imports.report import Report
from gru4recf.imports.tables import RawTable
from gru4recf.imports.times import EARLIEST, Times, as_date, parse_times

SEPARATORS = ("/", "#", "|", "\x1f")  # between user and session: the first that is in no user's id
LATEST = 4102444800  # seconds: the year 2100


@dataclass(frozen=True)
class Columns:
    """Which column of the log is what; "" where there is none."""

    item: str
    time: str
    session: str = ""
    user: str = ""
    unit: str = "auto"

    @property
    def named(self) -> list[str]:
        """The columns that the log must have, sequences first."""
        return [column for column in (self.session, self.user, self.item, self.time) if column]


def parse_gap(text: str) -> float:
    """Return an idle time such as `30min` or `1h` in seconds."""
    try:
        seconds = float("nan") if text.strip().isdecimal() else pd.Timedelta(text).total_seconds()
    except ValueError:
        seconds = float("nan")
    if not seconds > 0:
        raise StudyError(f"--gap is {text!r}; write a length of idle time with its unit, such as 30min or 1h.")
    return seconds


def clean_events(
    raw: RawTable, columns: Columns, gap: float | None, report: Report, *, drop_bad: bool = False
) -> pd.DataFrame:
    """Return events with `session`, `item`, `time` (seconds) and `row` (of the log), in order of session and time.

    Rows without a time or an id (words such as NULL are none) are left out and counted. The order inside a session is
    that of the times as they were written, then that of the log.

    Raises:
        StudyError: for a column that is missing or has two meanings, a time that cannot be read (with `drop_bad` it is
            counted), no events.
    """
    raw.require(*columns.named)
    if repeated := [column for i, column in enumerate(columns.named) if column in columns.named[:i]]:
        raise StudyError(
            f"Column {repeated[0]!r} is named twice; --session, --user, --item and --time need one of their own each."
        )
    complete = _complete_rows(raw, columns, report)
    rows = np.flatnonzero(complete)
    if not len(rows):
        raise DataError(f"{raw.path}: no row has {', '.join(columns.named)}; nothing is left to import.")
    kept = replace(raw, table=raw.table.select(columns.named).filter(pa.array(complete)))
    times = parse_times(kept, columns.time, columns.unit)
    unreadable = np.isnan(times.seconds)
    if unreadable.any() and not drop_bad:
        raise _no_time(raw, kept, rows, columns.time, times)
    if unreadable.all():
        raise DataError(f"{raw.path}, column {columns.time}: no time can be read; nothing is left to import.")
    report.drop("rows whose time cannot be read", unreadable.sum())
    owner = _owners(kept, columns, report)
    events = pd.DataFrame({"owner": owner, "item": kept.text(columns.item), "time": times.seconds, "row": rows})
    events = events.assign(exact=times.exact)[~unreadable]
    _tell_times(events["time"], times, columns.unit, report)
    return _in_order(events, gap, report, "user" if columns.user and not columns.session else "session")


def _no_time(raw: RawTable, kept: RawTable, rows: np.ndarray, column: str, times: Times) -> DataError:
    """Return an error that names the first time that is none."""
    unreadable = np.isnan(times.seconds)
    first = int(unreadable.argmax())
    others = f"{int(unreadable.sum()):,} are none, the others are {times.told}"
    return DataError(
        f"{raw.place(rows[first], column)}: {str(kept.table[column][first])[:40]!r} is no time "
        f"({'nor is any other' if unreadable.all() else others}); write seconds, milliseconds or ISO dates such as "
        "2024-01-31T12:00:00Z, all numbers in one unit (--unit names it), or leave such rows out with --drop-bad."
    )


def _complete_rows(raw: RawTable, columns: Columns, report: Report) -> np.ndarray:
    """Return whether every named column has a value in each row."""
    complete = np.ones(len(raw), dtype=bool)
    for column in columns.named:
        values = raw.table[column]
        if pa.types.is_primitive(values.type):  # numbers, truth values, dates
            missing = values.is_null(nan_is_null=True).to_pandas().to_numpy(bool)
        else:
            text = raw.text(column)
            words = {""} if column == columns.time else {"", *MISSING}  # a time that is a word is refused
            bare = text.str.strip()
            missing = bare.isin(words).to_numpy()
            if column != columns.time and (n_padded := _count_padded(text[~missing], bare[~missing])):
                report.tell(
                    f"{column}: {n_padded:,} ids equal another one but for spaces at the ends; they are kept apart"
                )
            if not raw.told and (n_joined := int(text.str.contains("\n", regex=False).sum())):
                report.tell(f"{column}: {n_joined:,} values hold a line end; is a quotation mark left open there?")
        if len(missing) and missing.all():
            raise DataError(f"{raw.path}, column {column}: every row is empty there; name another column.")
        report.drop(f"rows without {column}", (missing & complete).sum())
        complete &= ~missing
    return complete


def _count_padded(text: pd.Series, bare: pd.Series) -> int:
    """Return how many different ids equal another one but for spaces at the ends."""
    padded = text[text != bare]
    if padded.empty:
        return 0
    others = set(text[bare.isin(padded.str.strip())])
    return len(others) - len({text.strip() for text in others})


def _owners(kept: RawTable, columns: Columns, report: Report) -> pd.Series:
    """Return whose events belong together: sessions, or users where there are none."""
    if not columns.session:
        return kept.text(columns.user)
    sessions = kept.text(columns.session)
    if not columns.user:
        return sessions
    users = kept.text(columns.user)
    pairs = pd.DataFrame({"session": sessions, "user": users}).drop_duplicates()
    if pairs["session"].is_unique:
        return sessions
    report.tell(f"{columns.session} starts anew for every {columns.user}: sessions are told apart by both.")
    separator = next(mark for mark in SEPARATORS if not pairs["user"].str.contains(mark, regex=False).any())
    return users + separator + sessions


def _tell_times(seconds: pd.Series, times: Times, unit: str, report: Report) -> None:
    report.tell(f"times: {times.told}, from {as_date(seconds.min())} to {as_date(seconds.max())}")
    if unit != "auto" and not times.unit:
        report.tell(f"times: --unit {unit} is for numbers and changes nothing here")
    elif unit != "auto" and seconds.median() < EARLIEST:
        report.tell(f"warning: in unit {unit}, half of the times lie before 1990; is the unit right?")
    if before := int((seconds < 0).sum()):
        report.tell(f"times: {before:,} lie before 1970; is the unit right?")
    if after := int((seconds > LATEST).sum()):
        report.tell(f"times: {after:,} lie after 2100; is the unit right?")


def _count_copies(owners: np.ndarray, exact: np.ndarray, items: pd.Series) -> int:
    """Return how many rows repeat owner, time and item of an earlier one; rows are in order of owner and time."""
    equal = (np.diff(owners) == 0) & (np.diff(exact) == 0)
    at_once = np.append(equal, False) | np.insert(equal, 0, False)  # few, mostly: quicker than comparing all
    columns = {"owner": owners[at_once], "time": exact[at_once], "item": items[at_once]}
    return int(pd.DataFrame(columns).duplicated().sum())


def _in_order(events: pd.DataFrame, gap: float | None, report: Report, owner: str) -> pd.DataFrame:
    """Sort by owner and exact time, and cut owners' events into sessions where they were idle longer than `gap`."""
    codes, labels = pd.factorize(events["owner"])
    order = np.lexsort((np.arange(len(events)), events["exact"].to_numpy(), codes))
    events, codes = events.iloc[order], codes[order]
    if copies := _count_copies(codes, events["exact"].to_numpy(), events["item"]):
        report.tell(f"rows that repeat {owner}, item and time of another one: {copies:,}, kept; are they copies?")
    session = events["owner"]
    if gap is not None:
        new_owner = np.diff(codes, prepend=-1) != 0
        begins = new_owner | (np.diff(events["time"].to_numpy(), prepend=0.0) > gap)
        begun = np.cumsum(begins)
        number = begun - begun[new_owner][codes] + 1
        session = session + "#" + pd.Series(number, index=events.index).astype("str")
        report.tell(f"{owner}s: {len(labels):,}, cut into {begun[-1]:,} sessions where nothing happened for {gap:g} s")
    return pd.DataFrame(
        {"session": session, "item": events["item"], "time": events["time"], "row": events["row"]}
    ).reset_index(drop=True)
