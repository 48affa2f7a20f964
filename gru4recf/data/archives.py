"""One file out of a zip that somebody else packed.

A member is found by its bytes' digest, or by its base name where no digest is known; a zip inside the zip is
searched too. Nothing is unpacked to disk, so the paths written in a zip never matter, and no more bytes are
unpacked than allowed, so a small file that unpacks to a huge one is refused.
"""

import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from gru4recf.errors import DataError

MAX_MEMBERS = 1000
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)


def read_member(path: Path, name: str, sha256: str | None, max_bytes: int) -> bytes:
    """Return the bytes of the member with this digest, or with this base name where `sha256` is None.

    Args:
        path: the zip.
        name: base name of the member; with a digest it only serves the message.
        sha256: digest of the member's bytes.
        max_bytes: limit on all that is unpacked during the search.

    Raises:
        DataError: when the zip is broken or encrypted, unpacks to more than `max_bytes`, or holds no such member.
    """
    try:
        with open(path, "rb") as file:
            for member, content in _contents(file, _Budget(path, max_bytes), depth=1):
                if hashlib.sha256(content).hexdigest() == sha256 or (sha256 is None and member == name):
                    return content
    except _BROKEN as error:
        raise DataError(f"{path} is not a zip that can be read ({error}).") from error
    expected = f" with SHA-256 {sha256}" if sha256 else ""
    raise DataError(f"{path} holds no {name!r}{expected}.")


class _Budget:
    """Counts unpacked bytes down."""

    def __init__(self, path: Path, max_bytes: int):
        self.path, self.max_bytes, self.left = path, max_bytes, max_bytes

    def read(self, file: BinaryIO) -> bytes:
        content = file.read(self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise DataError(f"{self.path} unpacks to more than {self.max_bytes:,} bytes; it is not the expected file.")
        return content


def _contents(file: BinaryIO, budget: _Budget, depth: int) -> Iterator[tuple[str, bytes]]:
    """Yield (base name, bytes) of every member, and of the members of zips inside."""
    with zipfile.ZipFile(file) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise DataError(f"{budget.path} holds {len(members):,} files; it is not the expected file.")
        for info in members:
            with archive.open(info) as member:
                content = budget.read(member)
            name = PurePosixPath(info.filename).name
            yield name, content
            if depth and name.lower().endswith(".zip"):
                yield from _contents(io.BytesIO(content), budget, depth - 1)
