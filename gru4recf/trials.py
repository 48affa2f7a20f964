"""Trials of a tuning, and the table that keeps them all: tab-separated text, one row per trial."""

import contextlib
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.errors import StudyError
from gru4recf.files import write_text

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("dataset", "variant", "trial", "value", "mean", "repeats", "best_epoch", "epochs")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One trial that has ended; `value` is validation MRR@20 at its best epoch, None where `error` says why not.

    `repeats` are the values of the same training with further seeds, which the best trials of a search have.
    """

    number: int
    settings: dict[str, Any]
    value: float | None
    best_epoch: int = 0
    epochs: int = 0
    error: str = ""
    repeats: tuple[float | None, ...] = ()

    @property
    def mean(self) -> float | None:
        """The mean of its trainings; None where one of them failed."""
        values = [self.value, *self.repeats]
        return None if None in values else sum(values) / len(values)


def finalists(trials: Sequence[Trial], n: int) -> list[Trial]:
    """Return the `n` trials with the highest value, the earliest of equal ones; fewer where fewer ended well."""
    return sorted((t for t in trials if t.value is not None), key=lambda t: (-t.value, t.number))[:n]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the highest mean, the earliest of equal ones; None where all failed.

    It is one of those that were repeated, if any were: the best of many single values is a lucky one, mostly.
    """
    ended = [trial for trial in trials if trial.mean is not None]
    repeated = [trial for trial in ended if trial.repeats]
    return max(repeated or ended, key=lambda t: (t.mean, -t.number), default=None)


def row_of(label: str, variant: str, trial: Trial, names: Sequence[str]) -> Row:
    """Return a trial's row; `names` are the columns of settings, empty where the variant does not search one."""
    numbers = {"trial": trial.number, "value": _cell(trial.value), "best_epoch": trial.best_epoch}
    numbers |= {"epochs": trial.epochs, "repeats": " ".join(_cell(value) or "failed" for value in trial.repeats)}
    numbers["mean"] = _cell(trial.mean) if trial.repeats else ""
    settings = {name: str(trial.settings.get(name, "")) for name in names}
    return {"dataset": label, "variant": variant, **numbers, **settings, "error": " ".join(trial.error.split())}


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def write_rows(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Write a table; numbers with all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *names, "error"], delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[Row]:
    """Return the rows as text, as they were written.

    Raises:
        StudyError: when the file is not there.
    """
    if not path.is_file():
        raise StudyError(f"{path} is not there; `gru4recf tune` writes it beside the winners.")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def frame_of(rows: Sequence[Row]) -> "pd.DataFrame":
    """Return rows as a frame of numbers and texts; empty cells are missing values."""
    import pandas as pd

    return pd.DataFrame([{name: _value(text) for name, text in row.items()} for row in rows])


def _value(text: str) -> int | float | str | None:
    """Return a cell as what it says; Python's `float` gives back the very number that was written."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text or None
