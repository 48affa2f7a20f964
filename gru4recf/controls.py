"""Controls: what each should show, what it showed, and whether it came out right.

A verdict is believed where they do: a network that learnt nothing is at chance, popularity is at its closed form,
features of other items bring nothing, the networks of equal size have that size, and on generated data features pay
exactly where they tell something. Two more rows have nothing to pass: they say what width alone, and a second network
alone, bring.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from gru4recf.comparison import FLOOR, means
from gru4recf.evidence import Evidence, n_parameters, rank_columns, rank_matrix, tie_matrix
from gru4recf.gains import EQUAL_SIZE, REFERENCE, gains
from gru4recf.metrics import PRIMARY
from gru4recf.wording import percent

ALPHA = 0.05
CUTOFF = 20
FUSION = "parallel_concat"
EQUAL_FUSIONS = ("concat_input_matched", "weighted_sum_matched")
EQUAL = 0.02
"""Relative difference up to which two numbers of parameters are equal."""
TWIN = "parallel_item_twice"


@dataclass(frozen=True)
class Check:
    """One control on one data set; `passed` is None where there is nothing to pass."""

    dataset: str
    control: str
    should: str
    showed: str
    passed: bool | None


def control_panel(evidence: Evidence) -> list[Check]:
    """Return all controls that the study's runs allow, in the order of its data sets."""
    checks: list[Callable[[Evidence, str], Check | None]] = [
        *(_untrained, _popularity, _permuted, _permuted_twin, _others_features, _equal_size, _width, _item_twice),
    ]
    found = [check(evidence, label) for label in evidence.real for check in checks]
    found += [_generated(evidence, label, kind) for label, kind in evidence.controls.items()]
    return [check for check in found if check is not None]


def as_rows(checks: list[Check]) -> list[dict]:
    """Return the controls as `verdict.json` holds them."""
    return [asdict(check) for check in checks]


def _has(evidence: Evidence, label: str, *variants: str) -> bool:
    return all(rank_columns(evidence.ranks[label], variant) for variant in variants)


def _untrained(evidence: Evidence, label: str) -> Check | None:
    n_items = evidence.datasets["available"][label]["counts"]["items"]
    if not _has(evidence, label, "parallel_untrained") or n_items <= CUTOFF:
        return None
    # one of many intervals of 95% is bound to miss: together they hold 95% (Bonferroni)
    alpha = ALPHA / sum(_has(evidence, other, "parallel_untrained") for other in evidence.real)
    (row,) = means(evidence, label, ["parallel_untrained"], [f"Recall@{CUTOFF}"], alpha)
    chance = CUTOFF / n_items
    showed = f"Recall@{CUTOFF} {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
    should = f"chance, {CUTOFF} of {n_items:,} items: {chance:.4f}, in an interval of {1 - alpha:.1%}"
    return Check(label, "untrained network", should, showed, bool(row["low"] <= chance <= row["high"]))


def _popularity(evidence: Evidence, label: str) -> Check | None:
    """Judge popularity by its closed form: items with s training events share the places after those with more.

    The ranks alone so tell how many items have s events, for each s of a target. Items between two such s have some
    number of events in between, so that all of them together must make up the training events.
    """
    if not _has(evidence, label, FLOOR):
        return None
    frame, counts = evidence.ranks[label], evidence.datasets["available"][label]["counts"]
    half = tie_matrix(frame, FLOOR)[0] / 2
    rank = rank_matrix(frame, FLOOR)[0]
    places = pd.DataFrame({"support": frame["support"], "first": rank - half, "last": rank + half}).drop_duplicates()
    places = places.sort_values("support", ascending=False)
    support, first, last = (places[name].to_numpy(np.float64) for name in places)
    between = np.append(first, counts["items"] + 1) - np.insert(last, 0, 0) - 1  # items no target has the support of
    known = (support * (last - first + 1)).sum()
    fewest = known + (between * np.append(support + 1, 1)).sum()
    most = known + (between * (np.insert(support, 0, counts["train events"] + 1) - 1)).sum()
    ordered = places["support"].is_unique and (between >= 0).all() and (between % 1 == 0).all()
    passed = bool(ordered and fewest <= counts["train events"] <= most)
    told = f"{fewest:,.0f}" if fewest == most else f"{fewest:,.0f} to {most:,.0f}"
    should = "ranks by training events alone, which account for all of these"
    showed = f"{len(places):,} ranks, which account for {told} of {counts['train events']:,}"
    return Check(label, "popularity", should, showed, passed)


def _permuted(evidence: Evidence, label: str) -> Check | None:
    return _no_gain(evidence, label, "features of other items", EQUAL_SIZE)


def _permuted_twin(evidence: Evidence, label: str) -> Check | None:
    """Judge the same against two networks: a second one may pay without any features, and no rule allows for that."""
    return _no_gain(evidence, label, "features of other items, two networks", TWIN)


def _no_gain(evidence: Evidence, label: str, control: str, rival: str) -> Check | None:
    if not _has(evidence, label, "parallel_permuted", rival):
        return None
    rows = _primary(evidence, label, "parallel_permuted", rival)
    return Check(label, control, f"no gain over {rival}", _told(rows), not any(row["low"] > 0 for row in rows))


def _equal_size(evidence: Evidence, label: str) -> Check | None:
    variants = [v for v in (EQUAL_SIZE, *EQUAL_FUSIONS) if _has(evidence, label, v, FUSION)]
    if not variants:
        return None
    wanted = n_parameters(evidence, label, FUSION)
    sizes = {variant: n_parameters(evidence, label, variant) for variant in variants}
    showed = "; ".join(f"{variant} {size:,} of {wanted:,}: {size / wanted:.1%}" for variant, size in sizes.items())
    should = f"networks with as many parameters as {FUSION}, within {EQUAL:.0%}"
    passed = all(abs(size - wanted) <= EQUAL * wanted for size in sizes.values())
    return Check(label, "equal parameters", should, showed, passed)


def _width(evidence: Evidence, label: str) -> Check | None:
    variants = [v for v in ("id_only_wide", EQUAL_SIZE) if _has(evidence, label, v, REFERENCE)]
    if not variants:
        return None
    told = "; ".join(f"{variant} {_told(_primary(evidence, label, variant, REFERENCE))}" for variant in variants)
    return Check(label, "width alone", f"what more units bring to {REFERENCE} without features", told, None)


def _item_twice(evidence: Evidence, label: str) -> Check | None:
    return _measured(evidence, label, "the item twice", "what two networks without features bring over others", TWIN)


def _others_features(evidence: Evidence, label: str) -> Check | None:
    """Measure what the control that must not gain loses: the further below, the less it can fail."""
    return _measured(evidence, label, "cost of other items' features", "what they bring, or cost", "parallel_permuted")


def _measured(evidence: Evidence, label: str, control: str, should: str, variant: str) -> Check | None:
    rivals = [rival for rival in (REFERENCE, EQUAL_SIZE) if _has(evidence, label, variant, rival)]
    if not rivals:
        return None
    told = "; ".join(f"over {rival} {_told(_primary(evidence, label, variant, rival))}" for rival in rivals)
    return Check(label, control, should, told, None)


def _generated(evidence: Evidence, label: str, kind: str) -> Check | None:
    if not _has(evidence, label, FUSION, REFERENCE):
        return None
    rows = _primary(evidence, label, FUSION, REFERENCE)
    gained = [row["low"] > 0 for row in rows]
    if kind == "positive":
        return Check(label, "telling features", f"{FUSION} above {REFERENCE}", _told(rows), all(gained))
    return Check(label, "useless features", f"{FUSION} not above {REFERENCE}", _told(rows), not any(gained))


def _primary(evidence: Evidence, label: str, better: str, worse: str) -> list[dict]:
    return [row for metric in PRIMARY for row in gains(evidence.ranks[label], [better], worse, metric)]


def _told(rows: list[dict]) -> str:
    if not rows:
        return "nothing to compare: the metric is zero"
    return ", ".join(
        f"{row['metric']} {percent(row['relative'])} [{percent(row['low'])}, {percent(row['high'])}]" for row in rows
    )
