"""Training, validation and test: split by time, or by leaving out each user's last events.

The order of steps is the protocol's: sessions of two or more events; the split; the newest part of training if
less than all is asked for; items with too little support *in that training part* removed everywhere; sessions
left with one event removed. Every step counts what it drops.

Once a setting or a number of epochs is chosen on validation, a second split with `merge_validation` counts validation
as training: the newest sessions matter most.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.data.sessions import Sessions
from gru4recf.errors import DataError

HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """The three parts of a data set, encoded over one catalogue.

    Attributes:
        train, validation, test: sessions; in test and validation every event after the first is a target, or
            only the last one when users' last events were left out. Merged into training, validation is empty.
        catalogue: (N,) raw item ids by index; index 0 is padding (""), items that training never saw come last.
        support: (N,) number of events of each item in `train`.
        n_seen: catalogue size without items that training never saw, the padding item included.
        counts: what was kept and dropped, by name, in the order of the steps.
    """

    train: Sessions
    validation: Sessions
    test: Sessions
    catalogue: np.ndarray
    support: np.ndarray
    n_seen: int
    counts: dict[str, int]

    @property
    def n_items(self) -> int:
        """Catalogue size with the padding item, the N of every shape."""
        return len(self.catalogue)


def split(
    dataset: Dataset, *, min_support: int = 5, train_fraction: float = 1.0, merge_validation: bool = False
) -> Split:
    """Split and filter a data set by the protocol's data rules.

    Args:
        dataset: events sorted by session start, session and time.
        min_support: items with fewer events in the training part are removed; 0 keeps the data set's whole catalogue.
        train_fraction: share of the training sessions to keep, the newest ones.
        merge_validation: count the validation part as training.

    Raises:
        DataError: when a part would be empty (one session, one item, a filter that removes all).
    """
    events = dataset.events
    codes, labels = pd.factorize(events["session"])
    items, raw_items = pd.factorize(events["item"])
    lengths = np.bincount(codes)
    counts = {"events read": len(events), "sessions read": len(labels), "items read": len(raw_items)}
    counts["sessions of one event dropped"] = int((lengths < 2).sum())
    if min_support == 0:
        raw_items = raw_items.append(dataset.items.index.difference(raw_items, sort=False))
    parts = _by_time(dataset, events, codes, lengths) if dataset.sequences == "sessions" else _by_user(codes, lengths)
    if merge_validation:
        parts = _merged(parts)
    in_train = _newest(parts["train"][0], codes, train_fraction)
    counts["training sessions left out by train_fraction"] = _n_sessions(parts["train"][0], codes) - _n_sessions(
        in_train, codes
    )
    support = np.bincount(items[in_train], minlength=len(raw_items))
    keep_item = support >= min_support
    counts[f"items below support {min_support} dropped"] = int((~keep_item).sum())
    _require_catalogue(dataset.name, int(keep_item.sum()), min_support)
    order = _first_seen(items[in_train & keep_item[items]], len(raw_items))
    n_seen = 1 + len(order)
    if min_support == 0:  # the others in the order of the item table, which knows nothing of test
        unseen = np.flatnonzero(support == 0)
        order = np.append(order, unseen[np.argsort(dataset.items.index.get_indexer(raw_items[unseen]), kind="stable")])
    index_of = np.zeros(len(raw_items), dtype=np.int64)
    index_of[order] = np.arange(1, len(order) + 1)
    parts["train"] = (in_train, parts["train"][1])
    encoded = {}
    for part, (inside, candidate) in parts.items():
        encoded[part] = _encode(inside & keep_item[items], candidate, codes, index_of[items], labels.to_numpy())
        counts[f"{part} sessions"] = encoded[part].n_sessions
        counts[f"{part} events"] = encoded[part].n_events
        counts[f"{part} targets"] = encoded[part].n_targets
        counts[f"{part} targets not ranked"] = int((inside & candidate).sum()) - encoded[part].n_targets
        if part != "validation" or not merge_validation:
            _require_targets(dataset.name, part, encoded[part])
    catalogue = np.concatenate([[""], raw_items.to_numpy()[order]]).astype(object)
    counts["items"] = len(order)
    support = np.bincount(encoded["train"].items, minlength=len(catalogue))  # without what left the part since
    return Split(**encoded, catalogue=catalogue, support=support, n_seen=n_seen, counts=counts)


def _by_time(dataset: Dataset, events: pd.DataFrame, codes: np.ndarray, lengths: np.ndarray) -> dict:
    """Return part -> (events inside, events that may be targets); sessions are never cut."""
    usable = np.flatnonzero(lengths >= 2)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    start = events["time"].to_numpy()[first[usable]]
    n_held_out = int(np.ceil(HELD_OUT_SHARE * len(usable)))
    n_before_test = _count_before(start, dataset.test_start, len(usable) - n_held_out)
    n_train = _count_before(start, dataset.validation_start, n_before_test - n_held_out)
    part_of_session = np.full(len(lengths), -1, dtype=np.int8)
    part_of_session[usable[: max(n_train, 0)]] = 0
    part_of_session[usable[max(n_train, 0) : n_before_test]] = 1
    part_of_session[usable[n_before_test:]] = 2
    part = part_of_session[codes]
    not_first = np.arange(len(codes)) > first[codes]
    return {name: (part == number, not_first) for number, name in enumerate(("train", "validation", "test"))}


def _count_before(start: np.ndarray, boundary: float | None, otherwise: int) -> int:
    return otherwise if boundary is None else int(np.searchsorted(start, boundary, side="left"))


def _by_user(codes: np.ndarray, lengths: np.ndarray) -> dict:
    """Leave out the last event for test and the one before for validation, as RecBole does.

    A user of three events gives training and test, one of two gives training only.
    """
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    position = np.arange(len(codes)) - first[codes]
    length = lengths[codes]
    n_train = np.where(length >= 4, length - 2, 2)
    before_test = np.where(length >= 4, length - 1, 2)
    return {
        "train": ((position < n_train) & (length >= 2), position > 0),
        "validation": ((position <= n_train) & (length >= 4), position == n_train),
        "test": ((position <= before_test) & (length >= 3), position == before_test),
    }


def _merged(parts: dict) -> dict:
    """Return the parts with validation counted as training."""
    (train, train_candidate), (validation, validation_candidate) = parts["train"], parts["validation"]
    merged = {"train": (train | validation, train_candidate | validation_candidate)}
    return {**parts, **merged, "validation": (np.zeros_like(validation), validation_candidate)}


def _newest(inside: np.ndarray, codes: np.ndarray, fraction: float) -> np.ndarray:
    if not 0 < fraction <= 1:
        raise DataError(f"train_fraction is {fraction}; it is a share of the training sessions, choose it in (0, 1].")
    sessions = np.flatnonzero(np.bincount(codes[inside]))
    n_kept = int(np.ceil(fraction * len(sessions)))
    return inside & (codes >= sessions[len(sessions) - n_kept]) if n_kept else inside  # codes rise with time


def _n_sessions(inside: np.ndarray, codes: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(codes[inside])))


def _first_seen(values: np.ndarray, n_values: int) -> np.ndarray:
    """Return the distinct values in order of first appearance."""
    first = np.full(n_values, len(values))
    np.minimum.at(first, values, np.arange(len(values)))
    seen = np.flatnonzero(first < len(values))
    return seen[np.argsort(first[seen])]


def _encode(
    keep: np.ndarray, candidate: np.ndarray, codes: np.ndarray, items: np.ndarray, labels: np.ndarray
) -> Sessions:
    """Build the part of the kept events; sessions without a target, or with one event left, disappear."""
    length = np.bincount(codes[keep], minlength=len(labels))
    has_target = np.bincount(codes[keep & candidate], minlength=len(labels)) > 0
    keep = keep & ((length >= 2) & has_target)[codes]
    n_events = np.bincount(codes[keep], minlength=len(labels))
    sessions = np.flatnonzero(n_events)
    offsets = np.concatenate([[0], np.cumsum(n_events[sessions])]).astype(np.int64)
    is_target = candidate[keep].copy()
    is_target[offsets[:-1]] = False
    return Sessions(items[keep], offsets, is_target, labels[sessions])


def _require_catalogue(name: str, n_items: int, min_support: int) -> None:
    if n_items < 2:
        raise DataError(
            f"{name}: {n_items} item(s) have {min_support} or more training events, two are needed to rank; "
            "use more data or a lower min_support."
        )


def _require_targets(name: str, part: str, sessions: Sessions) -> None:
    if sessions.n_targets == 0:
        raise DataError(
            f"{name}: the {part} part has no event to predict; every part needs a session of two or more events "
            "with items seen in training. Use more sessions or a lower min_support."
        )
