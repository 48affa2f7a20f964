"""How much better one variant is than another, on all test events of a data set or on a slice of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gru4recf.claims import UNTRAINED
from gru4recf.comparison import dataset_ranks
from gru4recf.evidence import Evidence, rank_matrix, slice_by_support, trained_networks
from gru4recf.intervals import interval
from gru4recf.metrics import per_event
from gru4recf.models import NETWORKS
from gru4recf.sensitivity import by_place, by_repeat
from gru4recf.statistics import bootstrap, session_sums

N_DRAWS = 2000
REFERENCE = "id_only"  # what gains are measured against
EQUAL_SIZE = "id_only_matched"  # gains without any feature: what parameters alone bring


def gains(frame: pd.DataFrame, better: Sequence[str], worse: str, metric: str) -> list[dict[str, Any]]:
    """Compare each variant of `better` with `worse` on the events of `frame`, all of a data set or a slice.

    Returns rows with better, worse, metric, relative, low, high (95% interval, not corrected); none where the events
    are of one session or `worse` has no hit.
    """
    codes, sessions = pd.factorize(frame["session"])
    variants = dict.fromkeys([*better, worse, *trained_networks(frame)])
    sums = {(v, metric): session_sums(per_event(metric, rank_matrix(frame, v)), codes) for v in variants}
    if len(sessions) < 2 or not sums[worse, metric].any():
        return []
    pairs = [((variant, metric), (worse, metric)) for variant in better]
    draws = {"n_draws": N_DRAWS, "rng": np.random.default_rng(0)}
    found = bootstrap(sums, np.bincount(codes), pairs, **draws, apart=UNTRAINED)
    rows = []
    for ((variant, _), _), contrast in found.items():
        low, high = interval(contrast.relative_draws)
        names = {"better": variant, "worse": worse, "metric": metric}
        rows.append({**names, "relative": contrast.relative, "low": low, "high": high})
    return rows


def gain_by_support(evidence: Evidence, metric: str = "MRR@20") -> pd.DataFrame:
    """Return, per fifth of the items by training count, how much better than ID-only each other network is, and ID-only
    with the parameters of `parallel_concat`.

    Columns: dataset, better, worse, metric, slice (0 holds the rarest items), support_low, support_high, n_events,
    relative, low, high (95% interval of the relative difference).
    """
    rows = []
    for label, networks in _beside_id_only(evidence):
        for index, part in slice_by_support(evidence.ranks[label]).groupby("slice"):
            support = {"support_low": part["support"].min(), "support_high": part["support"].max()}
            for row in gains(part, networks, REFERENCE, metric):
                rows.append({"dataset": label, "slice": index, **support, "n_events": len(part), **row})
    return pd.DataFrame(rows)


def gain_by_place(evidence: Evidence, metric: str = "MRR@20") -> pd.DataFrame:
    """Return how much better than ID-only the same networks are, by the events before the target and by the session's
    length.

    Columns: those of `gain_by_support`, with `label` (`3 to 5` events) for the support. A number is left out between
    the slices of the two kinds.
    """
    rows = []
    for label, networks in _beside_id_only(evidence):
        before, lengths = by_place(evidence.ranks[label]).values()
        slices = [*enumerate(before.items()), *enumerate(lengths.items(), len(before) + 1)]
        rows += _by_slice(label, networks, slices, metric)
    return pd.DataFrame(rows)


def gain_by_repeat(evidence: Evidence, metric: str = "MRR@20") -> pd.DataFrame:
    """Return how much better than ID-only the same networks are where the session had the target before, and where not.

    Columns: those of `gain_by_support`, with `label` (repeat, new) for the support. A data set without both kinds, or
    where they cannot be told apart, has no row.
    """
    rows = []
    for label, networks in _beside_id_only(evidence):
        slices = by_repeat(evidence.ranks[label])
        if slices and all(part["session"].nunique() > 1 for part in slices.values()):
            rows += _by_slice(label, networks, enumerate(slices.items()), metric)
    return pd.DataFrame(rows)


def _by_slice(
    dataset: str, networks: Sequence[str], slices: Iterable[tuple[int, tuple[str, pd.DataFrame]]], metric: str
) -> Iterator[dict[str, Any]]:
    for index, (name, part) in slices:
        for row in gains(part, networks, REFERENCE, metric):
            yield {"dataset": dataset, "slice": index, "label": name, "n_events": len(part), **row}


def _beside_id_only(evidence: Evidence) -> Iterator[tuple[str, list[str]]]:
    """Yield the data sets with an ID-only network, and what is shown beside it there."""
    for label in evidence.real:
        variants = dataset_ranks(evidence, label).ranks
        if REFERENCE in variants:
            others = (variant for variant in NETWORKS if variant != REFERENCE)
            yield label, [variant for variant in (*others, EQUAL_SIZE) if variant in variants]
