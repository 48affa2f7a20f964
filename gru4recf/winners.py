"""Tuned settings on disk: the winners in `LABEL.yaml`, which studies read, and all trials in `LABEL.trials.tsv`.

One file holds one budget: every variant in it had the same trials, epochs, seed, data and code, and the same space, but
that controls are given their sizes. Variants that are tuned later join it; what would give one variant more tuning than
another is refused.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gru4recf.budget import Budget, Tuned, Winner, differences
from gru4recf.errors import StudyError, unknown_name
from gru4recf.files import locked, write_text
from gru4recf.models import CONTROLS, VARIANTS
from gru4recf.results import code_digest
from gru4recf.settings import Settings, validated
from gru4recf.space import PARALLEL, SEARCHED, given_size, network_of
from gru4recf.trials import Row, Trial, best_of, frame_of, read_rows, row_of, write_rows

if TYPE_CHECKING:
    import pandas as pd

NOTE = "# Written by `gru4recf tune`; studies read the settings. Trial 1 is the study's own settings.\n"


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


def check_budget(folder: Path, budget: Budget, variants: Sequence[str]) -> None:
    """Refuse to tune `variants` with another budget than that of variants that would stay in the file.

    Raises:
        StudyError: naming what differs and the variants.
    """
    _kept(folder, budget, variants)


def write_tuned(
    folder: Path, budget: Budget, trials: Mapping[str, Sequence[Trial]], to_come: Sequence[str] = ()
) -> list[str]:
    """Write the winners and all trials of the tuned variants; variants tuned before with this budget are kept.

    Args:
        folder: where the files go.
        budget: what all variants had.
        trials: variant -> its trials, at least one of them without an error.
        to_come: variants that are tuned next, so that what they had with another budget is in nobody's way.

    Returns:
        Controls that could not be kept: they have the size of another `parallel_concat`, or their code was changed.

    Raises:
        StudyError: as `check_budget`.
    """
    label = budget.dataset
    with locked(folder):
        winners, rows = _kept(folder, budget, list(trials), to_come)
        winners |= {variant: _winner(variant, own) for variant, own in trials.items()}
        lost = [variant for variant in winners if variant in CONTROLS and not _is_current(variant, winners)]
        names = [*budget.space, *dict.fromkeys(name for space in budget.own_space.values() for name in space)]
        rows |= {variant: [row_of(label, variant, trial, names) for trial in own] for variant, own in trials.items()}
        ordered = [variant for variant in VARIANTS if variant in winners and variant not in lost]
        write_rows(trials_path(folder, label), [row for variant in ordered for row in rows[variant]], names)
        found = {variant: winners[variant].model_dump(exclude_none=True) for variant in ordered}
        content = {**budget.model_dump(), "variants": found}
        text = yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=False, allow_unicode=True)
        write_text(tuned_path(folder, label), NOTE + text)
    return lost


def _kept(
    folder: Path, budget: Budget, variants: Sequence[str], to_come: Sequence[str] = ()
) -> tuple[dict[str, Winner], dict[str, list[Row]]]:
    """Return the winners and trials in the file of variants other than `variants`."""
    path = tuned_path(folder, budget.dataset)
    if not path.is_file():
        return {}, {}
    record = read_record(folder, budget.dataset)
    staying = {variant: winner for variant, winner in record.variants.items() if variant not in variants}
    if different := differences(record.budget(), budget):
        staying = {variant: winner for variant, winner in staying.items() if variant not in to_come}
    if staying and different:
        raise StudyError(
            f"{path} holds {', '.join(staying)}, tuned with other {different}, and all variants get the same budget: "
            f"tune them together (--variants {','.join([*staying, *variants])}), or choose another --out."
        )
    table = read_rows(trials_path(folder, budget.dataset)) if staying else []
    rows = {variant: [row for row in table if row["variant"] == variant] for variant in staying}
    if missing := [variant for variant in staying if not rows[variant]]:
        raise StudyError(
            f"{trials_path(folder, budget.dataset)} has no trials of {', '.join(missing)}; tune them again (--variants "
            f"{','.join(missing)})."
        )
    return staying, rows


def _is_current(control: str, winners: Mapping[str, Winner]) -> bool:
    """Return whether a control is what a search would look for now: its own code, at the size of `parallel_concat`."""
    winner, parallel = winners[control], winners.get(PARALLEL)
    if parallel is None or winner.code_sha256 != code_digest(control):
        return False
    return given_size(control, parallel.settings).items() <= winner.settings.items()


def _winner(variant: str, trials: Sequence[Trial]) -> Winner:
    best = best_of(trials)
    failed = sum(trial.value is None for trial in trials)
    return Winner(
        value=best.mean,
        trial=best.number,
        best_epoch=best.best_epoch,
        finished=len(trials) - failed,
        failed=failed,
        settings=dict(best.settings),
        code_sha256=code_digest(variant) if variant in CONTROLS else None,
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
