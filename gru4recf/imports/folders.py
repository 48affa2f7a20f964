"""Files of a published data set in the folder a user names, plain or packed."""

from pathlib import Path

from gru4recf.errors import DataError

PACKED_SUFFIXES = ("", ".gz", ".zst")


def find(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that the folder (or a folder directly inside) holds, None without any."""
    for name in names:
        for suffix in PACKED_SUFFIXES:
            for pattern in (f"{name}{suffix}", f"*/{name}{suffix}"):
                if found := sorted(path for path in folder.glob(pattern) if path.is_file()):
                    return found[0]
    return None


def find_all(folder: Path, *names: str) -> list[Path]:
    """Return each of these files.

    Raises:
        DataError: naming the first that is not there.
    """
    found = [find(folder, name) for name in names]
    if None in found:
        raise DataError(f"{folder}: no {names[found.index(None)]}; put the published files there under their names.")
    return found
