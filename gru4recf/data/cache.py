"""Folders in which data sets are looked for, and the one that downloads go to."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gru4recf.errors import DataUnavailable

DATA_VARIABLE = "GRU4RECF_DATA"
CACHE_VARIABLE = "GRU4RECF_CACHE"


def data_folder() -> Path | None:
    """Return the folder named by GRU4RECF_DATA, None when it is unset or empty."""
    return _named(DATA_VARIABLE)


def cache_folder() -> Path:
    """Return the folder named by GRU4RECF_CACHE, or `~/.cache/gru4recf`; it need not exist."""
    return _named(CACHE_VARIABLE) or Path("~/.cache/gru4recf").expanduser()


@contextlib.contextmanager
def one_at_a_time(folder: Path, seconds: float = 600) -> Iterator[None]:
    """Let one process at a time fill `folder`; the others wait, and find the files when it is their turn.

    Where files cannot be locked (Windows, some network file systems) nobody waits: every file is written whole,
    so the worst case is that two processes fetch the same one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        deadline = time.monotonic() + seconds
        while not _lock(lock):
            if time.monotonic() > deadline:
                raise DataUnavailable(f"{folder} is still being filled by another process after {seconds:g} seconds.")
            time.sleep(0.1)
        yield


def _lock(file: IO) -> bool:
    """Return False while another process holds the lock."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable, "").strip()
    return Path(value).expanduser().absolute() if value else None
