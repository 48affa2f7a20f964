"""Files as their publishers wrote them, in miniature."""

import io

import numpy as np
import pandas as pd
import pytest

from gru4recf.data import publishers
from gru4recf.data.publishers import clean_invoices, read_eshop, read_online_retail
from gru4recf.errors import DataError, DataUnavailable

DAY = 86400
FIRST_OF_APRIL = 13970 * DAY  # 2008-04-01 is 13,970 days after 1970-01-01

HEADER = (
    "year;month;day;order;country;session ID;page 1 (main category);page 2 (clothing model);colour;location;"
    "model photography;price;price 2;page"
)
ESHOP = [
    HEADER,
    "2008;4;1;1;29;1;1;A13;1;5;1;28;2;1",
    "2008;4;1;2;29;1;2;B4;10;2;1;52;1;1",
    "2008;4;1;1;29;2;2;A13;1;5;1;28;2;1",
    "2008;4;1;2;29;2;1;A13;1;5;1;28;2;1",
    "2008;4;2;1;9;10;2;B4;10;2;1;52;1;1",
    "2008;4;2;1;9;9;2;B4;10;2;1;52;1;1",
]


def csv(lines):
    return ("\r\n".join(lines) + "\r\n").encode()


def test_eshop_click_of_a_day_gets_that_second_of_the_day():
    events = read_eshop(csv(ESHOP)).events
    assert events["session"].tolist() == ["1", "1", "2", "2", "9", "10"]
    assert events["item"].tolist() == ["A13", "B4", "A13", "A13", "B4", "B4"]
    assert (events["time"] - FIRST_OF_APRIL).tolist() == [0, 1, 2, 3, DAY, DAY + 1]
    assert events["time"].dtype == np.float64


def test_eshop_features_are_tokens_and_a_price():
    data = read_eshop(csv(ESHOP))
    assert data.kinds == dict.fromkeys(["category", "colour", "location", "photography", "page"], "token") | {
        "price": "float"
    }
    assert list(data.items.columns) == list(data.kinds)
    assert data.items.loc["B4"].tolist() == ["2", "10", "2", "1", "1", 52.0]
    assert data.sequences == "sessions"


def test_eshop_item_with_a_stray_row_takes_its_most_frequent_value():
    assert read_eshop(csv(ESHOP)).items.loc["A13", "category"] == "1"


def test_eshop_clicks_of_a_session_follow_their_order_not_the_file():
    lines = [ESHOP[0], ESHOP[2], ESHOP[1]]
    assert read_eshop(csv(lines)).events["item"].tolist() == ["A13", "B4"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "not a table"),
        (["a;b", "1;2"], "column 'year' is missing"),
        ([HEADER.replace(";price;", ";cost;"), ESHOP[1]], "column 'price' is missing; it has year, "),
        ([HEADER], "row 2, column 'year'"),
        ([*ESHOP[:2], ESHOP[2].replace(";52;", ";free;")], "row 3, column 'price': 'free' where a number is expected"),
        ([*ESHOP[:2], ESHOP[2].replace("2008;4;1;", "2008;4;31;")], "not a date"),
        ([HEADER, ESHOP[1] + ";1", ESHOP[2] + ";1"], "not a table"),
        ([HEADER, ESHOP[1], ESHOP[2] + ";1"], "not a table"),
    ],
)
def test_eshop_other_tables_are_refused(lines, says):
    with pytest.raises(DataError, match=says):
        read_eshop(csv(lines))


def invoices():
    """The publisher's columns; every line but those of the first invoice and '85123a' is left out by one reason."""
    time = pd.Timestamp("2010-12-01 08:26:00")
    later = pd.Timestamp("2010-12-01 08:28:00")
    lines = [
        ("536365", "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, time, 2.55),
        ("536365", "71053", "WHITE METAL LANTERN 25x30", 6, time, 3.39),
        ("536366", "85123a", "WHITE HANGING HEART T-LIGHT HOLDER", 1, later, 4.55),
        ("536366", "85123A", "CREAM HEART", 1, later, 3.0),
        ("C536379", "71053", "WHITE METAL LANTERN", -1, later, 3.39),
        ("536380", "71053", "damaged", -5, later, 0.0),
        ("536381", "71053", None, 3, later, 0.0),
        ("536382", "POST", "POSTAGE", 1, later, 18.0),
        ("536383", "C2", "CARRIAGE", 1, later, 50.0),
    ]
    return pd.DataFrame(lines, columns=publishers.RETAIL_COLUMNS)


def test_invoices_are_sessions_with_lines_in_order():
    events = clean_invoices(invoices(), "").events
    assert events["session"].tolist() == ["536365", "536365", "536366", "536366"]
    assert events["item"].tolist() == ["85123A", "71053", "85123A", "85123A"]
    assert (events["time"] - pd.Timestamp("2010-12-01 08:26", tz="UTC").timestamp()).tolist() == [0, 1, 120, 121]


def test_lines_left_out_are_counted_by_reason():
    assert clean_invoices(invoices(), "").dropped == {
        "cancellations": 1,
        "lines without a positive quantity": 1,
        "lines without a positive price": 1,
        "codes that do not begin with five digits": 2,
    }


def test_words_come_from_the_most_frequent_description_and_price_is_the_median():
    items = clean_invoices(invoices(), "").items
    assert items.loc["85123A", "words"] == ["white", "hanging", "heart", "light", "holder"]
    assert items.loc["71053", "words"] == ["white", "metal", "lantern"]
    assert items.loc["85123A", "price"] == 3.0


def test_product_without_a_description_has_no_words():
    rows = invoices().assign(Description=None)
    assert clean_invoices(rows, "").items["words"].tolist() == [[], []]


def test_the_callers_frame_is_not_changed():
    rows = invoices()
    clean_invoices(rows, "")
    pd.testing.assert_frame_equal(rows, invoices())


def spreadsheet(rows):
    pytest.importorskip("openpyxl")
    buffer = io.BytesIO()
    numbers = rows["StockCode"].where(
        ~rows["StockCode"].str.fullmatch("[0-9]+"), pd.to_numeric(rows["StockCode"], "coerce")
    )
    rows.assign(StockCode=numbers.astype(object), CustomerID=17850.0, Country="United Kingdom").to_excel(
        buffer, index=False
    )
    return buffer.getvalue()


def test_spreadsheet_is_read_once_and_then_from_its_copy(tmp_path, monkeypatch):
    content = spreadsheet(invoices())
    first = read_online_retail(content, tmp_path)
    monkeypatch.setattr(pd, "read_excel", None)
    again = read_online_retail(content, tmp_path)
    expected = clean_invoices(invoices(), first.digest)
    for data in (first, again):
        pd.testing.assert_frame_equal(data.events, expected.events)
        pd.testing.assert_frame_equal(data.items, expected.items)
        assert data.dropped == expected.dropped


def test_damaged_copy_is_made_anew(tmp_path):
    content = spreadsheet(invoices())
    first = read_online_retail(content, tmp_path)
    copy = next(tmp_path.glob("*.parquet"))
    whole = copy.read_bytes()
    copy.write_bytes(b"damaged")
    pd.testing.assert_frame_equal(read_online_retail(content, tmp_path).events, first.events)
    assert copy.read_bytes() == whole


def test_folder_for_copies_that_cannot_be_written_does_not_matter(tmp_path):
    (tmp_path / "occupied").write_text("a file")
    assert read_online_retail(spreadsheet(invoices()), tmp_path / "occupied").n_sessions == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Quantity": "many"}, "row 2, column 'Quantity': 'many' where a number is expected"),
        ({"InvoiceDate": "yesterday"}, "column InvoiceDate: not all cells are dates"),
    ],
)
def test_spreadsheet_with_other_cells_is_refused(change, says):
    with pytest.raises(DataError, match=says):
        read_online_retail(spreadsheet(invoices().assign(**change)))


def test_spreadsheet_without_a_column_is_refused():
    with pytest.raises(DataError, match="column 'UnitPrice' is missing"):
        read_online_retail(spreadsheet(invoices().drop(columns="UnitPrice")))


def test_what_is_no_spreadsheet_is_refused():
    pytest.importorskip("openpyxl")
    with pytest.raises(DataError, match="not a spreadsheet"):
        read_online_retail(b"<html>not found</html>")


def test_missing_openpyxl_is_told_with_the_fix(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Missing optional dependency 'openpyxl'")

    monkeypatch.setattr(pd, "read_excel", missing)
    with pytest.raises(DataUnavailable, match=r"pip install 'gru4recf\[spreadsheet\]'"):
        read_online_retail(b"")
