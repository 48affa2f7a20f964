"""A plan: the runs of a study, each one plain command, and how far they are.

    datasets x variants x strategies x seeds

It is written to `plan.json` in the study's folder; the workflow, `gru4recf status` and the collection of results read
it from there.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gru4recf.errors import DataUnavailable, StudyError
from gru4recf.files import is_locked, read_json, write_json
from gru4recf.models import BASELINES, VARIANTS
from gru4recf.results import ERROR_FILE, code_digest, is_finished, run_key
from gru4recf.settings import RunSpec, Settings
from gru4recf.study import Study, StudyDataset, check_data, settings_of, variants_of

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its data set's name in the study, what it is, where it goes and the arguments of `gru4recf`,
    as a shell reads them, that make it.
    """

    dataset: str
    variant: str
    strategy: str
    seed: int
    folder: str
    command: str

    @property
    def name(self) -> str:
        """The name of its folder, which differs whenever data, code, torch or settings do; see `results.run_key`."""
        return Path(self.folder).name


@dataclass(frozen=True)
class Plan:
    """All runs of a study, and the data sets that could not be had.

    `published` names runs whose results are taken from the study's folder as they are; `plan.json` does not hold it.
    """

    study: dict[str, Any]
    runs: list[PlannedRun]
    unavailable: dict[str, str]
    digests: dict[str, str]
    published: frozenset[str] = frozenset()

    def folder_of(self, run: PlannedRun, study_folder: Path) -> Path:
        """Return a run's folder; plans keep it relative to the study's folder so that both can be moved together."""
        return (study_folder / run.folder).resolve()


def make_plan(study: Study, folder: Path, runs_root: Path) -> Plan:
    """Open every data set once, to check and digest it, and list the runs of the ones that are there.

    Raises:
        DataUnavailable: when no data set can be had.
        StudyError: when one that is there cannot be used.
    """
    codes = {variant: code_digest(variant) for variant in VARIANTS}
    runs, unavailable, digests = [], {}, {}
    for dataset in study.datasets:
        try:
            digest = check_data(dataset.name, settings_of(study, dataset), variants_of(study, dataset))
            specs = _specs(study, dataset, digest)
        except DataUnavailable as error:
            unavailable[dataset.shown_as] = str(error)
            continue
        digests[dataset.shown_as] = digest
        for spec in specs:
            run_folder = runs_root / run_key(spec, digest, codes[spec.variant], dataset.shown_as)
            relative = os.path.relpath(run_folder, folder.resolve())
            run = PlannedRun(dataset.shown_as, spec.variant, spec.strategy, spec.seed, relative, run_command(spec))
            runs.append(run)
    if not runs:
        raise DataUnavailable("No data set of this study can be had here. " + " ".join(unavailable.values()))
    return Plan(study.model_dump(mode="json"), runs, unavailable, digests)


def _specs(study: Study, dataset: StudyDataset, digest: str) -> list[RunSpec]:
    """Return the runs of one data set; a baseline is deterministic and needs one seed."""
    variants = variants_of(study, dataset)
    settings = {variant: settings_of(study, dataset, variant, digest) for variant in variants}
    return [
        RunSpec(dataset=dataset.name, variant=variant, strategy=strategy, seed=seed, settings=settings[variant])
        for variant in variants
        for strategy in (study.strategies[:1] if variant in BASELINES else study.strategies)
        for seed in range(1 if variant in BASELINES else study.seeds)
    ]


def run_command(spec: RunSpec) -> str:
    """Return the arguments of `gru4recf` that make this run, without `--out` and settings at their default."""
    default = Settings()
    changed = {k: v for k, v in spec.settings.model_dump().items() if v != getattr(default, k)}
    command = ["run", "--dataset", spec.dataset, "--variant", spec.variant, "--strategy", spec.strategy]
    command += ["--seed", str(spec.seed)]
    for name, value in changed.items():
        command += ["--set", f"{name}={value}"]
    return shlex.join(command)


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `plan.json` into the study's folder."""
    content = asdict(plan)
    del content["published"]
    write_json(folder / PLAN_FILE, content)


def require_same_study(folder: Path, name: str) -> None:
    """Refuse a folder that holds another study, whose verdict and report would be replaced.

    Raises:
        StudyError: naming both.
    """
    if (folder / PLAN_FILE).is_file() and (there := read_plan(folder).study["name"]) != name:
        raise StudyError(f"{folder} holds study {there}, not {name}; choose another --out, or delete the folder.")


def read_plan(folder: Path) -> Plan:
    """Read the plan of a study's folder.

    Raises:
        StudyError: when the folder holds no plan.
    """
    if not (folder / PLAN_FILE).is_file():
        raise StudyError(f"{folder}: no {PLAN_FILE}; name the folder that `gru4recf study --out` wrote.")
    try:
        content: Mapping[str, Any] = read_json(folder / PLAN_FILE)
    except ValueError as error:
        raise StudyError(f"{folder / PLAN_FILE}: not what `gru4recf study` writes ({error}); call it again.") from None
    return Plan(**{**content, "runs": [PlannedRun(**run) for run in content["runs"]]})


def finished(plan: Plan, folder: Path) -> list[PlannedRun]:
    """Return the runs whose record is there, and those that are published."""
    return [run for run in plan.runs if run.name in plan.published or is_finished(plan.folder_of(run, folder))]


def by_reason(unavailable: Mapping[str, str]) -> dict[str, list[str]]:
    """Return reason -> the data sets that could not be had for it."""
    labels: dict[str, list[str]] = {}
    for label, reason in unavailable.items():
        labels.setdefault(reason, []).append(label)
    return labels


def is_running(folder: Path) -> bool:
    """Return whether a process is making the run."""
    return folder.is_dir() and is_locked(folder)


def failed(plan: Plan, folder: Path) -> dict[str, str]:
    """Return run folder name -> error sentence of the runs whose last attempt failed."""
    errors = {}
    for run in plan.runs:
        error = plan.folder_of(run, folder) / ERROR_FILE
        if error.is_file():
            errors[error.parent.name] = error.read_text(encoding="utf-8").strip()
    return errors
