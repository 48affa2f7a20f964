"""Public data sets that may not be redistributed, read from a folder as their owners publish them.

Each format is one function, (folder, whether to leave bad rows out) -> `Log`, in a module of its own; nothing is
downloaded.
"""

from collections.abc import Callable
from pathlib import Path

from gru4recf.errors import StudyError, unknown_name
from gru4recf.imports.diginetica import read_diginetica
from gru4recf.imports.movielens import read_movielens
from gru4recf.imports.retailrocket import read_retailrocket
from gru4recf.imports.step import Log
from gru4recf.imports.yoochoose import read_yoochoose

FORMATS: dict[str, Callable[[Path, bool], Log]] = {
    "diginetica": read_diginetica,
    "movielens": read_movielens,
    "retailrocket": read_retailrocket,
    "yoochoose": read_yoochoose,
}


def read_format(name: str, folder: Path, *, drop_bad: bool = False) -> Log:
    """Read the folder of a public data set; with `drop_bad`, rows of another width are left out and counted.

    Raises:
        StudyError: for an unknown format, no folder, a file that is missing or not as published.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder; name the one that holds the files of {name} as published.")
    return FORMATS[name](folder, drop_bad)
