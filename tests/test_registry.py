"""Registered data sets: where files are looked for, what is verified, and what a user is told."""

import hashlib
import importlib.util
import io
import logging
import os
import threading
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from gru4recf.data import packages, registry
from gru4recf.data.datasheet import Datasheet
from gru4recf.data.packages import fetch_package
from gru4recf.data.registry import datasheet, locate, names, open_dataset
from gru4recf.data.split import split
from gru4recf.errors import DataError, DataUnavailable, StudyError

INTER = b"session_id:token\titem_id:token\ttimestamp:float\n" + b"".join(
    b"s%d\ti%d\t%d\n" % (s, (s + k) % 3, 1000 * s + k) for s in range(5) for k in range(3)
)
ITEM = b"item_id:token\tcolour:token\tname:token\ni0\tred\ta\ni1\tblue\tb\ni2\tred\tc\n"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def wheel(members):
    """Return the bytes of the smallest wheel that pip accepts."""
    info = "tinydata-1.0.dist-info"
    files = members | {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


WHEEL = wheel({"tinydata/tiny/tiny.inter": INTER, "tinydata/tiny/tiny.item": ITEM})
FILES = [{"name": "tiny.inter", "sha256": sha256(INTER)}, {"name": "tiny.item", "sha256": sha256(ITEM)}]
MIRROR = {"kind": "mirror", "reader": "atomic", "files": FILES}
PACKAGE = {
    "kind": "package",
    "reader": "atomic",
    "requirement": "tinydata==1.0",
    "sha256": sha256(WHEEL),
    "wheel_folder": "tinydata/tiny",
    "files": FILES,
}
ESHOP = (
    b"year;month;day;order;country;session ID;page 1 (main category);page 2 (clothing model);colour;location;"
    b"model photography;price;price 2;page\r\n"
    b"2008;4;1;1;29;1;1;A13;1;5;1;28;2;1\r\n2008;4;1;2;29;1;2;B4;10;2;1;52;1;1\r\n"
)
URL = {
    "kind": "url",
    "reader": "eshop",
    "url": "https://nowhere.invalid/shop.zip",
    "files": [{"name": "shop.zip", "member": "shop.csv", "sha256": sha256(ESHOP), "max_bytes": 10_000}],
}


def sheet(**changes):
    return Datasheet.model_validate(
        {
            "name": "tiny",
            "title": "Tiny data",
            "folder": "tiny",
            "source": {"text": "this test", "doi": "10.0/tiny"},
            "licence": "none",
            "redistribution": True,
            "citation": "none",
            "description": "none",
            "processing": [],
            "counts": {"sessions": 5, "events": 15, "items": 3},
            "features": {"colour": {"kind": "token", "description": "colour"}},
            "sequences": "sessions",
            "sources": [MIRROR],
        }
        | changes
    )


ESHOP_FEATURES = {name: {"kind": "token", "description": name} for name in ("category", "colour")}
SHOP = {"sources": [URL], "counts": {"sessions": 1, "events": 2, "items": 2}, "features": ESHOP_FEATURES}


def zipped(content=ESHOP):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("some folder/shop.csv", content)
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("GRU4RECF_DATA", str(tmp_path / "mirror"))
    return tmp_path / "mirror" / "tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, request):
    monkeypatch.setenv("GRU4RECF_CACHE", str(tmp_path / "cache"))
    if "mirror" not in request.keywords:
        monkeypatch.delenv("GRU4RECF_DATA", raising=False)
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def register(monkeypatch):
    """Register one data set, `tiny`; fetching fails until a test replaces it."""

    def fail(*_, **__):
        raise DataUnavailable("nowhere.invalid cannot be reached (no network in tests).")

    monkeypatch.setattr(registry, "fetch", fail)
    monkeypatch.setattr(registry, "fetch_package", fail)

    def register(**changes):
        tiny = sheet(**changes)
        monkeypatch.setattr(registry, "names", lambda: ["tiny"])
        monkeypatch.setattr(registry, "datasheet", lambda name: tiny)

    return register


def write(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_bytes(content)


def serve(monkeypatch, content):
    """Let `fetch` find this content at any address; return the list of addresses asked for."""
    asked = []

    def fetch(url, destination, sha256, *, check, max_bytes, progress):
        asked.append(url)
        time.sleep(0.05)
        destination.write_bytes(content)
        check(destination)

    monkeypatch.setattr(registry, "fetch", fetch)
    return asked


@pytest.mark.parametrize("name", names())
def test_every_datasheet_is_complete(name):
    known = datasheet(name)
    assert known.name == name
    assert known.processing
    assert known.features
    assert all(sentence.endswith(".") for sentence in known.processing)


def test_registered_names_are_those_of_the_study():
    known = {"eshop", "ml-100k", "onlineretail", "synthetic", "diginetica", "retailrocket", "yoochoose1_64"}
    assert set(names()) == known | {"synthetic-telling", "synthetic-useless"}


def test_misspelt_name_points_at_the_nearest():
    for ask in (open_dataset, locate, datasheet):
        with pytest.raises(StudyError, match="Unknown data set 'eshopp'; did you mean 'eshop'"):
            ask("eshopp")


@pytest.mark.parametrize("text", ["./eshopp", "data/eshopp", "~/eshopp/none", "/eshopp"])
def test_what_looks_like_a_path_is_told_as_one(text):
    with pytest.raises(DataError, match=r"There is no folder /.*eshopp"):
        open_dataset(text)


def test_file_in_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "x.inter").write_bytes(INTER)
    with pytest.raises(DataError, match="is a file; name the folder"):
        open_dataset(tmp_path / "x.inter")


def test_folder_is_read_as_atomic_files(tmp_path):
    write(tmp_path / "mine", mine_inter=INTER, mine_item=ITEM)
    data = open_dataset(tmp_path / "mine")
    assert (data.name, data.kinds) == ("mine", {"colour": "token", "name": "token"})


def test_registered_name_wins_over_a_folder(tmp_path, monkeypatch, register, mirror):
    register()
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tiny", tiny_inter=INTER, tiny_item=ITEM)
    assert list(open_dataset("tiny").kinds) == ["colour"]
    assert list(open_dataset("./tiny").kinds) == ["colour", "name"]


def test_synthetic_needs_nothing():
    assert open_dataset("synthetic").kinds == datasheet("synthetic").kinds
    assert locate("synthetic") == {}


def test_digest_is_over_sorted_names_and_digests(register, mirror):
    register()
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    lines = f"tiny.inter:{sha256(INTER)}\ntiny.item:{sha256(ITEM)}\n"
    assert open_dataset("tiny").digest == sha256(lines.encode())


def test_digest_of_a_zip_is_that_of_what_it_holds(register, mirror):
    register(**SHOP)
    write(mirror, shop_zip=zipped())
    packed = open_dataset("tiny").digest
    assert packed == sha256(f"shop.csv:{sha256(ESHOP)}\n".encode())
    (mirror / "shop.zip").unlink()
    write(mirror, shop_csv=ESHOP)
    assert open_dataset("tiny").digest == packed
    assert locate("tiny") == {"shop.csv": mirror / "shop.csv"}


def test_mirror_comes_before_cache(register, mirror, cache):
    register()
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    write(cache, tiny_inter=INTER, tiny_item=ITEM)
    assert locate("tiny") == {"tiny.inter": mirror / "tiny.inter", "tiny.item": mirror / "tiny.item"}


def test_wrong_digest_in_the_mirror_is_reported_and_the_cache_used(register, mirror, cache, caplog):
    register()
    write(mirror, tiny_inter=INTER + b"s9\ti0\t9\n", tiny_item=ITEM)
    write(cache, tiny_inter=INTER, tiny_item=ITEM)
    with caplog.at_level(logging.WARNING):
        assert locate("tiny")["tiny.inter"] == cache / "tiny.inter"
    assert f"{mirror}/tiny.inter has SHA-256" in caplog.text


def test_files_of_one_source_are_never_mixed_between_places(register, mirror, cache):
    register()
    write(mirror, tiny_inter=INTER)
    write(cache, tiny_item=ITEM)
    with pytest.raises(DataUnavailable, match=r"mirror/tiny holds no tiny\.item; .*cache/tiny holds no tiny\.inter"):
        locate("tiny")


def test_publisher_comes_before_package_and_is_asked_once(register, cache, monkeypatch):
    register(**SHOP | {"sources": [URL, PACKAGE]})
    asked = serve(monkeypatch, zipped())
    assert open_dataset("tiny").n_sessions == 1
    assert open_dataset("tiny").n_sessions == 1
    assert asked == ["https://nowhere.invalid/shop.zip"]
    assert locate("tiny") == {"shop.zip": cache / "shop.zip"}


def test_cache_is_enough_without_a_network(register, cache):
    register(**SHOP)
    write(cache, shop_zip=zipped())
    assert len(open_dataset("tiny").events) == 2


def test_damaged_cache_is_fetched_again(register, cache, monkeypatch):
    register(**SHOP)
    write(cache, shop_zip=zipped()[:50])
    asked = serve(monkeypatch, zipped())
    assert open_dataset("tiny").n_sessions == 1
    assert len(asked) == 1


def test_processes_at_the_same_time_fetch_once(register, monkeypatch):
    register(**SHOP)
    asked = serve(monkeypatch, zipped())
    found = []
    threads = [threading.Thread(target=lambda: found.append(locate("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(asked) == 1


def test_unavailable_tells_each_place_and_what_to_do(register, cache):
    register(**SHOP | {"sources": [URL, PACKAGE]})
    with pytest.raises(DataUnavailable) as error:
        open_dataset("tiny")
    assert str(error.value) == (
        f"Data set 'tiny' cannot be had here: GRU4RECF_DATA is not set; there is no folder {cache}; "
        "nowhere.invalid cannot be reached (no network in tests). Download 'Tiny data' from https://doi.org/10.0/tiny "
        "and put the zip at $GRU4RECF_DATA/tiny/shop.zip (GRU4RECF_DATA names a folder of your choice). The data set "
        "'synthetic' needs no files."
    )


def test_unavailable_package_and_mirror_tell_their_own_way(register, mirror):
    register(sources=[PACKAGE])
    with pytest.raises(DataUnavailable, match=r"run 'pip download --no-deps tinydata==1\.0' and put tiny\.inter and"):
        open_dataset("tiny")
    register(sources=[MIRROR])
    with pytest.raises(DataUnavailable, match=r"may not be redistributed: put tiny\.inter and tiny\.item into \$GRU"):
        open_dataset("tiny")


def test_cache_that_cannot_be_written_is_told(register, tmp_path, monkeypatch):
    register(**SHOP)
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("GRU4RECF_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(DataUnavailable, match=r"occupied cannot be written .*name another in GRU4RECF_CACHE"):
        locate("tiny")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"counts": {"sessions": 6, "events": 15, "items": 3}},
            r"tiny\.item, has 5 sessions, not 6: these are not the events",
        ),
        ({"features": {"size": {"kind": "token", "description": "none"}}}, "differ from the datasheet"),
        ({"features": {"colour": {"kind": "float", "description": "none"}}}, "differ from the datasheet"),
        ({"sequences": "users"}, "differ from the datasheet"),
    ],
)
def test_data_that_differ_from_the_datasheet_are_refused(register, mirror, changes, says):
    register(**changes)
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    with pytest.raises(DataError, match=says):
        open_dataset("tiny")


def test_last_sessions_are_test_and_as_many_before_them_validation(register, mirror):
    register(test_sessions=2)
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    data = open_dataset("tiny")
    assert (data.validation_start, data.test_start) == (1000, 3000)


def test_days_are_read_as_utc(register, mirror):
    register(test_start="1970-01-02", validation_start="1970-01-01")
    write(mirror, tiny_inter=INTER, tiny_item=ITEM)
    data = open_dataset("tiny")
    assert (data.validation_start, data.test_start) == (0, 86400)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that is a folder with one wheel."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "tinydata-1.0-py3-none-any.whl").write_bytes(WHEEL)
    for variable, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{variable}", value)
    return folder


def test_package_is_fetched_into_the_cache_and_not_again(register, index, cache, monkeypatch):
    register(sources=[PACKAGE])
    monkeypatch.setattr(registry, "fetch_package", fetch_package)
    first = open_dataset("tiny")
    monkeypatch.setattr(packages.subprocess, "run", None)
    pd.testing.assert_frame_equal(open_dataset("tiny").events, first.events)
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "tiny.inter", "tiny.item"]


@pytest.mark.parametrize(
    ("requirement", "digest", "says"),
    [
        ("tinydata==1.0", "0" * 64, "pip cannot download tinydata==1.0 .THESE PACKAGES DO NOT MATCH"),
        ("tinydata==2.0", sha256(WHEEL), "No matching distribution found for tinydata==2.0"),
    ],
)
def test_pips_last_line_is_told(index, tmp_path, requirement, digest, says):
    with pytest.raises(DataUnavailable, match=says):
        fetch_package(requirement, digest, {"tinydata/tiny/tiny.inter": sha256(INTER)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"tinydata/tiny/tiny.inter": sha256(INTER), "tinydata/tiny/tiny.item": "0" * 64}, "has another SHA-256"),
        ({"tinydata/tiny/tiny.inter": sha256(INTER), "tinydata/other": "0" * 64}, "no item named 'tinydata/other'"),
    ],
)
def test_all_files_of_a_wheel_or_none(index, tmp_path, members, says):
    with pytest.raises(DataUnavailable, match=says):
        fetch_package("tinydata==1.0", sha256(WHEEL), members, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_and_hanging_pip_are_told(tmp_path, monkeypatch):
    members = {"x": "0" * 64}
    monkeypatch.setattr(packages, "PIP", ("-m", "no_such_module"))
    with pytest.raises(DataUnavailable, match=r"No module named no_such_module\)\."):
        fetch_package("tinydata==1.0", "0" * 64, members, tmp_path)
    monkeypatch.setattr(packages, "PIP", ("-c", "import time; time.sleep(20)"))
    with pytest.raises(DataUnavailable, match=r"within 0\.2 seconds"):
        fetch_package("tinydata==1.0", "0" * 64, members, tmp_path, timeout=0.2)


def needs(name):
    folder = Path(os.environ.get("GRU4RECF_DATA", "/nonexistent"), datasheet(name).folder)
    return pytest.mark.skipif(not folder.is_dir(), reason=f"GRU4RECF_DATA holds no {folder.name}")


MIRRORED = [
    pytest.param(name, marks=[pytest.mark.mirror, needs(name)])
    for name in names()
    if name not in ("synthetic", "ml-100k")
]


@pytest.mark.parametrize("name", MIRRORED)
def test_mirrored_data_are_what_their_datasheet_says(name):
    data = open_dataset(name)
    known = datasheet(name)
    assert known.counts.model_dump() == {
        "sessions": data.n_sessions,
        "events": len(data.events),
        "items": data.events["item"].nunique(),
    }
    assert set(data.items.index) == set(data.events["item"])
    if known.test_sessions:
        starts = data.events.groupby("session")["time"].min()
        assert (starts >= data.test_start).sum() == known.test_sessions
        assert (starts >= data.validation_start).sum() == 2 * known.test_sessions


@pytest.mark.mirror
@needs("eshop")
def test_eshop_splits_into_the_published_parts():
    data = open_dataset("eshop")
    assert data.test_start == datetime(2008, 7, 17, tzinfo=UTC).timestamp()
    assert data.test_start - data.validation_start == 14 * 86400
    events = data.events
    events = events[events.groupby("session")["item"].transform("size") >= 2]
    start = events.groupby("session")["time"].transform("min")
    assert (start >= data.test_start).sum() == 30_480
    assert (start < data.test_start).sum() == 129_952
    assert split(data, min_support=1).counts["test events"] == 30_480


@pytest.mark.mirror
@needs("eshop")
def test_eshop_times_increase_strictly_and_keep_sessions_in_their_day():
    events = open_dataset("eshop").events
    assert events["time"].is_monotonic_increasing
    assert events["time"].is_unique
    assert (events["time"] % 1 == 0).all()
    assert ((events["time"] // 86400).groupby(events["session"]).nunique() == 1).all()


@pytest.mark.mirror
@needs("eshop")
def test_eshop_stray_category_is_outvoted():
    assert open_dataset("eshop").items.loc["A18", "category"] == "1"


@pytest.mark.mirror
@needs("retailrocket")
def test_missing_categories_are_missing():
    assert open_dataset("retailrocket").items["category"].isna().sum() == 2659
