"""Under which choices does a variant win? A claim looked at again with one choice of the protocol changed at a time.

The choices: the metric and its cutoff (all combinations), the rule for ties, the rivals (ID-only networks of its
capacity, or other heads, in place of the claim's), and which test events count, by how often the target occurs in
training, by how many events of the session came before it, by the length of the session, and by whether the session
had the item before. The intervals are
descriptive: 95% each, not corrected for their number, and nothing is pooled over choices. Verdicts come from
`decision.py` alone; a claim is sturdy where these rows agree with it.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gru4recf.claims import UNTRAINED
from gru4recf.errors import StudyError
from gru4recf.evidence import rank_columns, rank_matrix, slice_by_support, tie_matrix, trained_networks
from gru4recf.intervals import interval
from gru4recf.metrics import CUTOFFS, METRICS, PRIMARY, per_event
from gru4recf.statistics import Contrast, bootstrap, session_sums
from gru4recf.verdicts import VERDICTS, decide, judge

AS_BUILT = "as built"
TIE_RULES = {"half ahead": 0.0, "all ahead (conservative)": 0.5, "none ahead (optimistic)": -0.5}
"""Rule -> what is added to a rank, in units of the number of other items with the target's score; the protocol's is
the first."""
EVENTS_BEFORE = {"1": (1, 1), "2": (2, 2), "3 to 5": (3, 5), "6 or more": (6, np.inf)}
SESSION_LENGTHS = {"2": (2, 2), "3 to 5": (3, 5), "6 to 10": (6, 10), "11 or more": (11, np.inf)}
N_SLICES = 5
UNDEFINED = "not defined"
COLUMNS = ["dataset", "claim", "choice", "value", "protocol", "better", "worse", "metric"]
COLUMNS += ["relative", "low", "high", "n_events", "verdict"]


@dataclass(frozen=True)
class Case:
    """The protocol with one choice changed."""

    choice: str
    value: str
    rivals: Sequence[str]
    metrics: Sequence[str] = PRIMARY


def sensitivity(
    events: pd.DataFrame,
    *,
    dataset: str,
    claim: str,
    better: str,
    rivals: Mapping[str, Sequence[str]],
    strategy: str = "simultaneous",
    n_draws: int = 2000,
    seed: int = 0,
    alpha: float = 0.05,
    smallest_effect: float = 0.02,
) -> pd.DataFrame:
    """Return one row per choice, rival and metric on one data set: how much better than the rival `better` is.

    Args:
        events: the evidence's ranks of the data set: `session`, `position` (1 is a session's first event), `target`,
            `support`, `session_length`, and columns of ranks VARIANT/STRATEGY/SEED; VARIANT/STRATEGY/SEED/ties, where
            there is one, is the number of other items with the target's score.
        dataset: name of the data set.
        claim: name of the claim.
        better: the variant that the claim says is better.
        rivals: name ("as built", which is the protocol's, "ID-only, equal parameters", ...) -> the variants it is
            compared with. Of those not as built, variants without ranks are left out.
        strategy: the training strategy of all of them.
        n_draws: bootstrap draws of each row.
        seed: the same seed gives the same numbers.
        alpha: 1 - level of the intervals.
        smallest_effect: relative differences within it are called equivalent.

    Returns:
        The columns of `COLUMNS`. `protocol` marks the rows of the protocol's own choice; `verdict` is supported,
        refuted, equivalent or inconclusive by this row's interval alone, and "not defined", with missing numbers, where
        the rival has no hits. A slice of fewer than two sessions has no row.

    Raises:
        StudyError: when no rivals "as built" are named, or they or `better` have no ranks.
    """
    if not rivals.get(AS_BUILT):
        raise StudyError(
            f"{dataset}: name the rivals of {better} under {AS_BUILT!r}; the protocol compares with these."
        )
    for variant in (better, *rivals[AS_BUILT]):
        if not rank_columns(events, variant, strategy):
            raise StudyError(f"{dataset}: no ranks of {variant} with {strategy} training; run it there first.")
    rows = []
    for part, ties, cases in _cases(events, rivals, strategy):
        rng = np.random.default_rng([seed, zlib.crc32(dataset.encode())])  # so that equal cases have equal numbers
        contrasts = _contrasts(part, ties, cases, better, strategy, n_draws, rng)
        for case, worse, metric in ((c, w, m) for c in cases for w in c.rivals for m in c.metrics):
            names = {"dataset": dataset, "claim": claim, "choice": case.choice, "value": case.value}
            names |= {"better": better, "worse": worse, "metric": metric, "n_events": len(part)}
            rows.append(names | _numbers(contrasts.get((worse, metric)), alpha, smallest_effect))
    frame = pd.DataFrame(rows)
    own = frame["choice"].eq("metric") & frame["metric"].isin(PRIMARY)
    own |= frame["value"].isin([next(iter(TIE_RULES)), AS_BUILT])
    return frame.assign(protocol=own)[COLUMNS]


def where_it_wins(choices: pd.DataFrame, smallest_effect: float = 0.02) -> pd.DataFrame:
    """Return one row per choice: on which data sets the claim would come out how, by that choice's intervals alone.

    Args:
        choices: what `sensitivity` returns, of one claim and one or more data sets.
        smallest_effect: as there.

    Returns:
        `choice`, `value` (of a slice without its range, which differs between data sets), `own` (the protocol's own
        choice, all of it) and a list of data sets under each verdict.
    """
    rows = choices[choices["verdict"] != UNDEFINED]
    rows = rows.assign(value=label_of(rows["value"]))
    rows["within"] = rows["low"].ge(-smallest_effect) & rows["high"].le(smallest_effect)
    rows = rows.iloc[np.argsort(pd.factorize(rows["choice"])[0], kind="stable")]
    table = []
    for (choice, value), own in rows.groupby(["choice", "value"], sort=False):
        by_dataset = own.groupby("dataset", sort=False)
        found = {name: decide(list(one["verdict"]), list(one["within"]))[0] for name, one in by_dataset}
        named = {verdict: [name for name in found if found[name] == verdict] for verdict in VERDICTS}
        whole = own["protocol"].all() and set(own["metric"]) == set(PRIMARY)
        table.append({"choice": choice, "value": value, "own": whole, **named})
    return pd.DataFrame(table)


def label_of(values: pd.Series) -> pd.Series:
    """Return the values without the range of a slice, which stands behind a colon and differs between data sets."""
    return values.str.partition(":")[0]


def _cases(
    events: pd.DataFrame, rivals: Mapping[str, Sequence[str]], strategy: str
) -> Iterator[tuple[pd.DataFrame, float, list[Case]]]:
    """Yield test events, what ties add to their ranks (see `TIE_RULES`), and the choices looked at with these."""
    own = list(rivals[AS_BUILT])
    names = [f"{name}@{k}" for k in CUTOFFS for name in METRICS]
    present = {value: [v for v in others if rank_columns(events, v, strategy)] for value, others in rivals.items()}
    by_ties = {ties: [Case("items with the target's score", value, own)] for value, ties in TIE_RULES.items()}
    by_ties[0.0] = [Case("metric", name, own, [name]) for name in names] + by_ties[0.0]
    by_ties[0.0] += [Case("rivals", value, variants) for value, variants in present.items() if variants]
    for ties, cases in by_ties.items():
        yield events, ties, cases
    repeats = {"target in the session before": by_repeat(events)}
    for choice, slices in {**_by_support(events), **by_place(events), **repeats}.items():
        for value, part in slices.items():
            if part["session"].nunique() > 1:
                yield part, 0.0, [Case(choice, value, own)]


def _by_support(events: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    seen = events[events["support"] > 0]
    by_support = slice_by_support(seen, N_SLICES) if len(seen) else seen.assign(slice=0)
    support = {"never": events[events["support"] == 0]}
    for place, part in by_support.groupby("slice"):
        ends = dict.fromkeys(f"{value:,}" for value in (part["support"].min(), part["support"].max()))
        support[f"fifth {place + 1}: {' to '.join(ends)}"] = part.drop(columns="slice")
    return {"target in training, rarest first": support}


def by_place(events: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Return choice -> name -> test events, by how many came before them in the session and by its length."""
    return {
        "events before the target": _between(events, events["position"] - 1, EVENTS_BEFORE),
        "length of the session": _between(events, events["session_length"], SESSION_LENGTHS),
    }


def by_repeat(events: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the test events whose target the session had before and the others; none where it cannot be told."""
    if not all(rank_columns(events, variant) for variant in ("popularity", "session_popularity")):
        return {}
    again = repeated(events)
    return {"repeat": events[again], "new": events[~again]}


def repeated(events: pd.DataFrame) -> np.ndarray:
    """Return which targets their session had before (n_events,), read off the ranks of the two popularities.

    A session's first event is no target, so that earlier targets do not tell all. But popularity in the session puts
    what it had before above all else, and nothing else rises. So a target is a repeat where this ranks it higher than
    popularity does. Missed is one that was the first event alone and is so popular that it cannot rise.
    """
    usual, in_session = (rank_matrix(events, name)[0] for name in ("popularity", "session_popularity"))
    earlier = events.sort_values(["session", "position"]).duplicated(["session", "target"])
    return (in_session < usual) | earlier.reindex(events.index).to_numpy()


def _between(events: pd.DataFrame, values: pd.Series, bounds: Mapping[str, tuple[float, float]]) -> dict:
    return {name: events[values.between(low, high)] for name, (low, high) in bounds.items()}


def _contrasts(
    events: pd.DataFrame,
    ties: float,
    cases: Sequence[Case],
    better: str,
    strategy: str,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], Contrast]:
    """Return (rival, metric) -> contrast for all cases with one resampling; none where the rival has no hits."""
    codes = pd.factorize(events["session"])[0]
    keys = dict.fromkeys((rival, metric) for case in cases for rival in case.rivals for metric in case.metrics)
    metrics = dict.fromkeys(metric for _, metric in keys)
    variants = dict.fromkeys([better, *(rival for rival, _ in keys), *trained_networks(events, strategy)])
    ranks = {variant: _ranks(events, variant, strategy, ties) for variant in variants}
    sums = {(v, m): session_sums(per_event(m, values), codes) for v, values in ranks.items() for m in metrics}
    defined = {key: ((better, key[1]), key) for key in keys if sums[key].any()}
    found = bootstrap(sums, np.bincount(codes), defined.values(), n_draws=n_draws, rng=rng, apart=UNTRAINED)
    return {key: found[pair] for key, pair in defined.items()}


def _numbers(contrast: Contrast | None, alpha: float, smallest_effect: float) -> dict:
    if contrast is None:
        return {"relative": np.nan, "low": np.nan, "high": np.nan, "verdict": UNDEFINED}
    low, high = interval(contrast.relative_draws, alpha)
    verdict = judge(low, high, within=-smallest_effect <= low and high <= smallest_effect)
    return {"relative": contrast.relative, "low": low, "high": high, "verdict": verdict}


def _ranks(events: pd.DataFrame, variant: str, strategy: str, ties: float) -> np.ndarray:
    """Return ranks (n_seeds, n_events), moved by `ties` times the number of other items with the same score."""
    ranks = rank_matrix(events, variant, strategy)
    return ranks + ties * tie_matrix(events, variant, strategy) if ties else ranks
