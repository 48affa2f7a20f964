"""The searches of one data set, and the budget they have in common."""

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.budget import Budget
from gru4recf.models import CONTROLS, NETWORKS
from gru4recf.results import RUNS, code_digest
from gru4recf.search import N_RANDOM, SELECTED_ON, Search, repeats
from gru4recf.settings import Settings
from gru4recf.space import PARALLEL, common_space, given_size, own_spaces
from gru4recf.winners import read_tuned

if TYPE_CHECKING:
    from gru4recf.study import Study, StudyDataset

DECIDING_PACKAGES = ("torch", "optuna")


@dataclass(frozen=True)
class SearchPlan:
    """What is tuned on one data set."""

    source: str
    """Its name or folder; `budget` has the label."""
    budget: Budget
    settings: Settings
    """The study's own."""
    networks: list[str]
    controls: list[str]

    @property
    def label(self) -> str:
        """The data set's name in the study."""
        return self.budget.dataset

    @property
    def n_trainings(self) -> int:
        """How many trainings all searches take, at most."""
        each = self.budget.trials + min(self.budget.finalists, self.budget.trials) * self.budget.repeats
        return each * (len(self.networks) + len(self.controls))

    def of_networks(self) -> list[Search]:
        return [self._search(variant, {}) for variant in self.networks]

    def of_controls(self, out: Path) -> list[Search]:
        """Return the searches of controls, at the sizes of the winner in `out`."""
        parallel = read_tuned(out, self.label)[PARALLEL]
        return [self._search(variant, given_size(variant, parallel)) for variant in self.controls]

    def _search(self, variant: str, given: Mapping[str, Any]) -> Search:
        first, budget = self.settings.model_copy(update=given), self.budget
        key = _key(budget.model_copy(update={"code_sha256": code_digest(variant)}), variant, first)
        effort = (budget.trials, budget.finalists, budget.seed)
        return Search(self.label, self.source, variant, first, *effort, RUNS / "tuning" / key, tuple(given))


def plan_searches(
    study: "Study",
    dataset: "StudyDataset",
    variants: Sequence[str],
    *,
    n_trials: int,
    n_finalists: int,
    seed: int,
    n_epochs: int | None,
) -> SearchPlan:
    """Check one data set; return what is tuned on it, and what all its searches have in common."""
    from gru4recf.study import check_data, settings_of

    settings = settings_of(study, dataset)
    settings = settings.model_copy(update={"n_epochs": n_epochs}) if n_epochs else settings
    space, own_space = common_space(settings), own_spaces(settings)
    searched = {*space, *(name for own in own_space.values() for name in own)}
    budget = Budget(
        dataset=dataset.shown_as,
        selected_on=SELECTED_ON,
        data_sha256=check_data(dataset.name, settings, variants),
        code_sha256=code_digest(next(iter(NETWORKS))),  # one for all networks
        versions={name: importlib.metadata.version(name) for name in DECIDING_PACKAGES},
        seed=seed,
        trials=n_trials,
        random_trials=N_RANDOM,
        finalists=n_finalists,
        repeats=repeats(n_finalists),
        n_epochs=settings.n_epochs,
        patience=settings.patience,
        fixed=settings.model_dump(exclude={*searched, "n_epochs", "patience"}),
        first=settings.model_dump(include=searched),
        space=space,
        own_space=own_space,
    )
    controls = [variant for variant in variants if variant in CONTROLS]
    return SearchPlan(dataset.name, budget, settings, [v for v in variants if v in NETWORKS], controls)


def _key(budget: Budget, variant: str, first: Settings) -> str:
    """Return a folder name: another one whenever anything but the numbers of trials and finalists differs, so
    nothing is mixed. `first` holds all that the first trial sets.
    """
    effort = {"trials", "finalists", "repeats"}
    decided_by = [budget.model_dump(exclude={*effort, "first"}), variant, first.model_dump()]
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
    return re.sub(r"[^\w.-]+", "_", f"{budget.dataset}-{variant}-{digest[:10]}")
