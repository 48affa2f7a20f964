"""The journal of one search: every trial that has ended, in a file that only grows.

It is optuna's journal (`optuna-dashboard` reads it). A trial enters it when it has ended, so that a search that was
killed finds what it had finished and nothing half done.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4recf.space import Space, distributions
from gru4recf.trials import Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Journal:
    """The ended trials of one search, in a file that only grows; whoever uses it holds its folder's lock."""

    def __init__(self, path: Path, name: str, space: Space):
        """Open or create the journal; half a line that a killed process left at its end is taken away."""
        optuna = quiet_optuna()
        _cut_half_line(path)
        backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=_HeldByCaller())
        storage = optuna.storages.JournalStorage(backend)
        self._study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        self._space = space

    def trials(self) -> list[Trial]:
        """Return the trials in order."""
        return [_thawed(trial) for trial in self._study.get_trials(deepcopy=False)]

    def add(self, trial: Trial) -> None:
        """Append one trial; it is on disk when this returns."""
        self._study.add_trial(frozen(trial, self._space))

    def repeats(self) -> dict[tuple[int, int], float | None]:
        """Return (number of a trial, seed) -> its value with that seed, None where it failed."""
        return {tuple(map(int, name.split("/"))): value for name, value in self._study.user_attrs.items()}

    def add_repeat(self, number: int, seed: int, value: float | None) -> None:
        """Append the value of a trial with another seed; it is on disk when this returns."""
        self._study.set_user_attr(f"{number}/{seed}", value)


def quiet_optuna() -> Any:
    """Return the package, silenced: it reports every study it creates."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def frozen(trial: Trial, space: Space) -> "FrozenTrial":
    """Return a trial as optuna keeps it."""
    import optuna

    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL if trial.value is None else optuna.trial.TrialState.COMPLETE,
        value=trial.value,
        params=trial.settings,
        distributions=distributions(space),
        user_attrs={"best_epoch": trial.best_epoch, "epochs": trial.epochs, "error": trial.error},
    )


class _HeldByCaller:
    """A lock that does nothing: a killed process would leave optuna's own behind, and the next one waits for it."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _thawed(trial: "FrozenTrial") -> Trial:
    value = trial.values[0] if trial.values else None
    return Trial(trial.number + 1, dict(trial.params), value, **trial.user_attrs)


def _cut_half_line(path: Path) -> None:
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        if whole < path.stat().st_size:
            os.truncate(path, whole)
