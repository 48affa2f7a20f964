"""Controls: what each should show, what it showed, and whether it came out right.

A verdict is believed where they do: a network that learnt nothing is at chance, popularity is what it says, features
of other items bring nothing, the network of equal size has that size, and on generated data features pay exactly
where they tell something. Two more rows have nothing to pass: they say what width alone, and a second network alone,
bring.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from gru4recf.comparison import FLOOR, means
from gru4recf.evidence import Evidence, n_parameters, rank_columns, rank_matrix
from gru4recf.gains import REFERENCE, gains
from gru4recf.metrics import PRIMARY
from gru4recf.wording import percent

ALPHA = 0.05
CUTOFF = 20
FUSION = "parallel_concat"
EQUAL_SIZE = "id_only_matched"
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
        *(_untrained, _popularity, _permuted, _permuted_twin, _equal_size, _width, _item_twice),
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
    if not _has(evidence, label, FLOOR):
        return None
    frame = evidence.ranks[label]
    pairs = pd.DataFrame({"support": frame["support"], "rank": rank_matrix(frame, FLOOR)[0]}).drop_duplicates()
    ranks = pairs.sort_values("support")["rank"].to_numpy()
    passed = bool(pairs["support"].is_unique and (np.diff(ranks) < 0).all())
    should = "a rank that depends on training events alone, and falls with each one more"
    showed = f"{len(pairs):,} ranks for {pairs['support'].nunique():,} numbers of training events" + (
        ", in order" if passed else ", not in order"
    )
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
    if not _has(evidence, label, EQUAL_SIZE, FUSION):
        return None
    matched, wanted = (n_parameters(evidence, label, variant) for variant in (EQUAL_SIZE, FUSION))
    showed = f"{matched:,} of {wanted:,}: {matched / wanted:.1%}"
    should = f"{EQUAL_SIZE} with as many parameters as {FUSION}, within {EQUAL:.0%}"
    return Check(label, "equal parameters", should, showed, bool(abs(matched - wanted) <= EQUAL * wanted))


def _width(evidence: Evidence, label: str) -> Check | None:
    variants = [v for v in ("id_only_wide", EQUAL_SIZE) if _has(evidence, label, v, REFERENCE)]
    if not variants:
        return None
    told = "; ".join(f"{variant} {_told(_primary(evidence, label, variant, REFERENCE))}" for variant in variants)
    return Check(label, "width alone", f"what more units bring to {REFERENCE} without features", told, None)


def _item_twice(evidence: Evidence, label: str) -> Check | None:
    if not _has(evidence, label, TWIN, EQUAL_SIZE):
        return None
    told = _told(_primary(evidence, label, TWIN, EQUAL_SIZE))
    return Check(label, "the item twice", f"what two networks without features bring over {EQUAL_SIZE}", told, None)


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
