"""What `gru4recf data` tells about a data set: counts, features, time, oddities, split, and what speaks against it."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.data.split import Split

Tell = Callable[[str], None]
GIANT_LENGTH = 200  # events: nobody looks at so many items in one visit
GIANT_SHARE = 50  # times the median length
MAX_OVERLAP = 0.01  # of the training sessions may still run when test begins
MAX_REPEATS = 0.01  # of the events may have session, item and time of another one
MAX_COPIES = 0.05  # of the longer test sessions may be item for item a training session
COPY_LENGTH = 4
DATES = (1e8, 4.2e9)  # seconds: between 1973 and 2103 a time is taken for a date
RECENT = 6.3e8  # seconds: 1990, which times that begin with 0 hardly reach


def list_datasets(*, tell: Tell) -> None:
    """Tell the registered data sets and whether each can be had without a download."""
    from gru4recf.data.registry import datasheet, names

    for name in names():
        sheet = datasheet(name)
        counts = sheet.counts
        size = (
            f"{counts.sessions:,} {sheet.sequences}, {counts.events:,} events, {counts.items:,} items"
            if counts
            else "generated"
        )
        tell(f"{name:15s} {sheet.title}: {size}. {sheet.licence}.")
    tell("`gru4recf data NAME` fetches one and describes it; a folder with NAME.inter and NAME.item works too.")
    tell("`gru4recf data import --help` tells how a log of your own becomes such a folder.")


def describe_dataset(name: str, *, tell: Tell) -> None:
    """Tell what a data set holds, how it is split, what was dropped, and what speaks against using it.

    Raises:
        StudyError: when it cannot be read; when it cannot be split, after all that was read has been told.
    """
    from gru4recf.data.registry import open_dataset
    from gru4recf.data.split import split

    dataset = open_dataset(name, progress=True)
    _tell_counts(dataset, tell)
    _tell_features(dataset, tell)
    _tell_time(dataset, tell)
    _tell_oddities(dataset, tell)
    for reason, count in dataset.dropped.items():
        tell(f"dropped while reading, {reason}: {count:,}")
    parts = split(dataset)
    for what, count in parts.counts.items():
        tell(f"{what}: {count:,}")
    _tell_constant(dataset, parts, tell)
    _tell_leaks(dataset, parts, tell)
    _tell_sequential(dataset, parts, tell)
    _tell_cost(dataset, parts, tell)
    tell(f"digest: {dataset.digest}")


def _tell_counts(dataset: Dataset, tell: Tell) -> None:
    lengths = _lengths(dataset)
    tell(
        f"{dataset.name}: {len(lengths):,} {dataset.sequences}, {len(dataset.events):,} events, "
        f"{dataset.events['item'].nunique():,} items; events per {dataset.sequences[:-1]}: median "
        f"{np.median(lengths):.0f}, longest {lengths.max():,}."
    )


def _tell_features(dataset: Dataset, tell: Tell) -> None:
    """Tell for each feature the share of items, and of events, whose value is known."""
    if not dataset.kinds:
        tell("no features: only networks and baselines without features can be trained.")
    rows = dataset.items.index.get_indexer(dataset.events["item"])
    nothing_known = np.ones(len(dataset.items), dtype=bool)
    for feature, kind in dataset.kinds.items():
        known = dataset.items[feature].map(_is_known).to_numpy(bool)
        nothing_known &= ~known
        tell(
            f"feature {feature} ({kind}): known for {known.mean():.1%} of the items. Weighted by events: "
            f"{known[rows].mean():.1%}; {_distinct(dataset.items[feature], kind)}."
        )
    if dataset.kinds and nothing_known.any():
        tell(f"items without any feature: {int(nothing_known.sum()):,}")
    if dataset.kinds:
        alone = ~dataset.items[list(dataset.kinds)].map(_as_text).duplicated(keep=False)
        tell(
            f"items whose features, all together, no other item has: {alone.sum():,} ({alone.mean():.1%}); the more, "
            "the more features say which item it is, and not only what it is like."
        )


def _as_text(value: object) -> object:
    return value.tobytes() if isinstance(value, np.ndarray) else str(value)


def _is_known(value: object) -> bool:
    return len(value) > 0 if hasattr(value, "__len__") else value is not None and value == value


def _distinct(values: pd.Series, kind: str) -> str:
    known = values[values.map(_is_known).to_numpy(bool)]
    if kind == "float" and len(known):
        return f"from {known.min():g} to {known.max():g}"
    if kind == "float_seq" and len(known):
        return f"{len(known.iloc[0])} numbers each"
    return f"{values.explode().nunique():,} values"


def _tell_time(dataset: Dataset, tell: Tell) -> None:
    """Tell the span, and the longest stretches without any event."""
    times = np.sort(dataset.events["time"].to_numpy())
    inside = (times >= DATES[0]) & (times <= DATES[1])
    if not inside.all() and not (inside.any() and np.median(times[inside]) >= RECENT):
        tell(f"time: from {times[0]:g} to {times[-1]:g}, an order rather than dates.")
        return
    if n_others := int((~inside).sum()):
        tell(f"warning: {n_others:,} events lie outside of 1973 to 2103, the others are dates; have all one unit?")
    times = times[inside]
    gaps = np.diff(times)
    tell(f"time: from {_date(times[0])} to {_date(times[-1])}, {_duration(times[-1] - times[0])}.")
    if len(gaps):
        longest = int(gaps.argmax())
        tell(f"the longest time without an event: {_duration(gaps[longest])}, from {_date(times[longest])}.")
    inside = np.diff(dataset.events["time"].to_numpy())[~_starts(dataset)[1:]]
    if len(inside):
        tell(
            f"idle between two events of a {dataset.sequences[:-1]}: median {_duration(np.median(inside))}, "
            f"longest {_duration(inside.max())}."
        )


def _date(seconds: float) -> str:
    return str(pd.Timestamp(seconds, unit="s").floor("s"))


def _duration(seconds: float) -> str:
    """Return `90 s`, `12 min`, `5.0 h` or `31 days`."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.1f} s" if 0 < seconds < 1 else f"{seconds:.0f} s"


def _tell_oddities(dataset: Dataset, tell: Tell) -> None:
    """Tell repeats, equal times, sessions of one event, gigantic ones, and copies."""
    events, starts = dataset.events, _starts(dataset)
    lengths, n_events = _lengths(dataset), len(dataset.events)
    repeat = (events["item"].to_numpy()[1:] == events["item"].to_numpy()[:-1]) & ~starts[1:]
    equal = (events["time"].to_numpy()[1:] == events["time"].to_numpy()[:-1]) & ~starts[1:]
    tell(f"events that repeat the item before: {repeat.sum():,} ({repeat.sum() / n_events:.1%})")
    tell(f"events at the time of the one before: {equal.sum():,} ({equal.sum() / n_events:.1%})")
    if equal.sum() > 0.1 * n_events:
        tell("warning: many events of a session have equal times, so their order is the file's; is it the true one?")
    same = events[np.append(equal, False) | np.insert(equal, 0, False)].duplicated(["session", "item", "time"]).sum()
    if same > MAX_REPEATS * n_events:
        what = f"{same:,} events ({same / n_events:.1%}) repeat session, item and time of another one"
        tell(f"warning: {what}; leave copies out: they are trivial targets.")
    tell(f"{dataset.sequences} of a single event: {(lengths == 1).sum():,} ({(lengths == 1).mean():.1%})")
    limit = max(GIANT_LENGTH, GIANT_SHARE * np.median(lengths))
    giant = lengths > limit
    if giant.any() and dataset.sequences == "sessions":
        tell(
            f"warning: {giant.sum():,} sessions of more than {limit:.0f} events hold "
            f"{lengths[giant].sum() / n_events:.1%} of all events; they may be robots, or ids that many visitors share."
        )


def _tell_constant(dataset: Dataset, parts: Split, tell: Tell) -> None:
    catalogue = dataset.items.loc[parts.catalogue[1:]]
    for feature, kind in dataset.kinds.items():
        if catalogue[feature].map(_as_text).nunique() < 2:
            tell(f"warning: feature {feature} ({kind}) has one value for all items seen in training; it tells nothing.")


def _tell_leaks(dataset: Dataset, parts: Split, tell: Tell) -> None:
    """Tell training sessions that go on when test has begun, and test sessions that training holds already."""
    if dataset.sequences == "users":
        tell("split: each user's last events are left out, so training knows the time of other users' test events.")
        return
    times = dataset.events.groupby("session", sort=False)["time"]
    first, last = times.min(), times.max()
    begin = first[parts.test.labels].min()
    running = int((last[parts.train.labels] >= begin).sum())
    share = running / parts.train.n_sessions
    word = "warning: leak: " if share > MAX_OVERLAP else ""
    tell(f"{word}training sessions with events after test began: {running:,} ({share:.1%})")
    seen = set(_sequences(parts.train))
    longer = _sequences(parts.test)
    copies = sum(sequence in seen for sequence in longer)
    share = copies / max(len(longer), 1)
    word = "warning: leak: " if share > MAX_COPIES else ""
    what = f"test sessions of {COPY_LENGTH} or more events that training holds item for item"
    tell(f"{word}{what}: {copies:,} ({share:.1%})")


def _sequences(sessions) -> list[bytes]:
    """Return the items of every session of `COPY_LENGTH` or more different events."""
    pieces = np.split(sessions.items, sessions.offsets[1:-1])
    return [items.tobytes() for items in pieces if len(items) >= COPY_LENGTH and (items != items[0]).any()]


def _tell_sequential(dataset: Dataset, parts: Split, tell: Tell) -> None:
    from gru4recf.order import order_matters

    found = order_matters(parts, dataset.sequences)
    tell(
        f"order: a first-order Markov chain reaches MRR@20 {found.true_order:.4f} on validation, {found.shuffled:.4f} "
        "with the events of every session shuffled."
    )
    if found.little:
        tell("warning: shuffled order predicts as well: these data are not sequential, a recurrent network is no help.")
    elif not found.matters:
        targets = int(parts.validation.is_target.sum())
        tell(f"warning: {targets:,} validation targets are too few to tell whether the order of events matters.")


def _tell_cost(dataset: Dataset, parts: Split, tell: Tell) -> None:
    """Tell what training takes by the fitted cost model, and a study as wide as the default one."""
    from gru4recf import cost
    from gru4recf.models import BASELINES
    from gru4recf.results import find_in_checkout
    from gru4recf.study import read_study

    slopes, machine = cost.measured_slopes()
    training, ranking = (cost.work_of(part, parts.n_items, len(dataset.kinds)) for part in (parts.train, parts.test))
    epoch = cost.predicted(training, slopes)
    ranks = cost.predicted(ranking, slopes)["ranking_cpu_seconds"]
    study = read_study(find_in_checkout("studies", "default.yaml"))
    n_runs = study.seeds * sum(variant not in BASELINES for variant in study.variants)
    total = n_runs * cost.EPOCHS * epoch["epoch_cpu_seconds"]
    tell(
        f"cost on one thread of {machine}, fitted: an epoch of parallel_concat "
        f"{_duration(epoch['epoch_cpu_seconds'])}, ranking the test part {_duration(ranks)}, "
        f"{epoch['peak_bytes'] / 1e9:.1f} GB at most; the {n_runs} trainings of studies/default.yaml, with "
        f"{cost.EPOCHS} epochs each, {_duration(total)} of CPU time."
    )


def _starts(dataset: Dataset) -> np.ndarray:
    """Return (n_events,) whether an event is the first of its session; sessions lie one behind the other."""
    codes, _ = pd.factorize(dataset.events["session"])
    return np.diff(codes, prepend=-1) != 0


def _lengths(dataset: Dataset) -> np.ndarray:
    return np.diff(np.append(np.flatnonzero(_starts(dataset)), len(dataset.events)))
