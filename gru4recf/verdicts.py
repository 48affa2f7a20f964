"""From intervals to verdicts: the last step of the decision rule.

A contrast is

* supported: its Holm-corrected interval lies above zero;
* refuted: it lies below zero;
* equivalent: neither, and its 95% interval of the relative difference lies within the smallest effect of interest;
* inconclusive: anything else.

The textbook's two one-sided tests at 5% each call equivalent what has its 90% interval within the smallest effect. The
protocol is stricter, 95%, and it alone gives verdicts; `p_equivalence` of the two tests stands beside it, uncorrected.

The claim is, in this order, supported where all contrasts are; refuted where some contrast is; equivalent where all
relative intervals lie within the smallest effect; else inconclusive. A supported or refuted contrast may lie within the
smallest effect too: it stays what it is and is called negligible, and so is the claim when every contrast that decided
it is.

So *supported* and *refuted* are corrected for the whole family, and *equivalent* is not: it asks nothing of the
corrected interval but that it holds zero.
"""

from collections.abc import Sequence

from gru4recf.claims import Claim
from gru4recf.wording import claim_sentence, count_sentence

VERDICTS = ("supported", "refuted", "equivalent", "inconclusive")


def judge(low: float, high: float, *, within: bool) -> str:
    """Return the verdict on one contrast: its Holm-corrected interval, and is it `within` the smallest effect?"""
    if low > 0:
        return "supported"
    if high < 0:
        return "refuted"
    return "equivalent" if within else "inconclusive"


def decide(verdicts: Sequence[str], within: Sequence[bool]) -> tuple[str, bool, list[int]]:
    """Return the verdict on a claim on one data set, whether it is negligible, and the contrasts that decided it."""
    every = list(range(len(verdicts)))
    if all(verdict == "supported" for verdict in verdicts):
        return "supported", all(within), every
    refuting = [i for i in every if verdicts[i] == "refuted"]
    if refuting:
        return "refuted", all(within[i] for i in refuting), refuting
    if all(within):
        return "equivalent", False, every
    return "inconclusive", False, [i for i in every if verdicts[i] != "supported"]


def overall(claim: Claim, rows: Sequence[dict]) -> dict:
    """Return the verdict on a claim per data set, and their count."""
    datasets = {}
    for name in dict.fromkeys(row["dataset"] for row in rows):
        mine = [row for row in rows if row["dataset"] == name]
        verdict, negligible, deciding = decide([row["verdict"] for row in mine], [row["within"] for row in mine])
        decided_by = [mine[i] for i in deciding]
        datasets[name] = {
            "verdict": verdict,
            "negligible": negligible,
            "better": mine[0]["better"],
            "decided_by": [{"worse": row["worse"], "metric": row["metric"]} for row in decided_by],
            "sentence": claim_sentence(verdict, negligible, decided_by, len(mine)),
        }
    found = {name: entry["verdict"] for name, entry in datasets.items()}
    counts = {verdict: sum(value == verdict for value in found.values()) for verdict in VERDICTS}
    return {"text": claim.text, "datasets": datasets, "counts": counts, "sentence": count_sentence(claim.name, found)}
