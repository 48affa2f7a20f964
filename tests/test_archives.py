"""Finding one file in a zip that somebody else packed."""

import hashlib
import io
import random
import zipfile

import pytest

from gru4recf.data.archives import read_member
from gru4recf.errors import DataError

TABLE = b"a;b\r\n1;2\r\n" * 100
SHA256 = hashlib.sha256(TABLE).hexdigest()


def packed(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(members, sha256=SHA256, max_bytes=1_000_000):
        path = tmp_path / "data.zip"
        path.write_bytes(members if isinstance(members, bytes) else packed(members))
        return read_member(path, "table.csv", sha256, max_bytes)

    return read


@pytest.mark.parametrize(
    "members",
    [
        {"readme.txt": b"hello", "table.csv": TABLE},
        {"other name.csv": TABLE},
        {"folder/table.csv": b"another", "deep/er/t": TABLE},
        {"inner.ZIP": packed({"x.csv": TABLE})},
    ],
)
def test_member_is_found_by_its_digest_wherever_it_is(read, members):
    assert read(members) == TABLE


def test_member_is_found_by_its_base_name_without_a_digest(read):
    assert read({"folder/table.csv": b"content"}, None) == b"content"


def test_paths_in_the_zip_touch_nothing_outside(read, tmp_path):
    assert read({"../../evil.csv": b"x", "/etc/evil": b"y", "table.csv": TABLE}) == TABLE
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


@pytest.mark.parametrize("members", [{}, {"table.csv": b"changed"}, {"a.zip": packed({"b.zip": packed({"c": TABLE})})}])
def test_missing_or_changed_member_is_refused(read, members):
    with pytest.raises(DataError, match=r"holds no 'table\.csv' with SHA-256"):
        read(members)


@pytest.mark.parametrize("bomb", [{"bomb": bytes(2_000_000)}, {"z.zip": packed({"bomb": bytes(2_000_000)})}])
def test_bomb_is_refused(read, bomb):
    with pytest.raises(DataError, match="unpacks to more than 1,000,000 bytes"):
        read(bomb)


def test_too_many_members_are_refused(read):
    with pytest.raises(DataError, match="holds 1,001 files"):
        read({str(i): b"" for i in range(1001)})


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", packed({"table.csv": TABLE})[:-30]])
def test_what_is_no_zip_is_refused(read, content):
    with pytest.raises(DataError, match="not a zip that can be read"):
        read(content)


def test_damaged_zips_are_refused_with_a_sentence(read):
    generator = random.Random(0)
    whole = packed({"table.csv": TABLE, "inner.zip": packed({"x": b"x" * 1000})})
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(generator.choice([1, 5, 20])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        with pytest.raises(DataError):
            read(bytes(damaged), "0" * 64)
