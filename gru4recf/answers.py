"""The two questions of a study, answered per data set: is concatenating two networks best, and do features pay?

What a reader sees first. Differences come with descriptive 95% intervals; the verdicts beside them are those of the
study's claims.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from gru4recf import winners
from gru4recf.claims import DatasetRanks, best_of
from gru4recf.comparison import dataset_ranks, events_per_item, family
from gru4recf.controls import EQUAL_FUSIONS, TWIN
from gru4recf.evidence import Evidence, datasets_of, n_parameters
from gru4recf.gains import EQUAL_SIZE, REFERENCE, gains
from gru4recf.metrics import PRIMARY
from gru4recf.models import BASELINES
from gru4recf.results import find_in_checkout
from gru4recf.sensitivity import AS_BUILT, sensitivity
from gru4recf.settings import Settings
from gru4recf.wording import percent

CANDIDATE = "parallel_concat"
FUSIONS = ("concat_input", "parallel_concat", "weighted_sum", "parallel_scores", "interaction")
ALL_FUSIONS = (*FUSIONS, *EQUAL_FUSIONS)
"""Those of the claims, and two of them once more as large as `parallel_concat`, as networks without features are."""
FEATURELESS = (REFERENCE, "id_only_wide", EQUAL_SIZE, TWIN)
ALONE = "feature_only"
OVER_BEST, OVER_PLAIN, OVER_TWIN = "the best network without features", "ID-only", "its twin without features"
SAME_SIZE = f"ID-only with {CANDIDATE}'s parameters"
OTHER_SAME_SIZE = f"{CANDIDATE}, best other with its parameters"
OTHER_RIVALS = {
    "ID-only, equal hidden units": ["id_only_wide"],
    "ID-only, equal parameters": [EQUAL_SIZE],
    "other fusions, equal parameters": list(EQUAL_FUSIONS),
    "the paper's own heads": ["parallel_scores", "interaction"],
}
# Settings that a study may change alone on a data set, to see whether a verdict hangs on it.
ASKED_OF = ("loss", "output")
SHOWN = "MRR@20"


def answer_table(evidence: Evidence, verdict: dict[str, Any]) -> pd.DataFrame:
    """Return one row per data set: the verdict on each claim, and the controls that failed; `parallel_concat` against
    the best other fusion, as built and with as many parameters as `parallel_concat`; the best fusion against the best
    network without features, against ID-only with as many parameters as `parallel_concat`, against features alone, and
    against the best simple baseline. What is best is chosen on validation, the best fusion among those that are as
    large as `parallel_concat`, too. In brackets the rival, and of networks its parameters in percent of the other's.
    """
    table = pd.DataFrame({label: _row(evidence, label) for label in evidence.real}).T.fillna("")
    if checks := verdict.get("controls"):
        failed = {
            label: [c["control"] for c in checks if c["dataset"] == label and c["passed"] is False]
            for label in table.index
        }
        table.insert(0, "failed controls", ["; ".join(failed[label]) or "none" for label in table.index])
    for place, (name, claim) in enumerate(verdict["overall"].items()):
        words = {label: found["verdict"] for label, found in claim["datasets"].items()}
        found = [words.get(label, "not judged") for label in table.index]
        table.insert(place, f"{name.replace('_', ' ')}?", found)
    return table.rename_axis("data set")


def _row(evidence: Evidence, label: str) -> dict[str, str]:
    data = dataset_ranks(evidence, label)
    fusions, baselines, others = _present(FUSIONS, data), _present(BASELINES, data), _featureless(evidence, data)
    row = {"events per item": f"{events_per_item(evidence, label):.0f}", "targets ranked": _ranked(evidence, label)}
    rivals = tuple(fusion for fusion in fusions if fusion != CANDIDATE)
    if CANDIDATE in fusions and rivals:
        row[f"{CANDIDATE}, best other fusion"] = _against(evidence, label, CANDIDATE, best_of(rivals, data))
    if CANDIDATE in fusions and (matched := tuple(_present(EQUAL_FUSIONS, data))):
        row[OTHER_SAME_SIZE] = _against(evidence, label, CANDIDATE, best_of(matched, data))
    if fusions:
        row["best fusion"] = best_fusion(data)
    if OVER_BEST in (pairs := _pairs(evidence, data)):
        row["best fusion, best without features"] = _against(evidence, label, *pairs[OVER_BEST])
    if fusions and EQUAL_SIZE in others:
        row[f"best fusion, {SAME_SIZE}"] = _against(evidence, label, row["best fusion"], EQUAL_SIZE, named=False)
    if fusions and ALONE in data.ranks:
        row["best fusion, features alone"] = _against(evidence, label, row["best fusion"], ALONE, named=False)
    if fusions and baselines:
        best = best_of(tuple(baselines), data)
        row["best fusion, best simple baseline"] = _against(evidence, label, row["best fusion"], best)
    return row


def worth_of_features(evidence: Evidence, metrics: Sequence[str] = PRIMARY) -> pd.DataFrame:
    """Return what features bring on each data set, by training events per item.

    Three times: the best fusion over the best network without features (ID-only, as it is, wider, with equal
    parameters, or two networks that read the item), both chosen on validation; the best fusion over ID-only as it is,
    one rival for all; and `parallel_concat` over its twin that reads the item twice, alike in all but what it reads.

    Columns: dataset, family, search (that the settings are from), events_per_item, over, better, worse, metric,
    relative, low, high (95%, not corrected).
    """
    rows, entries = [], datasets_of(evidence.study)
    for label in evidence.real:
        data = dataset_ranks(evidence, label)
        searched_on = (entries[label]["tuned_as"] or label) if evidence.study["tuned"] else ""
        facts = {"dataset": label, "family": family(evidence, label), "search": searched_on}
        facts["events_per_item"] = events_per_item(evidence, label)
        for over, (better, worse) in _pairs(evidence, data).items():
            for metric in metrics:
                rows += [
                    {**facts, "over": over, **row} for row in gains(evidence.ranks[label], [better], worse, metric)
                ]
    return pd.DataFrame(rows)


def _pairs(evidence: Evidence, data: DatasetRanks) -> dict[str, tuple[str, str]]:
    """Return what is compared to see what features bring, as far as it was run."""
    fusions, others = _present(ALL_FUSIONS, data), _featureless(evidence, data)
    pairs = {OVER_BEST: (best_fusion(data), best_of(tuple(others), data))} if fusions and others else {}
    if fusions and REFERENCE in others:
        pairs[OVER_PLAIN] = (best_fusion(data), REFERENCE)
    if CANDIDATE in fusions and TWIN in others:
        pairs[OVER_TWIN] = (CANDIDATE, TWIN)
    return pairs


def choices(evidence: Evidence) -> pd.DataFrame:
    """Return under which choices `parallel_concat` is above its rivals, see `sensitivity`; no rows without a claim."""
    claims = [claim for claim in evidence.study["claims"] if list(claim["better"]) == [CANDIDATE]]
    frames = []
    for label in evidence.real:
        ranks = dataset_ranks(evidence, label).ranks
        for claim in claims:
            if {CANDIDATE, *claim["worse"]} <= set(ranks):
                names = {"dataset": label, "claim": claim["name"], "better": CANDIDATE}
                rivals = {AS_BUILT: claim["worse"], **OTHER_RIVALS}
                frames.append(sensitivity(evidence.ranks[label], **names, rivals=rivals))
    if not frames:
        return pd.DataFrame()
    found = pd.concat(frames, ignore_index=True)
    return pd.concat([found, *_under_other_settings(evidence, found)], ignore_index=True)


def _under_other_settings(evidence: Evidence, found: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the protocol's rows of data sets that differ from another by one setting alone as a choice of that one."""
    settings = {label: evidence.datasets["available"][label]["settings"] for label in evidence.real}
    sources = {label: evidence.datasets["available"][label]["dataset"] for label in evidence.real}
    own = found[(found["value"] == AS_BUILT)]
    for name in ASKED_OF:
        for label, other in itertools.permutations(settings, 2):
            differing = {key for key in settings[label] if settings[label][key] != settings[other].get(key)}
            usual = settings[label].get(name) == getattr(Settings(), name)
            if sources[label] == sources[other] and usual and differing == {name}:
                for shown, protocol in ((label, True), (other, False)):
                    new = {"dataset": label, "choice": name, "value": settings[shown][name], "protocol": protocol}
                    yield own[own["dataset"] == shown].assign(**new)


def trials(evidence: Evidence) -> pd.DataFrame:
    """Return all tuning trials behind the settings of the data sets with runs; no rows where none are tuned."""
    if not evidence.study["tuned"]:
        return pd.DataFrame()
    entries = datasets_of(evidence.study)
    shown_as = [entries[label]["tuned_as"] or label for label in entries if label in evidence.real]
    folder = find_in_checkout("studies") / "tuned"
    return pd.concat([winners.read_trials(folder, label) for label in dict.fromkeys(shown_as)], ignore_index=True)


def best_fusion(data: DatasetRanks) -> str:
    """Return the fusion that is best on validation, among those that are as large as `parallel_concat`, too."""
    return best_of(tuple(_present(ALL_FUSIONS, data)), data)


def _present(names: Sequence[str], data: DatasetRanks) -> list[str]:
    return [name for name in names if name in data.ranks]


def _featureless(evidence: Evidence, data: DatasetRanks) -> list[str]:
    """Return the networks that know no features: none where all of them score items by features (`output_features`)."""
    settings = evidence.datasets["available"][data.dataset]["settings"]
    return [] if settings["output_features"] else _present(FEATURELESS, data)


def _ranked(evidence: Evidence, label: str) -> str:
    """Return the share of the test part's targets whose item training has seen, so that they are ranked."""
    counts = evidence.datasets["available"][label]["counts"]
    return f"{counts['test targets'] / (counts['test targets'] + counts['test targets not ranked']):.1%}"


def _against(evidence: Evidence, label: str, better: str, worse: str, *, named: bool = True) -> str:
    rows = gains(evidence.ranks[label], [better], worse, SHOWN)
    if not rows:
        return ""
    size = n_parameters(evidence, label, worse) / n_parameters(evidence, label, better)
    rival = ", ".join([worse] * named + [f"{size:.0%}"] * bool(size))
    return f"{percent(rows[0]['relative'])} [{percent(rows[0]['low'])}, {percent(rows[0]['high'])}] ({rival})"
