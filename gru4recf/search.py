"""The search for one network's settings on one data set: trial after trial, each proposed from those before.

Every variant's first trial is the study's own settings. Until `N_RANDOM` trials have ended well, settings are drawn at
random, by a generator that does not know the variant: all networks try the same ones, and none is lucky in its draw
(controls, whose sizes are given, draw fewer numbers). From then on a tree-structured Parzen estimator proposes settings
from the variant's own trials.

Seeds move a value as much as neighbouring settings do, and the best of many noisy values is a lucky one, mostly. So the
best trials, the finalists, are trained with further seeds, and the one with the highest mean wins.

What is tried next follows from the ended trials and the seed alone. So a search that was killed makes the interrupted
trial again, with the same settings, and goes on to the same bytes.

Source: Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011 (the estimator, as in optuna).
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.errors import StudyError
from gru4recf.files import locked
from gru4recf.journal import Journal, frozen, quiet_optuna
from gru4recf.settings import RunSpec, Settings, validated
from gru4recf.space import Space, distributions, rounded, space_of
from gru4recf.trials import Trial, best_of, finalists

if TYPE_CHECKING:
    from gru4recf.data.dataset import Dataset

SELECTED_ON = "validation MRR@20"
N_RANDOM = 10
N_FINALISTS = 5
N_REPEATS = 2  # of each finalist, with the seeds that follow the search's


@dataclass(frozen=True)
class Search:
    """One data set and one variant of a study, and how much tuning it gets."""

    label: str
    dataset: str
    variant: str
    settings: Settings
    """The study's own, for a control with the size given to it: the first trial, and what is not searched."""
    n_trials: int
    n_finalists: int
    """1: the best trial wins without repeats."""
    seed: int
    folder: Path
    """Holds the journal; whoever searches holds its lock."""
    given: tuple[str, ...] = ()
    """Names of what `settings` gives a control and is not searched for it."""

    @property
    def name(self) -> str:
        """What it is called in the terminal."""
        return f"{self.label} {self.variant}"

    @property
    def space(self) -> Space:
        """What is searched."""
        return space_of(self.variant, self.settings, self.given)

    def journal(self) -> Journal:
        """Open the journal; the caller holds the folder's lock."""
        return Journal(self.folder / "journal.log", self.folder.name, self.space)

    @property
    def further_seeds(self) -> range:
        """The seeds that finalists are repeated with."""
        return range(self.seed + 1, self.seed + 1 + repeats(self.n_finalists))

    def trials(self) -> list[Trial]:
        """Return the first `n_trials` ended trials, finalists with their repeats; another call may have made more."""
        with locked(self.folder):
            return self.ended(self.journal())

    def ended(self, journal: Journal) -> list[Trial]:
        """Return the same of a journal that the caller has open."""
        tried, again = journal.trials()[: self.n_trials], journal.repeats()
        of = {t.number: [(t.number, seed) for seed in self.further_seeds] for t in finalists(tried, self.n_finalists)}
        return [replace(t, repeats=tuple(again[k] for k in of.get(t.number, []) if k in again)) for t in tried]

    def missing(self, tried: Sequence[Trial]) -> list[tuple[Trial, int]]:
        """Return the finalists of ended trials, each with every seed that it is still to be repeated with."""
        found = finalists(tried, self.n_finalists)
        return [(trial, seed) for trial in found for seed in self.further_seeds[len(trial.repeats) :]]


def repeats(n_finalists: int) -> int:
    """Return how often each finalist is repeated: a single one needs no comparison."""
    return N_REPEATS if n_finalists > 1 else 0


@dataclass(frozen=True)
class News:
    """What a search reports: `found` trainings at its beginning, one new `trial`, with the `seed` of a repeated one, or
    a sentence.
    """

    search: Search
    found: int = 0
    trial: Trial | None = None
    best: float | None = None
    seconds: float = 0.0
    seed: int | None = None
    text: str = ""


Report = Callable[[News], None]


def search(job: Search, report: Report) -> None:
    """Make the trials of one search that are missing; its journal holds each as soon as it has ended."""
    from gru4recf.data.registry import open_dataset

    busy = News(job, text=f"{job.name}: another process searches; waiting for it to end.")
    with locked(job.folder, lambda: report(busy)):
        journal = job.journal()
        tried = job.ended(journal)
        report(News(job, found=len(tried) + sum(len(trial.repeats) for trial in tried)))
        data = open_dataset(job.dataset) if len(tried) < job.n_trials or job.missing(tried) else None
        while len(tried) < job.n_trials:
            begin = time.perf_counter()
            settings = next_settings(tried, job.space, job.settings, job.seed, job.label)
            tried.append(_try(job, len(tried) + 1, settings, job.seed, data))
            journal.add(tried[-1])
            report(News(job, 0, tried[-1], _best(tried), time.perf_counter() - begin))
        for trial, seed in job.missing(job.ended(journal)):
            begin = time.perf_counter()
            again = _try(job, trial.number, trial.settings, seed, data)
            journal.add_repeat(trial.number, seed, again.value)
            report(News(job, 0, again, _best(job.ended(journal)), time.perf_counter() - begin, seed))


def _best(tried: Sequence[Trial]) -> float | None:
    best = best_of(tried)
    return best.mean if best else None


def next_settings(tried: Sequence[Trial], space: Space, first: Settings, seed: int, label: str) -> dict[str, Any]:
    """Return what the next trial sets.

    Args:
        tried: the trials that have ended, in order.
        space: what is searched; holds the values of `first`.
        first: the study's own settings, which are the first trial.
        seed: the tuning's seed.
        label: the data set's name in the study; other data sets get other random settings.
    """
    if not tried:
        return {name: getattr(first, name) for name in space}
    optuna = quiet_optuna()
    drawn = int.from_bytes(hashlib.sha256(f"{seed} {label} {len(tried)}".encode()).digest()[:4], "big")
    sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=N_RANDOM, multivariate=True, constant_liar=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([frozen(trial, space) for trial in tried])
    chosen = study.ask(distributions(space)).params
    return {name: rounded(value, space[name]) for name, value in chosen.items()}


def _try(job: Search, number: int, settings: dict[str, Any], seed: int, data: "Dataset") -> Trial:
    """Train once; a network that cannot be trained like this is a trial too, with the reason."""
    from gru4recf.experiment import select

    where = f"{job.name}, trial {number}"
    spec = validated(Settings, {**job.settings.model_dump(), **settings}, where)
    run = RunSpec(dataset=job.dataset, variant=job.variant, seed=seed, settings=spec)
    try:
        progress = select(run, data).progress
    except StudyError as error:
        return Trial(number, settings, None, error=str(error))
    return Trial(number, settings, progress.best_value, progress.best_epoch, progress.epoch)
