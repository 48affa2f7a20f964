"""A study: one YAML file, validated.

    datasets x variants x strategies x seeds, with shared settings, settings per data set, tuned settings per variant,
    and the claims it tests

`plan.py` turns it into runs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gru4recf.errors import DataUnavailable, StudyError, unknown_name
from gru4recf.models import BASELINES, VARIANTS, WITHOUT_FEATURES
from gru4recf.results import CHECKOUT, find_in_checkout
from gru4recf.settings import STRATEGIES, Settings, validated


class StudyDataset(BaseModel):
    """One data set of a study: what it is called there, and the settings only it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str = ""
    settings: dict[str, Any] = {}
    train_fractions: tuple[float, ...] = ()
    """Stands for one data set per share of the training sessions, the newest ones."""
    variants: tuple[str, ...] = ()
    """Instead of the study's."""
    control: Literal["", "positive", "negative"] = ""
    """Generated data on which features must pay, or must not: judged as a control, left out of the claims."""
    tuned_as: str = ""
    """The label under which its settings were tuned; its own when empty."""

    @property
    def shown_as(self) -> str:
        """The name in figures and tables."""
        return self.label or Path(self.name).name


class StudyClaim(BaseModel):
    """A claim: `better` beats its rivals; of several in `better`, the best on validation stands for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
    better: tuple[str, ...] = Field(min_length=1)
    worse: tuple[str, ...] = Field(min_length=1)
    against: Literal["every", "best"] = "every"
    """Which of `worse` have to be beaten: every one, or the best on validation."""


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
    tuned: bool = False
    """Whether each network takes the settings that `gru4recf tune` found for it (studies/tuned)."""
    forced: dict[str, Any] = {}
    """Settings that win over all others; `--set` of the command line."""
    notes: tuple[str, ...] = ()
    """What limits the study, in whole sentences; its report says them beside the verdict."""
    claims: tuple[StudyClaim, ...] = ()


def read_study(path: Path, settings: Mapping[str, Any] | None = None, **overrides: Any) -> Study:
    """Read and validate a study file; keyword arguments that are not None replace its fields.

    Args:
        path: the YAML file.
        settings: replace the file's, for the data sets that have their own too.
        **overrides: fields of `Study`.

    Raises:
        StudyError: naming every wrong field with its value and what is allowed.
    """
    if not path.is_file() and (beside := CHECKOUT / path).is_file():
        path = beside  # studies/default.yaml, called for from another folder
    if not path.is_file():
        raise StudyError(
            f"{path}: no such study file; the ones that come with the project are in {CHECKOUT / 'studies'}."
        )
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not readable as YAML in UTF-8 ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: a study is a mapping with name, title, datasets, variants, ...")
    chosen = {name: value for name, value in overrides.items() if value is not None}
    study = validated(Study, {**content, **chosen}, str(path))
    datasets = tuple(one for dataset in study.datasets for one in _by_fraction(_located(dataset)))
    study = study.model_copy(update={"datasets": datasets, "forced": {**study.forced, **(settings or {})}})
    _check_names(study, str(path))
    return study


def _refuse_repeated_keys(node: yaml.Node | None, path: Path) -> None:
    """Refuse a mapping that has a key twice, of which YAML's reader would keep the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise StudyError(f"{path}, line {line}: {key.value} is there a second time; put both in one place.")
            seen.add(key.value)
    if isinstance(node, yaml.CollectionNode):
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                _refuse_repeated_keys(inner, path)


def located(dataset: str) -> str:
    """Return a folder's absolute path, because a run may start elsewhere; a registered name stays as it is."""
    from gru4recf.data.registry import names

    return dataset if dataset in names() or not Path(dataset).exists() else str(Path(dataset).resolve())


def _located(dataset: StudyDataset) -> StudyDataset:
    return dataset.model_copy(update={"name": located(dataset.name)})


def _by_fraction(dataset: StudyDataset) -> list[StudyDataset]:
    """Return one data set per training size."""
    if not dataset.train_fractions:
        return [dataset]
    label = dataset.shown_as
    return [
        dataset.model_copy(
            update={
                "label": label if share == 1 else f"{label}-{100 * share:g}pct",
                "settings": {**dataset.settings, "train_fraction": share},
                "train_fractions": (),
                "tuned_as": dataset.tuned_as or label,
            }
        )
        for share in dataset.train_fractions
    ]


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among `known`, pointing at the nearest one."""
    if name not in known:
        raise unknown_name(kind, name, known)


def _check_names(study: Study, where: str) -> None:
    lists = {"variants": study.variants}
    lists |= {f"variants of {dataset.shown_as}": dataset.variants for dataset in study.datasets}
    lists |= {f"claim {c.name}, {side}": getattr(c, side) for c in study.claims for side in ("better", "worse")}
    for place, variants in lists.items():
        for variant in variants:
            check_name(f"variant ({where}, {place})", variant, VARIANTS)
            if variants.count(variant) > 1:
                raise StudyError(f"{where}, {place}: {variant} is listed more than once; list it once.")
    for strategy in study.strategies:
        check_name(f"strategy ({where})", strategy, STRATEGIES)
    labels = [dataset.shown_as for dataset in study.datasets]
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise StudyError(f"{where}: two data sets are called {', '.join(sorted(repeated))}; give each its own label.")
    for dataset in study.datasets:
        settings_of(study, dataset)


def variants_of(study: Study, dataset: StudyDataset) -> tuple[str, ...]:
    """Return the variants that run on one data set."""
    return dataset.variants or study.variants


def settings_of(study: Study, dataset: StudyDataset, variant: str = "", data_digest: str | None = None) -> Settings:
    """Return a data set's validated settings: the study's, then the data set's own, then the variant's tuned ones.

    Args:
        study: the study.
        dataset: one of its data sets.
        variant: whose tuned settings to take, in a study that uses them; without one, those before tuning.
        data_digest: SHA-256 of the data the tuned settings must have been found on; None accepts any.

    Raises:
        DataUnavailable: when the data set was not tuned, so that a study goes on with the others.
        StudyError: for wrong settings.
    """
    tuned: dict[str, Any] = {}
    if study.tuned and variant and variant not in BASELINES and not dataset.control:
        from gru4recf.tuned import settings_for
        from gru4recf.winners import tuned_path

        folder, label = find_in_checkout("studies") / "tuned", dataset.tuned_as or dataset.shown_as
        if not tuned_path(folder, label).is_file():
            raise DataUnavailable(f"{label} has not been tuned; run `gru4recf tune` with this study first.")
        tuned = settings_for(folder, label, variant, data_digest)
    where = f"study {study.name}, data set {dataset.shown_as}"
    return validated(Settings, {**study.settings, **dataset.settings, **tuned, **study.forced}, where)


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
    if settings.min_support == 0 and not settings.output_features:
        raise StudyError(
            f"{dataset.name}: min_support is 0, which keeps items that training never saw, and networks can tell these "
            "apart by their features alone; set output_features too, or min_support to 1."
        )
    needy = [variant for variant in variants if variant not in WITHOUT_FEATURES]
    if needy and not features:
        raise StudyError(
            f"{dataset.name}: {', '.join(needy)} need item features and the data set has none; add an .item file with "
            f"a feature column, or leave them out (--variants {','.join(WITHOUT_FEATURES)})."
        )
    return dataset.digest
