import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from gru4recf.cli import main
from gru4recf.data.atomic import read_atomic
from gru4recf.errors import StudyError
from gru4recf.imports.events import Columns, parse_gap
from gru4recf.imports.kinds import infer
from gru4recf.imports.numbers import read_numbers
from gru4recf.imports.report import Report
from gru4recf.imports.step import Log, import_log
from gru4recf.imports.tables import RawTable, read_raw
from gru4recf.imports.text import text_vectors, tf_idf
from gru4recf.imports.times import parse_times

LOG = "visit,sku,when,shelf\nv1,a,1700000000,top\nv1,b,1700000010,top\nv2,b,1700000020,low\nv2,c,1700000030,low\n"
ITEMS = "sku,brand,price\na,x,1.5\nb,,\nc,y,2.5\n"


def run_import(*arguments):
    answer = CliRunner().invoke(main, ["data", "import", *(str(a) for a in arguments)])
    assert answer.exit_code == 0, answer.output
    return answer.output


@pytest.fixture
def files(tmp_path):
    """Return a function that writes texts, bytes or tables into files and returns the folder."""

    def write(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("_dot_", ".")
            if isinstance(content, pa.Table):
                pa.parquet.write_table(content, path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def own(folder, log="log.csv", items="items.csv", *more):
    out = folder / "shop"
    columns = ("--session", "visit", "--item", "sku", "--time", "when")
    told = run_import(folder / log, "--items", folder / items, *columns, "--out", out, *more)
    return read_atomic(out), told


def raw(**columns):
    return RawTable("items", pa.table(columns), 2, {})


class TestTables:
    def test_every_way_of_writing_a_log_gives_the_same_data(self, files):
        rows = [line.split(",") for line in LOG.splitlines()]
        records = "\n".join(json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:])
        columns = [list(column) for column in zip(*rows[1:], strict=True)]
        table = dict(zip(rows[0], columns, strict=True))
        typed = pa.table(table | {"when": pa.array([int(value) for value in table["when"]])})
        folder = files(
            items_dot_csv=ITEMS,
            log_dot_csv=LOG,
            tabs=LOG.replace(",", "\t"),
            quoted='"' + LOG.strip().replace(",", '","').replace("\n", '"\n"') + '"\n',
            packed=gzip.compress(LOG.encode()),
            zstd=pa.compress(LOG.encode(), codec="zstd", asbytes=True),
            json=records,
            json_zstd=pa.compress(records.encode(), codec="zstd", asbytes=True),
            columns=typed,
        )
        expected, _ = own(folder)
        for log in ("tabs", "quoted", "packed", "zstd", "json", "json_zstd", "columns"):
            data, _ = own(folder, log, "items.csv", "--out", folder / log.upper(), "--name", "shop")
            data = read_atomic(folder / log.upper())
            pd.testing.assert_frame_equal(data.events, expected.events)
            assert data.digest == expected.digest

    def test_a_field_in_quotes_may_hold_line_ends_and_separators(self, files):
        folder = files(table='id,text\n1,"two\nlines, one field"\n2,"say ""no"""\n')
        table = read_raw(folder / "table")
        assert table.text("text").tolist() == ["two\nlines, one field", 'say "no"']

    @pytest.mark.parametrize("end", ["", "\n", "\n\n"])
    @pytest.mark.parametrize("name", ["log", "items"])
    def test_a_quotation_mark_left_open_to_the_end_of_the_file_is_refused(self, files, name, end):
        tables = {"log": LOG, "items": ITEMS}
        lines = tables[name].strip().splitlines()
        notes = ["note", "fine", '"left open', "x", "y"]
        tables[name] = "\n".join(f"{line},{note}" for line, note in zip(lines, notes, strict=False)) + end
        folder = files(**tables, packed=gzip.compress(tables[name].encode()))
        told = f"{name}, row 3, column note: the value runs to the end of the file; is a quotation mark left open"
        with pytest.raises(AssertionError, match=told):
            own(folder, "log", "items")
        with pytest.raises(StudyError, match="packed, row 3, column note: the value runs to the end"):
            read_raw(folder / "packed")

    def test_a_quotation_mark_that_a_later_one_closes_is_refused_for_the_rows_between(self, files):
        rows = [f"{i},brand {i},note" for i in range(60)]
        rows[7] = '7,brand 7,"left open'
        rows[40] = '40,brand 40,"closed"'
        table = "\n".join(["sku,brand,note", *rows, ""])
        with pytest.raises(StudyError, match="row 9, column note: the value holds 33 line ends; is a quotation mark"):
            read_raw(files(table=table) / "table")

    def test_a_quotation_mark_left_open_in_a_large_file_is_pointed_at(self, files, monkeypatch):
        monkeypatch.setattr("gru4recf.imports.tables.BLOCK_BYTES", 100)
        with pytest.raises(StudyError, match="a row has over 100 bytes; is a quotation mark left open"):
            read_raw(files(table='sku,note\n1,"open\n' + "2,y\n" * 300) / "table")

    def test_texts_of_several_lines_are_kept_and_told(self, files):
        long = "\n".join(["A lamp, red, and", "a table"] * 30)
        folder = files(log_dot_csv=LOG, items_dot_csv=f'sku,note\na,"two\nlines"\nb,"{long}"\nc,"so\nit ends"\n')
        _, told = own(folder)
        assert "items.csv: 3 rows read" in told
        assert "items.csv: values with line ends: note 3 (at most 59, in row 3); is a quotation mark left open" in told

    def test_a_row_is_named_by_the_number_a_person_counts(self, files):
        folder = files(table="id,text\n1,x\n2,y\n", log='{"id": 1}\n{"id": 2}\n')
        assert read_raw(folder / "table").place(1, "id").endswith("table, row 3, column id")
        assert read_raw(folder / "log").place(1, "id").endswith("log, row 2, column id")

    def test_parquet_with_a_column_name_twice_is_refused(self, files):
        table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"])
        with pytest.raises(StudyError, match="column 'a' appears twice"):
            read_raw(files(table=table) / "table")

    def test_categories_without_a_value_are_missing(self, files):
        visit = pa.array(["v1", "", "v2", None]).dictionary_encode()
        table = pa.table({"visit": visit, "sku": ["a", "b", "c", "d"], "when": [1, 2, 3, 4]})
        data, told = own(files(log=table, items_dot_csv=ITEMS), "log", "items.csv")
        assert "left out: 2 rows without visit" in told
        assert data.events["item"].tolist() == ["a", "c"]

    def test_texts_that_are_views_into_buffers_are_read(self, files):
        table = pa.table({"visit": ["v", "v", None], "sku": ["a", "b", "c"], "when": [1, 2, 3]})
        views = table.cast(pa.schema([("visit", pa.string_view()), ("sku", pa.string_view()), ("when", pa.int64())]))
        items = pa.table({"sku": ["a", "b"], "tags": pa.array([["x", "y"], ["y"]], pa.list_(pa.string_view()))})
        data, told = own(files(log=views, items=items), "log", "items")
        assert "left out: 1 rows without visit" in told
        assert data.items["tags"].tolist() == [["x", "y"], ["y"]]
        assert data.events["item"].tolist() == ["a", "b"]

    def test_an_object_in_json_lines_is_no_id_and_no_feature(self, files):
        rows = [{"visit": "v", "sku": sku, "when": when, "size": {"cm": when}} for when, sku in enumerate("abc")]
        log = "\n".join(map(json.dumps, rows))
        items = "\n".join(json.dumps({name: row[name] for name in ("sku", "size")}) for row in rows)
        _, told = own(files(log=log, items=items), "log", "items")
        assert "feature size: left out, values of type struct<cm: string> are neither text, numbers nor lists" in told
        folder = files(log=log.replace('"b"', '{"id": "b"}'), items_dot_csv=ITEMS)
        with pytest.raises(AssertionError, match="log, column sku: values of type struct<id: string> cannot be read"):
            own(folder, "log", "items.csv", "--out", folder / "again")

    def test_ids_that_differ_by_spaces_only_are_counted(self, files):
        log = LOG + "v3,b ,1700000040,top\nv3, b,1700000040,top\nv3,d ,1700000050,top\nv1 ,a,1700000050,top\n"
        data, told = own(files(log_dot_csv=log, items_dot_csv=ITEMS + "d,z,3\n"))
        assert "visit: 1 ids equal another one but for spaces at the ends; they are kept apart" in told
        assert "sku: 2 ids equal another one but for spaces at the ends; they are kept apart" in told
        assert "items: 3 without a row would have one but for spaces at the ends of their ids" in told
        assert {"b", "b ", " b", "d "} <= set(data.events["item"])

    def test_words_that_stand_for_no_id_are_none_in_the_table_of_items_either(self, files):
        items = "sku,brand\na,x\nNULL,y\nNA,z\n,y\nb,y\nc,x\n"
        data, told = own(files(log_dot_csv=LOG, items_dot_csv=items))
        assert "left out: 3 rows of items.csv without sku" in told
        assert list(data.items.index) == ["a", "b", "c"]

    def test_an_infinite_time_is_named_as_a_time(self, files):
        table = pa.table({"visit": ["v", "v"], "sku": ["a", "b"], "when": [1.0, float("inf")]})
        with pytest.raises(AssertionError, match=r"log, row 2, column when: 'inf' is no time"):
            own(files(log=table, items_dot_csv=ITEMS), "log", "items.csv")

    def test_fields_may_be_separated_by_several_letters(self, files):
        table = read_raw(files(table="a::b:c::\n") / "table", names=("x", "y", "z"), delimiter="::", quotes=False)
        assert [table.text(name).tolist() for name in "xyz"] == [["a"], ["b:c"], [""]]

    def test_unnamed_columns_get_a_number(self, files):
        assert read_raw(files(table=",a\n0,x\n") / "table").table.column_names == ["column1", "a"]


class TestTimes:
    @pytest.mark.parametrize(
        ("values", "seconds"),
        [
            (["1700000000", "1700000000.5"], [1700000000, 1700000000.5]),
            (["1700000000123", "1700000000124"], [1700000000.123, 1700000000.124]),
            (["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.5+01:00"], [1700000000, 1700000000.5]),
            (["2023-11-14 22:13:20", "2023-11-14"], [1700000000, 1699920000]),
            (pa.array([1700000000, 1700000001], pa.timestamp("s")), [1700000000, 1700000001]),
            (pa.array([1700000000123456789], pa.timestamp("ns", "UTC")), [1700000000.1234567]),
            (pa.array([19675], pa.date32()), [19675 * 86400]),
            (pa.array([1500], pa.duration("ms")), [1.5]),
            ([1.5, 2.5], [1.5, 2.5]),
            (["-3", "0"], [-3, 0]),
            (["0", "150000000", "200000000"], [0, 150000000, 200000000]),
            (["20231114", "20231115"], [1699920000, 1700006400]),
            (["20231114221320", "202311142213"], [1700000000, 1699999980]),
            (pa.array([20231114, 20231115]), [1699920000, 1700006400]),
            (["2023-11-14 22:13:20,250", "2023-11-14T23:13:20+01"], [1700000000.25, 1700000000]),
        ],
    )
    def test_every_way_of_writing_a_time_becomes_seconds(self, values, seconds):
        np.testing.assert_allclose(parse_times(raw(t=values), "t").seconds, seconds, rtol=0, atol=2.5e-7)

    def test_nanoseconds_keep_their_order_although_seconds_do_not_tell_them_apart(self):
        times = parse_times(raw(t=["1700000000000000001", "1700000000000000000"]), "t")
        assert times.seconds[0] == times.seconds[1]
        assert times.exact.argsort().tolist() == [1, 0]

    def test_what_is_no_time_is_nan(self):
        seconds = parse_times(raw(t=["1700000000", "soon", "1e300", "inf", "1700000001"]), "t").seconds
        assert np.isnan(seconds).tolist() == [False, True, True, True, False]

    def test_a_gap_is_written_with_its_unit(self):
        assert [parse_gap(text) for text in ("30min", "1h", "90s", "1.5 days")] == [1800, 3600, 90, 129600]


class TestSessions:
    def test_users_are_cut_where_they_were_idle_for_longer_than_the_gap(self, files):
        folder = files(log="who,sku,when\nu2,a,0\nu1,a,0\nu1,b,1800\nu1,c,3601\nu2,b,10\nu1,d,3602\n")
        told = run_import(
            folder / "log",
            "--user",
            "who",
            "--item",
            "sku",
            "--time",
            "when",
            "--gap",
            "30min",
            "--out",
            folder / "shop",
        )
        assert "users: 2, cut into 3 sessions where nothing happened for 1800 s" in told
        events = read_atomic(folder / "shop").events
        found = {name: rows["item"].tolist() for name, rows in events.groupby("session")}
        assert found == {"u1#1": ["a", "b"], "u1#2": ["c", "d"], "u2#1": ["a", "b"]}

    def test_a_session_is_cut_by_a_gap_too(self, files):
        folder = files(log_dot_csv=LOG.replace("1700000010", "1700009000"), items_dot_csv=ITEMS)
        data, _ = own(folder, "log.csv", "items.csv", "--gap", "1h")
        assert set(data.events["session"]) == {"v1#1", "v1#2", "v2#1"}

    def test_users_without_a_gap_are_one_sequence_each(self, files):
        folder = files(log="who,sku,when\nu1,a,5\nu2,a,1\nu1,b,3\n")
        run_import(folder / "log", "--user", "who", "--item", "sku", "--time", "when", "--out", folder / "shop")
        data = read_atomic(folder / "shop")
        assert data.sequences == "users"
        assert data.events["item"].tolist() == ["a", "b", "a"]

    def test_rows_that_are_there_twice_are_kept_and_counted(self, files):
        log = LOG + "v1,a,1700000000,low\nv1,c,1700000000,low\nv1,a,1700000000,top\nv2,a,1700000000,top\n"
        data, told = own(files(log_dot_csv=log, items_dot_csv=ITEMS))
        assert "rows that repeat session, item and time of another one: 2, kept; are they copies?" in told
        assert len(data.events) == 8

    def test_sessions_numbered_anew_for_every_user_are_never_mixed_up(self, files):
        folder = files(log="who,visit,sku,when\na/1,1,a,1\na/1,1,b,2\na,1/1,c,3\na,1,d,4\nb,1,e,5\n")
        arguments = ("--user", "who", "--session", "visit", "--item", "sku", "--time", "when")
        run_import(folder / "log", *arguments, "--out", folder / "shop")
        assert set(read_atomic(folder / "shop").events["session"]) == {"a/1#1", "a#1/1", "a#1", "b#1"}


class TestKinds:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([f"brand {i % 4}" for i in range(40)], "token"),
            ([str(i % 4) for i in range(40)], "token"),
            (["007", "008", "010", "7"], "token"),
            ([str(0.5 + i) for i in range(40)], "float"),
            ([str(i * 7) for i in range(40)], "float"),
            (["1,5", "2", "0,25", "NA"], "float"),
            ([f"{i % 3},{i % 5}" for i in range(40)], "float"),
            ([f"{i % 3},10{i % 5}" for i in range(40)], "drop"),  # commas may part decimals, thousands or a list
            (["36", "37", "38", "39", "XL"] * 8, "drop"),
            (["36", "37", "XL"] * 8, "token"),
            ([f"A{i % 9}" for i in range(40)], "token"),
            (pa.array([True, False, None, True]), "token"),
            (pa.array([1.0, 2.0, None, 1.0] * 30), "token"),
            (["Action|Comedy", "Comedy", "Drama|Action", "Drama", "Comedy|Drama"] * 8, "token_seq"),
            ([f"tag{i % 3};tag{i % 5}" for i in range(40)], "token_seq"),
            ([f'["tag{i % 3}", "tag{i % 5}"]' for i in range(40)], "token_seq"),
            (["Acme", "Lamp, Inc.", "Desk & Co", "Ono"] * 10, "token"),
            ([["a", "b"], ["b"], None, []], "token_seq"),
            ([[1, 2], [3], [4, 5, 6]], "token_seq"),
            ([[0.5, 1.5], [2.5, 3.5], None], "float_seq"),
            (["0.1 0.2 0.3", "0.4 0.5 0.6", ""], "float_seq"),
            (["[1, 2, 3]", "[4, 5, 6]", "[]"], "float_seq"),
            ([f"a lamp number {i} of shade {i * i}" for i in range(40)], "text"),
            ([f"http://shop/{i}" for i in range(40)], "drop"),
            (["", "", "nan", "null"], "drop"),
            (["x", "x", "x"], "drop"),
            (pa.array([0, 1, None], pa.timestamp("s")), "drop"),
            (pa.array([{"a": 1}, None]), "drop"),
            (pa.array([b"\xff", b"a"]), "drop"),
        ],
    )
    def test_the_kind_is_seen_from_the_values(self, values, kind):
        assert infer(raw(f=values), "f").kind == kind

    @pytest.mark.parametrize(
        ("texts", "values", "told"),
        [
            (["12,99", "7,5", "3"], [12.99, 7.5, 3], "numbers with decimal commas"),
            (["9.99", "9,99", "3"], [9.99, 9.99, 3], "numbers with decimal points and decimal commas"),
            (["1,299.00", "2,100", "9.99"], [1299, 2100, 9.99], "numbers with separators of thousands"),
            (
                ["1.299,00", "2.100", "1 000 000,5"],
                [1299, 2100, 1e6 + 0.5],
                "decimal commas and separators of thousands",
            ),
            (["1.299", "2.100", "3.5e2"], [1.299, 2.1, 350], "numbers"),
            (["$9.99", "-$1.50", "$1,299.00"], [9.99, -1.5, 1299], "numbers with separators of thousands and $"),
            (["12.99 EUR", "€ 5", "7"], [12.99, 5, 7], "numbers with EUR/€"),
            (["12,99 €", "1.299,00 €", "7"], [12.99, 1299, 7], "decimal commas and separators of thousands and €"),
        ],
    )
    def test_numbers_are_read_as_tables_write_them_and_told(self, texts, values, told):
        kind = infer(raw(price=texts * 8), "price")
        assert kind.kind == "float"
        assert kind.reason.endswith(told)
        assert read_numbers(pd.Series(texts)).values.tolist() == values

    @pytest.mark.parametrize(
        ("texts", "told"),
        [
            (
                ["12,99"] * 8 + ["3,50", "ask"],
                "9 of 10 known values are numbers with decimal commas, not 'ask' (row 11);",
            ),
            (["1.5"] * 8 + ["-", "inf"], "8 of 10 known values are numbers, not '-' (row 10); mend such values, read"),
            (
                ["1,299", "2,100"] * 8,
                "0 of 16 known values are numbers, not '1,299' (row 2), which may have thousands or",
            ),
            (
                ["9.99", "9,99", "1,299"] * 8,
                "16 of 24 known values are numbers with decimal points and decimal commas, not",
            ),
        ],
    )
    def test_numbers_with_some_that_are_none_are_left_out_and_the_first_is_named(self, texts, told):
        kind = infer(raw(price=texts), "price")
        assert kind.kind == "drop"
        assert told in kind.reason
        assert (
            "with --feature price:float --drop-bad, or say another kind, such as --feature price:token" in kind.reason
        )

    def test_words_among_codes_leave_the_codes_tokens(self):
        assert infer(raw(category_id=["12", "13", "14", "15", "A3"] * 8), "category_id").kind == "token"

    def test_what_is_no_number_is_missing_and_counted_when_bad_values_are_dropped(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv="sku;price\na;12,99\nb;ask\nc;1.299,00\n")
        arguments = ("log.csv", "items.csv", "--feature", "price:float")
        with pytest.raises(
            AssertionError, match=r"row 3, column price: 'ask' is not a number .* missing with --drop-bad"
        ):
            own(folder, *arguments)
        data, told = own(folder, *arguments, "--drop-bad")
        assert "left out: 1 values of price that are no numbers; they are missing now" in told
        assert "price: float (as asked for, numbers with decimal commas and separators of thousands), known for" in told
        assert data.items["price"].fillna(-1).tolist() == [12.99, -1, 1299]

    def test_lists_in_brackets_are_read_without_them(self, files):
        tags = ["['red lamp', 'big']", '["big"]', "[]"]
        rows = "".join('{},"{}"\n'.format(sku, tag.replace('"', '""')) for sku, tag in zip("abc", tags, strict=True))
        folder = files(log_dot_csv=LOG, items_dot_csv="sku,tags\n" + rows)
        data, _ = own(folder, "log.csv", "items.csv", "--feature", "tags:token_seq")
        assert data.items["tags"].tolist() == [["red_lamp", "big"], ["big"], []]

    def test_a_name_that_says_code_makes_numbers_tokens(self):
        values = [str(i) for i in range(40)]
        assert infer(raw(categoryId=values), "categoryId").kind == "token"
        assert infer(raw(brand_id=values), "brand_id").kind == "token"
        assert infer(raw(paid=values), "paid").kind == "float"

    def test_the_user_has_the_last_word(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv="sku,year,tags,note\na,1990,x y,n\nb,1991,y,m\nc,1992,z,k\n")
        data, told = own(
            folder,
            "log.csv",
            "items.csv",
            "--feature",
            "year:token",
            "--feature",
            "tags:token_seq",
            "--feature",
            "note:drop",
        )
        assert data.kinds == {"year": "token", "tags": "token_seq"}
        assert data.items.loc["a", "tags"] == ["x", "y"]
        assert "feature note: left out, as asked for" in told


class TestItems:
    def test_all_kinds_reach_the_atomic_files(self, files):
        items = pa.table(
            {
                "sku": ["a", "b", "c"],
                "brand": ["Le X", None, "Y"],
                "genres": [["Sci Fi", "Drama"], [], None],
                "price": [1.5, None, 2.0],
                "image": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32())),
            }
        )
        data, _ = own(files(log_dot_csv=LOG, items=items), "log.csv", "items")
        assert data.kinds == {"brand": "token", "genres": "token_seq", "price": "float", "image": "float_seq"}
        assert data.items.loc["a", "brand"] == "Le X"
        assert data.items["genres"].tolist() == [["Sci_Fi", "Drama"], [], []]
        assert data.items.loc["c", "price"] == 2.0
        assert data.items.loc["b", "image"] is None
        assert data.items.loc["c", "image"].tolist() == [3, 4]

    def test_text_files_and_parquet_hold_the_same(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv="sku,tags,price\na,x|y,0.1\nb,y,\nc,,1e-7\n")
        data, told = own(folder, "log.csv", "items.csv", "--feature", "tags:token_seq")
        assert "shop.inter and shop.item written" in told
        assert data.items["tags"].tolist() == [["x", "y"], ["y"], []]
        assert data.items["price"].tolist()[::2] == [0.1, 1e-7]

    def test_decimal_commas_become_points_where_all_are_numbers(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv="sku;price\na;1,5\nb;-20\nc;0,125\n")
        data, _ = own(folder)
        assert data.items["price"].tolist() == [1.5, -20.0, 0.125]

    def test_an_infinite_number_is_refused_rather_than_taken_for_a_word(self, files):
        items = pa.table({"sku": ["a", "b", "c"], "price": [1.5, float("inf"), None]})
        with pytest.raises(
            AssertionError, match="items, row 2, column price: 'inf' is not a number that float32 holds"
        ):
            own(files(log_dot_csv=LOG, items=items), "log.csv", "items")

    def test_items_without_a_row_get_one_with_nothing_in_it(self, files):
        data, told = own(files(log_dot_csv=LOG, items_dot_csv="sku,brand,price\na,x,1.5\nb,y,2.5\n"))
        assert "1 of them without a row" in told
        assert pd.isna(data.items.loc["c", "brand"])
        assert np.isnan(data.items.loc["c", "price"])

    def test_columns_of_the_log_describe_items_by_their_most_frequent_value(self, files):
        log = "visit,sku,when,shelf\n1,a,1,low\n1,a,2,top\n1,a,3,top\n2,b,4,low\n2,b,5,top\n2,c,6,\n2,c,7,mid\n"
        folder = files(log=log)
        columns = ("--session", "visit", "--item", "sku", "--time", "when", "--feature", "shelf:token")
        told = run_import(folder / "log", *columns, "--out", folder / "shop")
        assert "shelf: each item's most frequent value in the whole log, the days of test included" in told
        # a: top 2 of 3; b: equal, the first met; c: the one that is known
        assert read_atomic(folder / "shop").items["shelf"].to_dict() == {"a": "top", "b": "low", "c": "mid"}

    def test_rows_of_an_npy_file_belong_to_rows_of_the_item_table(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv="sku,brand\nc,x\nc,y\na,y\nb,x\n")
        np.save(folder / "image.npy", np.float64([[1, 2], [9, 9], [3, 4], [np.nan, 0]]))
        data, _ = own(folder, "log.csv", "items.csv", "--vectors", f"image={folder / 'image.npy'}")
        assert data.items.loc["c", "image"].tolist() == [1, 2]
        assert data.items.loc["a", "image"].tolist() == [3, 4]
        assert data.items.loc["b", "image"] is None

    def test_a_number_of_an_npy_file_that_float32_does_not_hold_is_refused(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        np.save(folder / "image.npy", np.array([[1, 2], [3, 1e300], [4, 5]]))
        with pytest.raises(AssertionError, match=r"image\.npy, row 2: a number is larger than float32 holds"):
            own(folder, "log.csv", "items.csv", "--vectors", f"image={folder / 'image.npy'}")

    @pytest.mark.parametrize(
        "array", [np.zeros((2, 2)), np.zeros(3), np.array([{}] * 3), np.array([["x"]] * 3), np.zeros((3, 2), complex)]
    )
    def test_an_npy_file_of_another_shape_or_kind_is_refused(self, files, array):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        np.save(folder / "image.npy", array, allow_pickle=True)
        with pytest.raises(AssertionError, match=r"image\.npy(: not readable| has shape)"):
            own(folder, "log.csv", "items.csv", "--vectors", f"image={folder / 'image.npy'}")

    def test_a_table_in_place_of_an_npy_file_is_refused_without_advice_to_load_it_unsafely(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        with pytest.raises(
            AssertionError, match=r"items\.csv: not readable as an npy file of numbers; write an"
        ) as told:
            own(folder, "log.csv", "items.csv", "--vectors", f"image={folder / 'items.csv'}")
        assert "pickle" not in str(told.value)

    def test_a_column_of_ids_without_a_table_of_items_is_refused(self, files):
        folder = files(log=LOG)
        columns = ("--session", "visit", "--item", "sku", "--time", "when", "--item-id", "id")
        with pytest.raises(AssertionError, match="--item-id id names a column of --items; give --items FILE"):
            run_import(folder / "log", *columns, "--out", folder / "shop")

    @pytest.mark.parametrize("option", [("--unit", "ms"), ("--item-id", "sku")])
    def test_options_that_a_published_format_answers_itself_are_refused(self, files, option):
        with pytest.raises(AssertionError, match="--format yoochoose knows its files and columns"):
            run_import(files(), "--format", "yoochoose", *option, "--out", files() / "shop")

    def test_a_column_of_parquet_without_a_value_is_named(self, files):
        table = pa.table({"s": ["v", "v"], "i": ["a", "b"], "t": pa.array([None, None], pa.int64())})
        folder = files(log=table)
        with pytest.raises(AssertionError, match="log, column t: every row is empty there; name another column"):
            run_import(folder / "log", "--session", "s", "--item", "i", "--time", "t", "--out", folder / "shop")


class TestText:
    def test_weights_are_those_of_the_formula(self):
        weights = tf_idf(pd.Series(["red lamp lamp", "red chair", "lamp table", "one"])).toarray()
        # lamp and red are in two texts of four; the other words are in one only
        idf = 1 + np.log(5 / 3)
        lamp, red = (1 + np.log(2)) * idf, idf
        length = np.hypot(lamp, red)
        np.testing.assert_allclose(weights, [[lamp / length, red / length], [0, 1], [1, 0], [0, 0]])

    def test_reduced_vectors_keep_what_texts_have_in_common(self):
        generator = np.random.default_rng(0)
        topics = [[f"{name}{i}" for i in range(40)] for name in ("sea", "sun")]
        texts = pd.Series([" ".join(generator.choice(topics[i % 2], 12)) for i in range(60)])
        vectors = np.stack(text_vectors(texts, 2))
        alike = vectors @ vectors.T
        same = np.equal.outer(np.arange(60) % 2, np.arange(60) % 2)
        assert alike[same].min() > 0.9
        assert alike[~same].max() < 0.1
        np.testing.assert_array_equal(vectors, np.stack(text_vectors(texts, 2)))

    def test_a_text_without_a_known_word_has_no_vector(self):
        assert [v is None for v in text_vectors(pd.Series(["red lamp", "red lamp", "", "??"]))] == [
            False,
            False,
            True,
            True,
        ]
        assert text_vectors(pd.Series(["", ""])) == [None, None]


class TestFolder:
    def test_the_same_log_gives_the_same_bytes(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        first, _ = own(folder)
        run_import(
            *(folder / "log.csv", "--items", folder / "items.csv", "--session", "visit", "--item", "sku"),
            *("--time", "when", "--name", "shop", "--out", folder / "again"),
        )
        assert read_atomic(folder / "again").digest == first.digest
        assert {p.name for p in (folder / "again").iterdir()} == {"shop.inter", "shop.item", "shop.report.txt"}

    def test_a_folder_with_something_in_it_is_left_alone(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        own(folder)
        with pytest.raises(AssertionError, match=r"shop is not empty; name a new folder, or delete this one first"):
            own(folder)
        with pytest.raises(AssertionError, match=r"log\.csv is a file; name a folder"):
            own(folder, "log.csv", "items.csv", "--out", folder / "log.csv")

    def test_a_folder_below_a_file_cannot_be_written(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        with pytest.raises(AssertionError, match=r"log\.csv/shop cannot be written \(.+\); name another folder"):
            own(folder, "log.csv", "items.csv", "--out", folder / "log.csv" / "shop")

    def test_an_empty_folder_is_filled(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        (folder / "shop").mkdir()
        assert len(own(folder)[0].events) == 4

    def test_long_logs_are_written_as_parquet(self, files, monkeypatch):
        monkeypatch.setattr("gru4recf.imports.writing.MAX_TEXT_ROWS", 3)
        data, told = own(files(log_dot_csv=LOG, items_dot_csv=ITEMS))
        assert "shop.inter.parquet and shop.item written" in told
        assert data.events["item"].tolist() == list("abbc")

    def test_the_report_is_kept_beside_the_files(self, files):
        folder = files(log_dot_csv=LOG, items_dot_csv=ITEMS)
        _, told = own(folder)
        assert (folder / "shop" / "shop.report.txt").read_text() in told

    def test_a_log_without_owner_is_refused(self, files):
        table = read_raw(files(log=LOG) / "log")
        with pytest.raises(StudyError, match="--session COL, or --user COL"):
            import_log(Log(table, Columns(item="sku", time="when")), files() / "shop")


def test_a_report_counts_each_reason_once():
    report = Report()
    report.tell("read")
    for count in (0, 2, 3):
        report.drop("bad rows", count)
    assert report.text() == "read\nleft out: 5 bad rows"
