"""Outside files as nobody wants them: each is read with counts, or refused by one sentence and exit code 2.

The hand-made cases are in `tests/fuzz/`, written as text.
"""

import contextlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gru4recf.cli import main
from gru4recf.data.atomic import read_atomic
from gru4recf.errors import StudyError

FUZZ = Path(__file__).parent / "fuzz"
IMPORTS = yaml.safe_load((FUZZ / "imports.yaml").read_text(encoding="utf-8"))
ATOMIC = yaml.safe_load((FUZZ / "atomic.yaml").read_text(encoding="utf-8"))
INTER = {"session_id:token": ["s1", "s1", "s2"], "item_id:token": ["a", "b", "a"], "timestamp:float": [1.0, 2.0, 3.0]}
ITEM = {"item_id:token": ["a", "b"], "brand:token": ["x", "y"]}
FUZZING = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(folder, told, *arguments):
    """Check that a command ends with one sentence that matches, exit code 2 and no traceback."""
    answer = CliRunner().invoke(main, [*(arguments or ("data", str(folder)))])
    assert isinstance(answer.exception, SystemExit), answer.output
    assert answer.exit_code == 2, answer.output
    sentences = answer.output.splitlines()
    assert re.search(told, sentences[-1]), answer.output
    assert sum(line.startswith("gru4recf: ") for line in sentences) == 1


def write_case(folder, case):
    folder.mkdir(exist_ok=True)
    for suffix in ("inter", "item"):
        text = case.get(suffix, ATOMIC["good"][suffix])
        (folder / f"shop.{suffix}").write_bytes(text.encode(case.get("encoding", "utf-8")))
    return folder


def write_parquet(folder, inter=None, item=None):
    folder.mkdir(exist_ok=True)
    pa.parquet.write_table(pa.table({**INTER, **(inter or {})}), folder / "shop.inter.parquet")
    if item is not None:
        pa.parquet.write_table(pa.table({**ITEM, **item}), folder / "shop.item.parquet")
    return folder


@pytest.mark.parametrize("name", ATOMIC["refused"])
def test_a_malformed_atomic_file_gets_one_sentence(tmp_path, name):
    case = ATOMIC["refused"][name]
    refused(write_case(tmp_path / "shop", case), case["told"])


@pytest.mark.parametrize("name", ATOMIC["read"])
def test_an_odd_atomic_file_is_read_with_these_counts(tmp_path, name):
    case = ATOMIC["read"][name]
    data = read_atomic(write_case(tmp_path / "shop", case))
    events = data.events
    counts = {"sessions": data.n_sessions, "events": len(events), "items": events["item"].nunique()}
    assert counts == case["kept"]
    assert case.get("order", events["item"].tolist()) == events["item"].tolist()


@pytest.mark.parametrize(
    ("inter", "item", "told"),
    [
        ({"item_id:token": [1.5, 2.0, 1.0]}, None, "row 1, column item_id: 1.5 is not usable; write ids and tokens as"),
        ({"item_id:token": [1e17, 2.0, 1.0]}, None, "row 1, column item_id: 1e\\+17 is not usable"),
        ({"item_id:token": ["a", None, "b"]}, None, "row 2, column item_id: the field is empty"),
        ({"item_id:token": [["a"], ["b"], []]}, None, "column item_id: values of type list<.*> cannot be read"),
        ({"item_id:token": [b"\xff", b"a", b"b"]}, None, "column item_id: values of type binary cannot be read"),
        ({"timestamp:float": [1.0, None, 2.0]}, None, "row 2, column timestamp: nan is not usable"),
        ({"timestamp:float": [1.0, np.inf, 2.0]}, None, "row 2, column timestamp: inf is not usable"),
        ({"timestamp:float": pd.to_datetime([1, 2, 3])}, None, r"column timestamp: values of type timestamp\[.*\] "),
        ({"when:float": [1, 2, 3], "timestamp:token": ["1", "2", "3"]}, None, "a column name appears twice"),
        ({}, {"image:float_seq": [[1.0, 2.0], [1.0]]}, "row 2, column image: every vector needs 2 finite numbers"),
        ({}, {"image:float_seq": [[1.0, None], [1.0, 2.0]]}, "row 1, column image: every vector needs 2 finite"),
        ({}, {"image:float_seq": [["x", "y"], ["1", "2"]]}, "column image: values of type string cannot be read"),
        ({}, {"image:float_seq": [[[1.0]], [[2.0]]]}, "column image: values of type list<.*> cannot be read"),
        ({}, {"image:float_seq": [[1e300], [1.0]]}, "row 1, column image: every vector needs 1 finite numbers"),
        ({}, {"price:float": [float("nan"), 1.0]}, "row 1, column price: nan is not usable"),
    ],
)
def test_a_parquet_column_of_the_wrong_kind_gets_one_sentence(tmp_path, inter, item, told):
    refused(write_parquet(tmp_path / "shop", inter, item), told)


def test_ids_in_parquet_are_read_exactly(tmp_path):
    ids = {"session_id:token": pa.array([2**64 - 1, 2**63, 2**63], pa.uint64())}
    data = read_atomic(
        write_parquet(tmp_path / "shop", ids | {"item_id:token": pa.array(["x", "y", "x"]).dictionary_encode()})
    )
    assert set(data.events["session"]) == {"18446744073709551615", "9223372036854775808"}
    # a whole-number column with gaps in it became floats on its way through pandas
    data = read_atomic(write_parquet(tmp_path / "floats", {"item_id:token": [1.0, 20.0, 3.0]}))
    assert data.events["item"].tolist() == ["1", "20", "3"]


def test_nanoseconds_in_parquet_order_events_by_all_their_64_bits(tmp_path):
    times = {"timestamp:float": [2**60 + 1, 2**60, 2**60 + 2], "session_id:token": ["s", "s", "s"]}
    events = read_atomic(write_parquet(tmp_path / "shop", times | {"item_id:token": ["b", "a", "c"]})).events
    assert events["item"].tolist() == ["a", "b", "c"]
    assert events["time"].dtype == np.float64


def test_vectors_of_fixed_size_and_in_several_chunks_are_read(tmp_path):
    item = {
        "item_id:token": pa.array(["a", "b"]),
        "image:float_seq": pa.array([[1, 2], None], pa.list_(pa.float32(), 2)),
    }
    folder = write_parquet(tmp_path / "shop", item=item)
    assert [v if v is None else v.tolist() for v in read_atomic(folder).items["image"]] == [[1, 2], None]


def test_a_folder_called_like_a_partition_adds_no_column(tmp_path):
    (tmp_path / "rate=1").mkdir()
    assert read_atomic(write_parquet(tmp_path / "rate=1" / "shop", item={})).kinds == {"brand": "token"}


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    folder = write_parquet(tmp_path / "shop")
    (folder / "shop.inter.parquet").write_bytes(b"PAR1 and nothing else")
    refused(folder, r"shop\.inter\.parquet: not readable as parquet")
    (folder / "shop.inter.parquet").unlink()
    (folder / "shop.inter.parquet").mkdir()
    refused(folder, r"shop\.inter\.parquet is not a file")


def test_a_folder_in_place_of_the_item_file_is_refused(tmp_path):
    folder = write_parquet(tmp_path / "shop")
    (folder / "shop.item").mkdir()
    refused(folder, r"shop\.item is not a file; put the table itself there")


def test_a_gigantic_session_and_items_that_only_test_has_are_counted(tmp_path):
    rows = [("giant", f"i{k % 50}", 100.0 + k) for k in range(20_000)]
    rows += [(f"s{s}", f"i{(s + k) % 50}", 200.0 + 100 * s + k) for s in range(300) for k in range(4)]
    rows += [("last", item, 1e6 + k) for k, item in enumerate(["i1", "i2", "new", "i3"])]
    columns = dict(zip(INTER, zip(*rows, strict=True), strict=True))
    answer = CliRunner().invoke(main, ["data", str(write_parquet(tmp_path / "shop", columns))])
    assert answer.exit_code == 0, answer.output
    assert "longest 20,000" in answer.output
    assert "warning: 1 sessions of more than 200 events" in answer.output
    assert "test targets not ranked: 1" in answer.output


def test_hidden_files_are_no_data_sets(tmp_path):
    folder = write_case(tmp_path / "shop", {})
    (folder / "._shop.inter").write_bytes(b"\0\0")
    assert len(read_atomic(folder).events) == 4


def write_log(folder, case):
    """Write a case's log and items; return the arguments that import them into shop."""
    for name in ("log", "items"):
        text = case.get(name, IMPORTS["good"][name])
        (folder / name).write_bytes(
            text.encode(case.get("encoding", "utf-8") if name in case or name == "log" else "utf-8")
        )
    columns = ["--session", "visit", "--item", "sku", "--time", "when", "--out", str(folder / "shop")]
    return ["data", "import", str(folder / "log"), "--items", str(folder / "items"), *columns, *case.get("options", [])]


@pytest.mark.parametrize("name", IMPORTS["refused"])
def test_a_malformed_log_gets_one_sentence_and_nothing_is_written(tmp_path, name):
    case = IMPORTS["refused"][name]
    arguments = write_log(tmp_path, case)
    refused(tmp_path, case["told"], *arguments)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "items"}


@pytest.mark.parametrize("name", IMPORTS["read"])
def test_an_odd_log_is_imported_with_a_report(tmp_path, name):
    case = IMPORTS["read"][name]
    answer = CliRunner().invoke(main, write_log(tmp_path, case))
    assert answer.exit_code == 0, answer.output
    for pattern in case["report"]:
        assert re.search(pattern, answer.output), answer.output
    items = read_atomic(tmp_path / "shop").events["item"].tolist()
    assert case.get("order", items) == items
    assert not list(tmp_path.glob(".import*"))


cells = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["a", "s1", "1", "-1", "nan", "1e300", "2 3"]
)
kinds = st.sampled_from(["token", "token_seq", "float", "float_seq", "", "string"])
names = st.sampled_from(["item_id", "session_id", "user_id", "timestamp", "brand", "brand", ""])
headers = st.lists(st.builds("{}:{}".format, names, kinds), min_size=1, max_size=5).map("\t".join)
lines = st.lists(st.lists(cells, min_size=1, max_size=5).map("\t".join), max_size=6)
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])


@FUZZING
@given(headers, lines, ends)
def test_any_table_of_items_is_read_or_refused_with_one_sentence(tmp_path, header, rows, end):
    folder = write_case(tmp_path / "shop", {"item": end.join([header, *rows])})
    with contextlib.suppress(StudyError):
        assert set("ab") <= set(read_atomic(folder).items.index)


@FUZZING
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_with_one_sentence(tmp_path, content):
    folder = write_case(tmp_path / "shop", {})
    for file in ("shop.inter", "shop.item"):
        (folder / file).write_bytes(content)
    (folder / "shop.inter.parquet").write_bytes(b"PAR1" + content + b"PAR1")
    with pytest.raises(StudyError) as error:
        read_atomic(folder)
    assert "\n" not in str(error.value)
    (folder / "shop.inter").unlink()
    with pytest.raises(StudyError) as error:
        read_atomic(folder)
    assert "\n" not in str(error.value)


columns = st.permutations(["visit", "sku", "when", "brand"]).map(lambda names: ",".join(names[:4]))


@FUZZING
@given(columns, st.lists(st.lists(cells, min_size=1, max_size=5).map(",".join), max_size=6), ends)
def test_any_log_is_imported_or_refused_with_one_sentence(tmp_path, header, rows, end):
    arguments = write_log(tmp_path, {"log": end.join([header, *rows]), "options": ["--feature", "brand:token"]})
    del arguments[3:5]  # features out of the log itself
    shutil.rmtree(tmp_path / "shop", ignore_errors=True)
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code in (0, 2), answer.exc_info
    assert (tmp_path / "shop").exists() == (answer.exit_code == 0)


@FUZZING
@given(headers.map(lambda text: text.replace("\t", ",").replace("item_id", "sku")), lines, ends)
def test_any_table_of_items_is_imported_or_refused_with_one_sentence(tmp_path, header, rows, end):
    shutil.rmtree(tmp_path / "shop", ignore_errors=True)
    items = end.join(["sku," + header, *(row.replace("\t", ",") for row in rows)])
    answer = CliRunner().invoke(main, write_log(tmp_path, {"items": items}))
    assert answer.exit_code in (0, 2), answer.exc_info
    assert (tmp_path / "shop").exists() == (answer.exit_code == 0)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["a", "v1", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
times = (
    st.datetimes().map(str)
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.sampled_from(["20240131", "202401312359", "1700000000", "1.7e12", "-1e300", "NaN", "9999-12-31T23:59:59+14"])
)
records = st.fixed_dictionaries(
    {"visit": values, "sku": values, "when": times | values}, optional={"brand": values, "\udfff": values}
)


@FUZZING
@given(st.lists(records, min_size=1, max_size=5))
def test_any_json_lines_are_imported_or_refused_with_one_sentence(tmp_path, rows):
    shutil.rmtree(tmp_path / "shop", ignore_errors=True)
    arguments = write_log(tmp_path, {"log": "\n".join(json.dumps(row) for row in rows)})
    del arguments[3:5]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code in (0, 2), answer.exc_info
    assert (tmp_path / "shop").exists() == (answer.exit_code == 0)


starts = st.sampled_from(
    [b"", b"visit,sku,when\n", b"\xef\xbb\xbfvisit;sku;when\r\n", b'{"visit":', b"PAR1", b"\x1f\x8b\x08"]
)


@FUZZING
@given(starts, st.binary(max_size=60) | cells.map(lambda text: f'v1,"{text}\n'.encode()))
def test_a_log_of_any_bytes_is_imported_or_refused_with_one_sentence(tmp_path, start, content):
    shutil.rmtree(tmp_path / "shop", ignore_errors=True)
    arguments = write_log(tmp_path, {})
    (tmp_path / "log").write_bytes(start + content)
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code in (0, 2), answer.exc_info
    assert (tmp_path / "shop").exists() == (answer.exit_code == 0)


@settings(FUZZING, max_examples=15)
@given(st.data())
def test_good_events_in_any_order_of_lines_and_columns_mean_the_same(tmp_path, data):
    header, *rows = ATOMIC["good"]["inter"].splitlines()
    columns = data.draw(st.permutations(range(3)))
    rows = data.draw(st.permutations(rows))
    text = "\n".join("\t".join(row.split("\t")[c] for c in columns) for row in [header, *rows])
    events = read_atomic(write_case(tmp_path / "shop", {"inter": text})).events
    pd.testing.assert_frame_equal(events, read_atomic(write_case(tmp_path / "shop", {})).events)
