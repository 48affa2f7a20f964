"""Tuned settings on disk: the winners in `LABEL.yaml`, which studies read, and all trials in `LABEL.trials.tsv`.

One file holds one budget: every variant in it had the same trials, epochs, space, seed, data and code. Variants that
are tuned later join it; what would give one variant more tuning than another is refused.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gru4recf.errors import StudyError, unknown_name
from gru4recf.files import locked, write_text
from gru4recf.models import VARIANTS
from gru4recf.settings import Settings, validated
from gru4recf.space import SEARCHED, Space, network_of
from gru4recf.trials import Row, Trial, best_of, frame_of, read_rows, row_of, write_rows

if TYPE_CHECKING:
    import pandas as pd

NOTE = "# Written by `gru4recf tune`; studies read the settings. Trial 1 is the study's own settings.\n"


class Budget(BaseModel):
    """What all variants of one file have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    selected_on: str
    data_sha256: str
    code_sha256: str
    versions: dict[str, str]
    seed: int
    """Of the search and of every training in it."""
    trials: int = Field(ge=1)
    """Trials of each variant; failed ones count."""
    random_trials: int = Field(ge=1)
    """How many of them must have ended well before proposals learn from them."""
    finalists: int = Field(1, ge=1)
    """How many of them, the best, were repeated with further seeds; the highest mean won."""
    repeats: int = Field(0, ge=0)
    """Further seeds of each finalist."""
    n_epochs: int = Field(ge=1)
    """Epochs at most, of each trial."""
    patience: int = Field(ge=1)
    fixed: dict[str, Any]
    """The settings that are not searched."""
    space: Space
    own_space: dict[str, Space]
    """Variant -> what only it searches."""


class Winner(BaseModel):
    """One variant's best trial; `value` is the mean of its trainings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    trial: int = Field(ge=1)
    best_epoch: int = Field(ge=1)
    finished: int = Field(ge=1)
    failed: int = Field(ge=0)
    settings: dict[str, Any]


class Tuned(Budget):
    """The content of one file."""

    variants: dict[str, Winner] = Field(min_length=1)

    def budget(self) -> Budget:
        """Return the file without its winners."""
        return Budget(**self.model_dump(exclude={"variants"}))


def tuned_path(folder: Path, label: str) -> Path:
    """Return where the winners of a data set lie; `label` is its name in the study."""
    return folder / f"{_file_name(label)}.yaml"


def trials_path(folder: Path, label: str) -> Path:
    """Return where all trials of a data set lie."""
    return folder / f"{_file_name(label)}.trials.tsv"


def read_record(folder: Path, label: str) -> Tuned:
    """Read and check the winners of a data set.

    Raises:
        StudyError: naming the file and the field that is wrong, or how to make a file that is missing.
    """
    path = tuned_path(folder, label)
    if not path.is_file():
        raise StudyError(
            f"{path}: {label} has not been tuned; run `gru4recf tune STUDY --trials N --datasets {label}`."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not readable as YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: not a file of tuned settings; `gru4recf tune` writes them.")
    record = validated(Tuned, content, str(path))
    _check_names(record, path)
    return record


def read_tuned(folder: Path, label: str, data_digest: str | None = None) -> dict[str, dict[str, Any]]:
    """Return variant -> the settings tuning chose for it.

    Args:
        folder: such as `studies/tuned`.
        label: the data set's name in the study.
        data_digest: SHA-256 of the data the settings are wanted for; None accepts any.

    Raises:
        StudyError: for a file that is missing or wrong, or made from other data.
    """
    record = read_record(folder, label)
    if data_digest not in (None, record.data_sha256):
        raise StudyError(
            f"{tuned_path(folder, label)}: data_sha256 is {record.data_sha256}, the data {label} have {data_digest}; "
            "tune again with these data."
        )
    return {variant: winner.settings for variant, winner in record.variants.items()}


def read_trials(folder: Path, label: str) -> "pd.DataFrame":
    """Return all trials of a data set, one row each; a failed one has no `value`, and an `error`."""
    return frame_of(read_rows(trials_path(folder, label)))


def kept(folder: Path, budget: Budget, variants: Sequence[str]) -> dict[str, Winner]:
    """Return the winners that stay in the file when `variants` are tuned.

    Raises:
        StudyError: where these had another budget, naming what differs and the variants.
    """
    return _kept(folder, budget, variants)[0]


def write_tuned(
    folder: Path, budget: Budget, trials: Mapping[str, Sequence[Trial]], to_come: Sequence[str] = ()
) -> Path:
    """Write the winners and all trials of the tuned variants; variants tuned before with this budget are kept.

    Args:
        folder: where the files go.
        budget: what all variants had.
        trials: variant -> its trials, at least one of them without an error.
        to_come: variants that are tuned next, so that what was found for them before is not kept.

    Raises:
        StudyError: as `kept`.
    """
    label = budget.dataset
    with locked(folder):
        winners, rows = _kept(folder, budget, [*trials, *to_come])
        winners |= {variant: _winner(own) for variant, own in trials.items()}
        names = [*budget.space, *dict.fromkeys(name for space in budget.own_space.values() for name in space)]
        rows |= {variant: [row_of(label, variant, trial, names) for trial in own] for variant, own in trials.items()}
        ordered = sorted(winners, key=VARIANTS.index)
        write_rows(trials_path(folder, label), [row for variant in ordered for row in rows[variant]], names)
        content = {**budget.model_dump(), "variants": {variant: winners[variant].model_dump() for variant in ordered}}
        text = yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=False, allow_unicode=True)
        write_text(tuned_path(folder, label), NOTE + text)
    return tuned_path(folder, label)


def _kept(folder: Path, budget: Budget, variants: Sequence[str]) -> tuple[dict[str, Winner], dict[str, list[Row]]]:
    """Return the winners and trials in the file of variants other than `variants`."""
    path = tuned_path(folder, budget.dataset)
    if not path.is_file():
        return {}, {}
    record = read_record(folder, budget.dataset)
    staying = {variant: winner for variant, winner in record.variants.items() if variant not in variants}
    if staying and (different := _differences(record.budget(), budget)):
        raise StudyError(
            f"{path} holds {', '.join(staying)}, tuned with other {different}, and all variants get the same budget: "
            f"tune them together (--variants {','.join([*staying, *variants])}), or choose another --out."
        )
    rows = read_rows(trials_path(folder, budget.dataset)) if staying else []
    return staying, {variant: [row for row in rows if row["variant"] == variant] for variant in staying}


def _differences(there: Budget, here: Budget) -> str:
    """Return the names of the fields that differ, numbers with both values; empty where none does."""
    old, new = there.model_dump(), here.model_dump()
    return ", ".join(
        f"{name} ({old[name]}, not {new[name]})" if isinstance(new[name], int) else name
        for name in new
        if old[name] != new[name]
    )


def _winner(trials: Sequence[Trial]) -> Winner:
    best = best_of(trials)
    failed = sum(trial.value is None for trial in trials)
    counts = {"finished": len(trials) - failed, "failed": failed}
    return Winner(
        value=best.mean, trial=best.number, best_epoch=best.best_epoch, **counts, settings=dict(best.settings)
    )


def _check_names(record: Tuned, path: Path) -> None:
    for variant, winner in record.variants.items():
        where = f"{path}: variants.{variant}"
        if variant not in SEARCHED:
            raise StudyError(f"{where}: {unknown_name('variant', variant, SEARCHED)}")
        searched = {**record.space, **record.own_space.get(network_of(variant), {})}
        if odd := set(winner.settings) ^ set(searched):
            raise StudyError(
                f"{where}.settings: {', '.join(sorted(odd))} must be there if and only if it is in the space "
                f"({', '.join(searched)})."
            )
        validated(Settings, winner.settings, f"{where}.settings")


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.-]+", "_", label)
