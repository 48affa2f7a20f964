import contextlib
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gru4recf.data.atomic import read_atomic, sort_events
from gru4recf.errors import StudyError

HEADER = "session_id:token\titem_id:token\ttimestamp:float\n"
INTER = HEADER + "s1\ta\t1\ns1\tb\t2\ns2\tb\t5\ns2\tc\t6\n"
ITEM = (
    "item_id:token\tbrand:token\ttags:token_seq\tprice:float\timage:float_seq\n"
    "a\tx\tred big\t1.5\t0.1 0.2\nb\t\tblue\t\t\nc\ty\t\t2\t0.3 0.4\n"
)


def test_four_kinds_of_features_are_read_and_empty_fields_are_missing(atomic_folder):
    data = read_atomic(atomic_folder(INTER, ITEM))
    assert data.kinds == {"brand": "token", "tags": "token_seq", "price": "float", "image": "float_seq"}
    assert data.items.loc["a", "tags"] == ["red", "big"]
    assert data.items.loc["c", "tags"] == []
    assert pd.isna(data.items.loc["b", "brand"])
    assert np.isnan(data.items.loc["b", "price"])
    assert data.items.loc["b", "image"] is None
    np.testing.assert_array_equal(data.items.loc["c", "image"], np.float32([0.3, 0.4]))


def test_user_id_instead_of_session_id_means_user_sequences(atomic_folder):
    assert read_atomic(atomic_folder(INTER.replace("session_id", "user_id"), ITEM)).sequences == "users"
    assert read_atomic(atomic_folder(INTER, ITEM)).sequences == "sessions"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(atomic_folder):
    plain = read_atomic(atomic_folder(INTER, ITEM))
    windows = read_atomic(atomic_folder("\ufeff" + INTER.replace("\n", "\r\n"), ITEM.replace("\n", "\r\n"), "other"))
    pd.testing.assert_frame_equal(plain.events, windows.events)
    pd.testing.assert_frame_equal(plain.items, windows.items)


def test_parquet_reads_like_text(atomic_folder, tmp_path):
    folder = tmp_path / "columns"
    folder.mkdir()
    pd.DataFrame(
        {"session_id:token": ["s1", "s1", "s2", "s2"], "item_id:token": list("abbc"), "timestamp:float": [1.0, 2, 5, 6]}
    ).to_parquet(folder / "columns.inter.parquet")
    pd.DataFrame(
        {
            "item_id:token": list("abc"),
            "brand:token": ["x", None, "y"],
            "tags:token_seq": ["red big", "blue", ""],
            "price:float": [1.5, None, 2.0],
            "image:float_seq": [[0.1, 0.2], None, [0.3, 0.4]],
        }
    ).to_parquet(folder / "columns.item.parquet")
    text, parquet = read_atomic(atomic_folder(INTER, ITEM)), read_atomic(folder)
    pd.testing.assert_frame_equal(text.events, parquet.events)
    pd.testing.assert_frame_equal(text.items, parquet.items)


def test_events_are_sorted_by_session_start_and_equal_times_keep_file_order():
    frame = pd.DataFrame({"session": list("bababc"), "item": list("123456"), "time": [5.0, 7.0, 4.0, 7.0, 9.0, 4.0]})
    assert sort_events(frame)["item"].tolist() == ["3", "1", "5", "6", "2", "4"]


@pytest.mark.parametrize(
    ("inter", "item", "told"),
    [
        ("", ITEM, r"shop\.inter: the file is empty"),
        (HEADER, ITEM, r"shop\.inter: no rows below the header"),
        (INTER.replace("session_id:token", "visit:token"), ITEM, r"no column session_id:token or user_id:token"),
        (INTER.replace("timestamp:float", "when:float"), ITEM, r"column timestamp:float is missing"),
        (INTER.replace("timestamp:float", "timestamp:token"), ITEM, r"column timestamp: typed token, must be float"),
        (INTER.replace("timestamp:float", "timestamp"), ITEM, r"column 'timestamp': the header must read name:type"),
        (INTER.replace("b\t5", "b\tnan"), ITEM, r"line 4, column timestamp: 'nan' is not usable"),
        (INTER.replace("b\t5", "b\tsoon"), ITEM, r"line 4, column timestamp: 'soon' is not usable"),
        (INTER.replace("s2\tb", "\tb"), ITEM, r"line 4, column session_id: the field is empty"),
        (INTER.replace("b\t5", "z\t5"), ITEM, r"line 4, column item_id: item 'z' has no row in shop\.item"),
        (INTER.replace("b\t5", "b\t5\t7"), ITEM, r"line \d+: 4 fields where the header has 3"),
        (INTER, ITEM.replace("\t1.5", "\tNaN"), r"line 2, column price: 'NaN' is not usable"),
        (INTER, ITEM.replace("0.3 0.4", "0.3"), r"column image: every vector needs 2 finite numbers"),
        (INTER, ITEM.replace("0.3 0.4", "0.3 x"), r"line 4, column image: '0.3 x' is not a list of numbers"),
        (INTER, ITEM.replace("c\ty", "a\ty"), r"line 4, column item_id: item 'a' appears a second time"),
        (INTER, ITEM.replace("\ty\t", "\tx\t").replace("b\t\t", "b\tx\t"), r"column brand: has one value for all"),
    ],
)
def test_a_mistake_in_a_file_gets_a_sentence_with_its_place(atomic_folder, inter, item, told):
    with pytest.raises(StudyError, match=told) as error:
        read_atomic(atomic_folder(inter, item))
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_or_holds_no_events_is_named(tmp_path):
    with pytest.raises(StudyError, match="no such folder"):
        read_atomic(tmp_path / "nowhere")
    with pytest.raises(StudyError, match=re.escape("*.inter")):
        read_atomic(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_any_text_is_read_or_refused_with_a_sentence(tmp_path, text):
    folder = tmp_path / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / "fuzz.inter").write_text(HEADER + text, encoding="utf-8", newline="")
    with contextlib.suppress(StudyError):
        assert np.isfinite(read_atomic(folder).events["time"]).all()
