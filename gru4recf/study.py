"""A study: one YAML file, validated, becomes a list of runs, each one plain command.

    datasets x variants x strategies x seeds, with shared settings, settings per data set, and the claims it tests

The plan is written to `plan.json` in the study's folder; the workflow, `gru4recf status` and the collection of
results read it from there.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gru4recf.errors import DataUnavailable, StudyError, unknown_name
from gru4recf.files import is_locked, read_json, write_json
from gru4recf.models import BASELINES, VARIANTS, WITHOUT_FEATURES
from gru4recf.results import ERROR_FILE, code_digest, is_finished, run_key
from gru4recf.settings import STRATEGIES, RunSpec, Settings, validated

PLAN_FILE = "plan.json"


class StudyDataset(BaseModel):
    """One data set of a study: what it is called there, and the settings only it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str = ""
    settings: dict[str, Any] = {}

    @property
    def shown_as(self) -> str:
        """The name in figures and tables."""
        return self.label or Path(self.name).name


class StudyClaim(BaseModel):
    """A claim: `better` beats every one of `worse`; of several in `better`, the best on validation stands for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
    better: tuple[str, ...] = Field(min_length=1)
    worse: tuple[str, ...] = Field(min_length=1)


class Study(BaseModel):
    """The content of a study file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w-]+$")
    title: str
    datasets: tuple[StudyDataset, ...] = Field(min_length=1)
    variants: tuple[str, ...] = Field(min_length=1)
    strategies: tuple[str, ...] = ("simultaneous",)
    seeds: int = Field(3, ge=1)
    settings: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    """What limits the study, in whole sentences; its report says them beside the verdict."""
    claims: tuple[StudyClaim, ...] = ()


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its data set's name in the study, what it is, where it goes and the command that makes it."""

    dataset: str
    variant: str
    strategy: str
    seed: int
    folder: str
    command: list[str]


@dataclass(frozen=True)
class Plan:
    """All runs of a study, and the data sets that could not be had."""

    study: dict[str, Any]
    runs: list[PlannedRun]
    unavailable: dict[str, str]
    digests: dict[str, str]

    def folder_of(self, run: PlannedRun, study_folder: Path) -> Path:
        """Return a run's folder; plans keep it relative to the study's folder so that both can be moved together."""
        return (study_folder / run.folder).resolve()


def read_study(path: Path, settings: Mapping[str, Any] | None = None, **overrides: Any) -> Study:
    """Read and validate a study file; keyword arguments that are not None replace its fields.

    Args:
        path: the YAML file.
        settings: replace the file's, for the data sets that have their own too.
        **overrides: fields of `Study`.

    Raises:
        StudyError: naming every wrong field with its value and what is allowed.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such study file; the ones that come with the project are in studies/.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not readable as YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: a study is a mapping with name, title, datasets, variants, ...")
    chosen = {name: value for name, value in overrides.items() if value is not None}
    study = validated(Study, {**content, **chosen}, str(path))
    if settings:
        datasets = tuple(d.model_copy(update={"settings": {**d.settings, **settings}}) for d in study.datasets)
        study = study.model_copy(update={"datasets": datasets})
    _check_names(study, str(path))
    return study


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among `known`, pointing at the nearest one."""
    if name not in known:
        raise unknown_name(kind, name, known)


def _check_names(study: Study, where: str) -> None:
    for variant in [*study.variants, *(v for c in study.claims for v in (*c.better, *c.worse))]:
        check_name("variant", variant, VARIANTS)
    for strategy in study.strategies:
        check_name("strategy", strategy, STRATEGIES)
    labels = [dataset.shown_as for dataset in study.datasets]
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise StudyError(f"{where}: two data sets are called {', '.join(sorted(repeated))}; give each its own label.")
    for dataset in study.datasets:
        settings_of(study, dataset)


def settings_of(study: Study, dataset: StudyDataset) -> Settings:
    """Return the validated settings of one data set's runs: the study's, then the data set's own."""
    return validated(
        Settings, {**study.settings, **dataset.settings}, f"study {study.name}, data set {dataset.shown_as}"
    )


def make_plan(study: Study, folder: Path, runs_root: Path) -> Plan:
    """Open every data set once, to check and digest it, and list the runs of the ones that are there.

    Raises:
        DataUnavailable: when no data set can be had.
        StudyError: when one that is there cannot be used.
    """
    code = code_digest()
    runs, unavailable, digests = [], {}, {}
    for dataset in study.datasets:
        try:
            digest = check_data(dataset.name, settings_of(study, dataset), study.variants)
            digests[dataset.shown_as] = digest
        except DataUnavailable as error:
            unavailable[dataset.shown_as] = str(error)
            continue
        for spec in _specs(study, dataset):
            run_folder = runs_root / run_key(spec, digest, code, dataset.shown_as)
            relative = os.path.relpath(run_folder, folder.resolve())
            run = PlannedRun(dataset.shown_as, spec.variant, spec.strategy, spec.seed, relative, run_command(spec))
            runs.append(run)
    if not runs:
        raise DataUnavailable("No data set of this study can be had here. " + " ".join(unavailable.values()))
    return Plan(study.model_dump(mode="json"), runs, unavailable, digests)


def check_data(name: str, settings: Settings, variants: Iterable[str]) -> str:
    """Read, split and encode a data set as a run would, to find every mistake before runs begin; return its digest.

    Raises:
        DataUnavailable: when it cannot be had here.
        StudyError: when it cannot be used, with these settings or by one of these variants.
    """
    from gru4recf.data.features import encode_features
    from gru4recf.data.registry import open_dataset
    from gru4recf.data.split import split

    dataset = open_dataset(name, progress=True)
    parts = split(dataset, **settings.data_options())
    if settings.retrain:
        split(dataset, **settings.data_options(), merge_validation=True)
    features = encode_features(dataset, parts.catalogue, settings.feature_names)
    needy = [variant for variant in variants if variant not in WITHOUT_FEATURES]
    if needy and not features:
        raise StudyError(
            f"{dataset.name}: {', '.join(needy)} need item features and the data set has none; add an .item file with "
            f"a feature column, or leave them out (--variants {','.join(WITHOUT_FEATURES)})."
        )
    return dataset.digest


def _specs(study: Study, dataset: StudyDataset) -> list[RunSpec]:
    """Return the runs of one data set; a baseline is deterministic and needs one seed."""
    settings = settings_of(study, dataset)
    return [
        RunSpec(dataset=dataset.name, variant=variant, strategy=strategy, seed=seed, settings=settings)
        for variant in study.variants
        for strategy in (study.strategies[:1] if variant in BASELINES else study.strategies)
        for seed in range(1 if variant in BASELINES else study.seeds)
    ]


def run_command(spec: RunSpec) -> list[str]:
    """Return the arguments of `gru4recf` that make this run, without `--out` and settings at their default."""
    default = Settings()
    changed = {k: v for k, v in spec.settings.model_dump().items() if v != getattr(default, k)}
    command = ["run", "--dataset", spec.dataset, "--variant", spec.variant, "--strategy", spec.strategy]
    command += ["--seed", str(spec.seed)]
    for name, value in changed.items():
        command += ["--set", f"{name}={value}"]
    return command


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `plan.json` into the study's folder."""
    write_json(folder / PLAN_FILE, asdict(plan))


def read_plan(folder: Path) -> Plan:
    """Read the plan of a study's folder.

    Raises:
        StudyError: when the folder holds no plan.
    """
    if not (folder / PLAN_FILE).is_file():
        raise StudyError(f"{folder}: no {PLAN_FILE}; name the folder that `gru4recf study --out` wrote.")
    content: Mapping[str, Any] = read_json(folder / PLAN_FILE)
    return Plan(**{**content, "runs": [PlannedRun(**run) for run in content["runs"]]})


def finished(plan: Plan, folder: Path) -> list[PlannedRun]:
    """Return the runs whose record is there."""
    return [run for run in plan.runs if is_finished(plan.folder_of(run, folder))]


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
