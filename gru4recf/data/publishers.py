"""Readers of files as their publishers wrote them.

Each takes the bytes of a file and returns a `Dataset` whose counts the registry checks. The time of an event only has
to order events; how it is made where the publisher gives no more than a day is said at each reader.
"""

import contextlib
import hashlib
import io
import warnings
from pathlib import Path

import pandas as pd

from gru4recf.data.atomic import sort_events
from gru4recf.data.dataset import Dataset, FeatureKind
from gru4recf.errors import DataError, DataUnavailable
from gru4recf.files import write_parquet

ESHOP_ITEM = "page 2 (clothing model)"
ESHOP_NUMBERS = ("year", "month", "day", "order", "session ID", "price")
ESHOP_FEATURES = {
    "category": "page 1 (main category)",
    "colour": "colour",
    "location": "location",
    "photography": "model photography",
    "page": "page",
    "price": "price",
}
ESHOP_KINDS: dict[str, FeatureKind] = dict.fromkeys(ESHOP_FEATURES, "token") | {"price": "float"}

RETAIL_COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice")
RETAIL_KINDS: dict[str, FeatureKind] = {"words": "token_seq", "price": "float"}
WORD = "[a-z]{2,}"


def read_eshop(content: bytes) -> Dataset:
    """Read 'e-shop clothing 2008.csv' of the UCI data set 553.

    The file gives a day and an order of clicks, and numbers its sessions in order. So the n-th click of a day, by
    session and order, gets the n-th second of that day (UTC): whole numbers, exact in float64, strictly increasing,
    and below the next day as long as a day has fewer than 86,400 clicks (the busiest has 3,456).
    """
    file = "e-shop clothing 2008.csv"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            rows = pd.read_csv(io.BytesIO(content), sep=";", index_col=False)
    except (ValueError, pd.errors.ParserWarning) as error:
        raise DataError(f"{file}: not a table separated by semicolons ({error}).") from error
    _require_columns(file, rows, [*ESHOP_NUMBERS, ESHOP_ITEM, *ESHOP_FEATURES.values()])
    for column in ESHOP_NUMBERS:
        _require_numbers(file, rows, column)
    try:
        day = pd.to_datetime(rows[["year", "month", "day"]])
    except ValueError as error:
        raise DataError(f"{file}, columns year, month, day: not a date ({error}).") from error
    rows = rows.assign(midnight=_epoch(day)).sort_values(["midnight", "session ID", "order"], kind="stable")
    events = pd.DataFrame(
        {
            "session": rows["session ID"].astype("str"),
            "item": rows[ESHOP_ITEM].astype("str"),
            "time": rows["midnight"] + rows.groupby("midnight").cumcount(),
        }
    )
    items = pd.DataFrame(
        {name: _most_frequent(events["item"], rows[column]) for name, column in ESHOP_FEATURES.items()}
    )
    items = items.astype({name: "float64" if kind == "float" else "str" for name, kind in ESHOP_KINDS.items()})
    digest = hashlib.sha256(content).hexdigest()
    return Dataset("eshop", sort_events(events), items, dict(ESHOP_KINDS), "sessions", digest)


def read_online_retail(content: bytes, copies: Path | None = None) -> Dataset:
    """Read 'Online Retail.xlsx' of the UCI data set 352: invoices as sessions, their lines in order.

    Reading a spreadsheet of half a million rows takes a minute, so a parquet copy of its rows, named by the
    spreadsheet's digest, is kept in the folder `copies` where it can be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    copy = copies / f"{digest}.parquet" if copies else None
    if copy and copy.is_file():
        with contextlib.suppress(OSError, ValueError):  # a damaged copy is made anew
            return clean_invoices(pd.read_parquet(copy), digest)
    rows = _spreadsheet_rows(content)
    if copy:
        with contextlib.suppress(OSError):
            write_parquet(copy, rows)
    return clean_invoices(rows, digest)


def clean_invoices(rows: pd.DataFrame, digest: str) -> Dataset:
    """Turn the lines of invoices into sessions; what is left out is counted in `dropped`, by the first reason met.

    Line n of an invoice gets the invoice's time plus n seconds, so that lines keep their order. A product's words are
    those of its most frequent description (the first in the alphabet among equals); its price is the median.
    """
    invoice, code = rows["InvoiceNo"].str.strip(), rows["StockCode"].str.strip().str.upper()
    reasons = {
        "cancellations": invoice.str.upper().str.startswith("C"),
        "lines without a positive quantity": ~(rows["Quantity"] > 0),
        "lines without a positive price": ~(rows["UnitPrice"] > 0),
        "codes that do not begin with five digits": ~code.str.match(r"[0-9]{5}"),
    }
    keep, dropped = pd.Series(True, index=rows.index), {}
    for reason, out in reasons.items():
        dropped[reason] = int((keep & out).sum())
        keep &= ~out
    rows = rows.assign(invoice=invoice, item=code)[keep]
    events = pd.DataFrame(
        {
            "session": rows["invoice"],
            "item": rows["item"],
            "time": _epoch(rows["InvoiceDate"]) + rows.groupby("invoice").cumcount(),
        }
    )
    described = rows[rows["Description"].notna()]
    description = _most_frequent(described["item"], described["Description"].astype("str"))
    price = rows.groupby("item")["UnitPrice"].median()
    words = description.reindex(price.index, fill_value="").str.lower().str.findall(WORD).astype(object)
    items = pd.DataFrame({"words": words, "price": price})
    return Dataset("onlineretail", sort_events(events), items, dict(RETAIL_KINDS), "sessions", digest, dropped)


def _spreadsheet_rows(content: bytes) -> pd.DataFrame:
    file = "Online Retail.xlsx"
    try:
        rows = pd.read_excel(io.BytesIO(content), dtype={"InvoiceNo": "str", "StockCode": "str", "Description": "str"})
    except ImportError as error:
        raise DataUnavailable(
            f"{file} cannot be read without openpyxl; run: pip install 'gru4recf[spreadsheet]'."
        ) from error
    except Exception as error:  # a damaged spreadsheet raises errors of zip, XML, openpyxl or pandas
        raise DataError(f"{file}: not a spreadsheet that can be read ({error}).") from error
    _require_columns(file, rows, RETAIL_COLUMNS)
    for column in ("Quantity", "UnitPrice"):
        _require_numbers(file, rows, column)
    if not pd.api.types.is_datetime64_any_dtype(rows["InvoiceDate"]):
        raise DataError(f"{file}, column InvoiceDate: not all cells are dates; use the publisher's file unchanged.")
    return rows[list(RETAIL_COLUMNS)]


def _most_frequent(items: pd.Series, values: pd.Series) -> pd.Series:
    """Return each item's most frequent value, the smallest among equally frequent ones, indexed by item."""
    counts = pd.DataFrame({"item": items, "value": values}).value_counts(sort=False).reset_index()
    counts = counts.sort_values(["item", "count", "value"], ascending=[True, False, True])
    return counts.drop_duplicates("item").set_index("item")["value"]


def _epoch(times: pd.Series) -> pd.Series:
    """Return seconds since 1970 of times without a zone, read as UTC."""
    return (times - pd.Timestamp(0)) / pd.Timedelta(seconds=1)


def _require_columns(file: str, rows: pd.DataFrame, columns: list[str] | tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise DataError(f"{file}: column {missing[0]!r} is missing; it has {', '.join(map(str, rows.columns))}.")


def _require_numbers(file: str, rows: pd.DataFrame, column: str) -> None:
    bad = pd.to_numeric(rows[column], errors="coerce").isna() if not rows.empty else pd.Series([True])
    if bad.any() or not pd.api.types.is_numeric_dtype(rows[column]):
        row = int(bad.to_numpy().argmax())
        value = rows[column].iloc[row] if len(rows) else "nothing"
        raise DataError(f"{file}, row {row + 2}, column {column!r}: {value!r} where a number is expected.")
