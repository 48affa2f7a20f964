"""Times as logs write them: seconds, milliseconds, micro- or nanoseconds since 1970, or ISO dates with or without zone.

Without a given unit, numbers among dates that would be dates of another unit, and 0, are unreadable rather than times
in 1970. Columns of nothing but 20240131 or 20240131120000 are dates too, unless the unit is given.

Times become float64 seconds (exact to a quarter of a microsecond today). Events are put in order by the value as it was
written, in 64 bits, before it is rounded. A time without a zone is read as UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gru4recf.errors import StudyError
from gru4recf.imports.tables import RawTable

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LARGEST_SECOND = 1e11  # the year 5138: a larger typical value must be in a smaller unit
SMALLEST_DATE = LARGEST_SECOND / 1000  # seconds: 1973, before which a number is a date of a larger unit
EARLIEST = 631152000  # seconds: 1990, before which nobody kept logs; times since a log's begin do not get there
ZONE = r"(?:Z|[T ].*[+-]\d{2}(?::?\d{2})?)$"
COMPACT = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?"


@dataclass(frozen=True)
class Times:
    """Parsed times of n events.

    Attributes:
        exact: (n,) int64 or float64 that orders events; anything where the time is unreadable.
        seconds: (n,) float64 seconds since 1970; NaN where unreadable.
        told: how they were read, for the report.
        unit: that of numbers; "" for dates.
    """

    exact: np.ndarray
    seconds: np.ndarray
    told: str
    unit: str = ""


def parse_times(raw: RawTable, column: str, unit: str = "auto") -> Times:
    """Read a column of times without gaps; its unit is seen from the size of the numbers unless it is given."""
    if unit != "auto" and unit not in UNITS:
        raise StudyError(f"--unit is {unit!r}; choose one of auto, {', '.join(UNITS)}.")
    values = raw.table[column]
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type) or pa.types.is_duration(values.type):
        return _from_timestamps(values)
    if pa.types.is_floating(values.type):
        return _from_numbers(values.to_numpy().astype(np.float64), unit)
    text = raw.text(column).str.strip()
    if unit == "auto" and text[:1].str.fullmatch(COMPACT).all() and text.str.fullmatch(COMPACT).all():
        return _from_text(text.str.replace(r"^(.{8})(.+)", r"\1T\2", regex=True))
    numbers = _parse_numbers(text)
    if 2 * np.isfinite(numbers).sum() >= len(text):
        return _from_numbers(numbers, unit)
    return _from_text(text)


def as_date(seconds: float) -> str:
    """Return a time as people read it, or the number where it is no date."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def _parse_numbers(text: pd.Series) -> np.ndarray:
    """Return int64 where all are whole numbers of 64 bits, else float64 with NaN for what is none."""
    try:
        return pc.cast(pa.array(text), pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return pd.to_numeric(text, errors="coerce").to_numpy(np.float64)


def _from_numbers(values: np.ndarray, unit: str) -> Times:
    sizes = np.abs(values.astype(np.float64))
    sizes = sizes[sizes < LARGEST_SECOND * UNITS["ns"]]
    typical = float(np.median(sizes)) if len(sizes) else 0.0
    smallest = 0.0
    if unit == "auto":
        unit = next((u for u in UNITS if typical < LARGEST_SECOND * UNITS[u]), "ns")
        smallest = SMALLEST_DATE if typical >= EARLIEST * UNITS[unit] else 0.0
    seconds = _in_seconds(values, UNITS[unit])
    seconds[~((smallest <= np.abs(seconds)) & (np.abs(seconds) < LARGEST_SECOND))] = np.nan
    return Times(values, seconds, f"{UNIT_NAMES[unit]} since 1970", unit)


def _in_seconds(values: np.ndarray, per_second: int) -> np.ndarray:
    """Divide; whole seconds and the rest apart where the values are int64, which do not all fit into a float64."""
    if values.dtype.kind == "i":
        return values // per_second + (values % per_second) / per_second
    return values / per_second


def _from_timestamps(values: pa.ChunkedArray) -> Times:
    """Read parquet's own timestamps, dates and durations (since 1970) by their 64-bit integers."""
    zone = getattr(values.type, "tz", None)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    exact = values.cast(pa.int64()).to_numpy()
    told = f"timestamps in {zone}" if zone else "timestamps without a zone, read as UTC"
    return Times(exact, _in_seconds(exact, UNITS[values.type.unit]), told)


def _from_text(text: pd.Series) -> Times:
    text = text.str.replace(r"\s*(UTC|GMT)$", "Z", regex=True).str.replace(r"(:\d\d),(\d)", r"\1.\2", regex=True)
    parsed = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    exact = parsed.to_numpy().view("int64")
    seconds = np.where(parsed.isna(), np.nan, _in_seconds(exact, UNITS[parsed.dt.unit]))
    n_naive = int((np.isfinite(seconds) & ~text.str.contains(ZONE, regex=True).to_numpy()).sum())
    told = f"ISO dates, {n_naive:,} without a zone read as UTC" if n_naive else "ISO dates with a zone"
    return Times(exact, seconds, told)
