"""Public data sets in the format in which their owners publish them; the samples here are made up."""

import gzip
import re

import numpy as np
import pytest
from click.testing import CliRunner

from gru4recf.cli import main
from gru4recf.data.atomic import read_atomic
from gru4recf.imports.formats import read_format


def imported(folder, name):
    """Import the folder in a published format and return (the data set, what was told)."""
    out = folder / "out"
    answer = CliRunner().invoke(main, ["data", "import", str(folder), "--format", name, "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    return read_atomic(out), answer.output


def write(folder, **texts):
    for name, text in texts.items():
        (folder / name.replace("_dot_", ".").replace("__", "-")).write_bytes(text.encode("latin-1"))


def sequences(data):
    return {name: rows["item"].tolist() for name, rows in data.events.groupby("session")}


class TestDiginetica:
    @pytest.fixture
    def folder(self, tmp_path):
        write(
            tmp_path,
            train__item__views_dot_csv="sessionId;userId;itemId;timeframe;eventdate\n"
            "1;NA;81766;526309;2016-05-09\n1;NA;31331;1031018;2016-05-09\n1;NA;32118;243569;2016-05-09\n"
            "2;7;81766;75848;2016-05-10\n2;7;31331;4194321;2016-05-10\n",
            product__categories_dot_csv="itemId;categoryId\n81766;1096\n31331;1096\n32118;7\n4;7\n",
            products_dot_csv="itemId;pricelog2;product.name.tokens\n81766;10;4875,776,56689\n31331;12;4875\n32118;7;\n",
        )
        return tmp_path

    def test_time_is_the_day_plus_the_milliseconds_of_the_session(self, folder):
        data, told = imported(folder, "diginetica")
        assert sequences(data) == {"1": ["32118", "81766", "31331"], "2": ["81766", "31331"]}
        assert data.events["time"].iloc[0] == 1462752000 + 243.569  # 2016-05-09 and 243,569 ms
        assert "5 rows read, 5 events kept in 2 sessions" in told

    def test_products_and_categories_become_features(self, folder):
        data, _ = imported(folder, "diginetica")
        assert data.kinds == {"categoryId": "token", "pricelog2": "float", "product.name.tokens": "token_seq"}
        assert data.items.loc["81766"].tolist() == ["1096", 10.0, ["4875", "776", "56689"]]
        assert data.items.loc["32118", "product.name.tokens"] == []
        assert np.isnan(data.items.loc["4", "pricelog2"])

    def test_the_first_category_of_an_item_counts_and_the_others_are_counted(self, folder):
        with open(folder / "product-categories.csv", "a") as file:
            file.write("81766;77\n7;77\n")
        data, told = imported(folder, "diginetica")
        assert data.items.loc["81766", "categoryId"] == "1096"
        assert "left out: 1 rows of product-categories.csv about an item that had one already" in told

    def test_copies_with_renamed_columns_are_read_too(self, folder):
        views = folder / "train-item-views.csv"
        views.write_text(views.read_text().replace("sessionId;userId;itemId", "session_id;user_id;item_id"))
        assert len(imported(folder, "diginetica")[0].events) == 5


class TestRetailRocket:
    @pytest.fixture
    def folder(self, tmp_path):
        hour = 3_600_000
        write(
            tmp_path,
            events_dot_csv="timestamp,visitorid,event,itemid,transactionid\n"
            f"1433221332117,257597,view,355908,\n{1433221332117 + hour // 2},257597,view,248676,\n"
            f"{1433221332117 + hour + 1},257597,view,355908,\n1433221332118,992329,view,248676,\n"
            "1433221332119,992329,addtocart,248676,\n1433221332120,992329,transaction,248676,17\n",
            item_properties_part1_dot_csv="timestamp,itemid,property,value\n"
            "1435460400000,355908,categoryid,1338\n1433041200000,355908,categoryid,561\n"
            "1433041200000,248676,790,n552.000 639502\n",
            item_properties_part2_dot_csv="timestamp,itemid,property,value\n1433041200000,248676,categoryid,1016\n",
            category_tree_dot_csv="categoryid,parentid\n1016,213\n561,\n213,\n",
        )
        return tmp_path

    def test_views_are_cut_after_thirty_idle_minutes(self, folder):
        data, told = imported(folder, "retailrocket")
        assert sequences(data) == {
            "257597#1": ["355908", "248676"],
            "257597#2": ["355908"],
            "992329#1": ["248676"],
        }
        assert "left out: 2 events that are no views" in told

    def test_an_item_has_its_first_category_and_the_parent(self, folder):
        data, _ = imported(folder, "retailrocket")
        assert data.items.loc["355908", "category"] == "561"
        assert data.items.loc["248676"].tolist() == ["1016", "213"]

    def test_files_may_be_packed(self, folder):
        events = folder / "events.csv"
        (folder / "events.csv.gz").write_bytes(gzip.compress(events.read_bytes()))
        events.unlink()
        assert len(imported(folder, "retailrocket")[0].events) == 4


class TestYooChoose:
    def test_clicks_without_a_header_give_category_and_brand(self, tmp_path):
        write(
            tmp_path,
            yoochoose__clicks_dot_dat="1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n"
            "2,2014-04-07T13:56:37.614Z,214536502,5\n2,2014-04-07T13:57:19.373Z,214536502,5\n"
            "2,2014-04-07T13:58:37.446Z,214536502,12\n3,2014-04-07T13:59:37.446Z,214536500,2089046347\n",
        )
        data, told = imported(tmp_path, "yoochoose")
        assert sequences(data) == {"1": ["214536502", "214536500"], "2": ["214536502"] * 3, "3": ["214536500"]}
        assert data.events["time"].iloc[0] == 1396867869.277
        assert data.items["category"].fillna("").to_dict() == {"214536502": "5", "214536500": ""}
        assert data.items["brand"].fillna("").to_dict() == {"214536502": "", "214536500": "2089046347"}
        assert "1 clicks on special offers" in told


class TestMovieLens:
    def check(self, folder):
        data, _ = imported(folder, "movielens")
        assert data.sequences == "users"
        assert sequences(data) == {"1": ["2", "1"], "2": ["1"]}
        assert data.items["year"].tolist() == [1995.0, 1996.0]
        assert data.items.loc["1", "genres"] == ["Animation", "Children's"]
        assert data.kinds["genres"] == "token_seq"

    def test_100k(self, tmp_path):
        flags = {1: "0|0|0|1|1" + "|0" * 14, 2: "0|1" + "|0" * 17}
        write(
            tmp_path,
            u_dot_data="1\t1\t3\t881250949\n1\t2\t3\t881250940\n2\t1\t5\t891717742\n",
            u_dot_item=f"1|Toy Story (1995)|01-Jan-1995||http://x|{flags[1]}\n2|Été (1996)|||http://x|{flags[2]}\n",
        )
        self.check(tmp_path)

    def test_1m(self, tmp_path):
        write(
            tmp_path,
            ratings_dot_dat="1::1::5::978300769\n1::2::3::978300760\n2::1::4::978300761\n",
            movies_dot_dat="1::Toy Story (1995)::Animation|Children's\n2::Été (1996)::Action\n",
        )
        self.check(tmp_path)

    def test_titles_of_10m_are_utf_8_and_those_of_1m_latin_1(self, tmp_path):
        for encoding in ("utf-8", "latin-1"):
            (tmp_path / "movies.dat").write_bytes("1::Misérables, Les (1995)::Drama\n".encode(encoding))
            (tmp_path / "ratings.dat").write_text("1::1::4.5::978300769\n")
            assert read_format("movielens", tmp_path).items.text("title").tolist() == ["Misérables, Les"]

    def test_1m_may_be_packed(self, tmp_path):
        texts = {"ratings": "1::1::5::978300769\n1::2::3::978300760\n2::1::4::978300761\n"}
        texts["movies"] = "1::Toy Story (1995)::Animation|Children's\n2::Été (1996)::Action\n"
        for name, text in texts.items():
            (tmp_path / f"{name}.dat.gz").write_bytes(gzip.compress(text.encode("latin-1")))
        self.check(tmp_path)

    def test_a_row_of_another_width_is_named_or_left_out(self, tmp_path):
        write(
            tmp_path,
            ratings_dot_dat="1::1::5::9\n1::2\n1::2::5::10\n",
            movies_dot_dat="1::A (1990)::X\n2::B (1991)::Y\n",
        )
        arguments = ["data", "import", str(tmp_path), "--format", "movielens", "--out", str(tmp_path / "out")]
        answer = CliRunner().invoke(main, arguments)
        assert answer.exit_code == 2
        assert "ratings.dat, row 2: 2 fields where 4 are expected, separated by '::'" in answer.output
        answer = CliRunner().invoke(main, [*arguments, "--drop-bad"])
        assert answer.exit_code == 0
        assert "left out: 1 rows of another width in ratings.dat" in answer.output

    def test_20m(self, tmp_path):
        write(
            tmp_path,
            ratings_dot_csv="userId,movieId,rating,timestamp\n1,1,3.5,1112486027\n1,2,3.5,1112486020\n2,1,4,1112486021\n",
            movies_dot_csv='movieId,title,genres\n1,"Story, Toy (1995)",Animation|Children\'s\n'
            "2,Summer (1996),(no genres listed)\n",
        )
        self.check(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("diginetica", r"no train-item-views\.csv; put the published files there"),
        ("retailrocket", r"no events\.csv; put the published files there"),
        ("yoochoose", r"no yoochoose-clicks\.dat"),
        ("movielens", r"no MovieLens files \(u\.data with u\.item, "),
        ("netflix", r"Unknown format 'netflix'"),
    ],
)
def test_a_folder_without_the_files_is_told_which_are_missing(tmp_path, name, told):
    arguments = ["data", "import", str(tmp_path), "--format", name, "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 2
    assert isinstance(answer.exception, SystemExit)
    assert re.search(told, answer.output), answer.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-item-views.csv", "a,b\n1,2\n"),
        ("products.csv", "itemId;pricelog2\n1;2\n"),
        ("product-categories.csv", "itemId;categoryId\n1;2;3\n"),
    ],
)
def test_a_file_that_is_not_as_published_is_named(tmp_path, name, content):
    write(
        tmp_path,
        train__item__views_dot_csv="sessionId;userId;itemId;timeframe;eventdate\n1;NA;1;5;2016-05-09\n",
        product__categories_dot_csv="itemId;categoryId\n1;2\n",
        products_dot_csv="itemId;pricelog2;product.name.tokens\n1;1;1\n",
    )
    (tmp_path / name).write_text(content)
    answer = CliRunner().invoke(main, ["data", "import", str(tmp_path), "--format", "diginetica", "--out", "nowhere/x"])
    assert answer.exit_code == 2
    assert isinstance(answer.exception, SystemExit)
    assert name in answer.output
