"""What a tuning tells while it works: each training as it ends, and the time that is left."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from gru4recf.search import SELECTED_ON, News


class Progress:
    """Counts trainings and tells each with the time that is left, by the pace of its data set."""

    def __init__(self, n_trainings: Mapping[str, int], jobs: int, tell: Callable[[str], None]):
        """`n_trainings` has each data set's, `jobs` the searches at once."""
        self.tell, self.jobs = tell, jobs
        self.n_trainings, self.n_ended = sum(n_trainings.values()), 0
        self.left = dict(n_trainings)
        self.seconds = defaultdict(list)

    def hear(self, news: News) -> None:
        """Take in what a search reports."""
        ended = news.found + (news.trial is not None)
        self.n_ended += ended
        self.left[news.search.label] -= ended
        if news.trial is not None:
            self.seconds[news.search.label].append(news.seconds)
            self.tell(f"[{self.n_ended}/{self.n_trainings}] {_told(news)}, about {self._time_left()} left")
        elif news.text:
            self.tell(news.text)

    def _time_left(self) -> str:
        from gru4recf.grid import duration

        known = [value for own in self.seconds.values() for value in own]
        paces = {label: self.seconds[label] or known for label in self.left}
        seconds = sum(self.left[label] * sum(pace) / len(pace) for label, pace in paces.items())
        return duration(seconds / self.jobs)


def _told(news: News) -> str:
    from gru4recf.grid import duration

    trial = news.trial
    value = f"failed: {trial.error.rstrip('.')}" if trial.value is None else f"{SELECTED_ON} {trial.value:.4f}"
    best = "" if news.best is None else f" (best {news.best:.4f})"
    name = f"{news.search.name} trial {trial.number}" + ("" if news.seed is None else f", seed {news.seed}")
    return f"{name}: {value}{best}, {duration(news.seconds)}"
