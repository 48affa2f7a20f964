"""Turn rows of `verdict.json` into sentences, so that no number in a text is typed by hand."""

import math
from collections.abc import Mapping, Sequence

from gru4recf.power import MOST, MoreEvidence
from gru4recf.statistics import Contrast

SCOPE = {
    "supported": "on {deciding} of {all} contrasts{negligible}, the weakest shown",
    "refuted": "by {deciding} of {all} contrasts, the strongest shown",
    "equivalent": "on {deciding} of {all} contrasts, the lowest shown",
    "inconclusive": (
        "with {supported} of {all} contrasts supported, {equivalent} equivalent, {open} open, the lowest{kind} shown"
    ),
}
DECIDES = {
    "supported": "support this contrast",
    "refuted": "refute this contrast",
    "equivalent": "show the two equivalent",
}


def percent(value: float) -> str:
    """Return a signed percentage with one decimal; 0.0083 reads +0.8%, and -0.0001 reads -0.0%: what an interval leaves
    out is to be seen.
    """
    return f"{100 * value + 0.0:+.1f}%"


def probability(value: float) -> str:
    """Return a p-value with two significant digits and no leading zero, "< .001" below that."""
    return "< .001" if value < 0.001 else f"{value:.2g}".removeprefix("0")


def contrast_sentence(row: Mapping) -> str:
    """Return effect, 95% interval, p-value, correction and sizes of one row, without the verdict."""
    p = probability(row["p_value"])
    return (
        f"{row['dataset']}: {row['better']} against {row['worse']}, {row['metric']} {percent(row['relative'])} "
        f"[{percent(row['relative_low'])}, {percent(row['relative_high'])}], p {p if p[0] == '<' else '= ' + p} "
        f"(Holm {probability(row['p_holm'])}), {row['n_sessions']:,} sessions, "
        f"{_seeds(row['n_seeds_better'], row['n_seeds_worse'])}"
    )


def claim_sentence(verdict: str, negligible: bool, deciding: Sequence[Mapping], n_contrasts: int) -> str:
    """Return the verdict on a claim on one data set, with the numbers of one contrast that decided it."""
    own = [row for row in deciding if row["verdict"] == verdict] or deciding  # what is open, not what is equivalent
    shown = min(own, key=lambda row: row["relative_high" if verdict == "refuted" else "relative_low"])
    scope = " " + SCOPE[verdict].format(**_counts(deciding, n_contrasts)) if n_contrasts > 1 else ""
    decision = f"{contrast_sentence(shown)}: {verdict}{' but negligible' if negligible else ''}{scope}."
    identical = dict.fromkeys(row["note"] for row in deciding if row["note"].endswith("identical."))
    more = [_open_sentence(shown)] if shown.get("more_evidence") else []
    return " ".join([decision, *more, *identical])


def _counts(deciding: Sequence[Mapping], n_contrasts: int) -> dict[str, str]:
    """Return how many contrasts decided, and, of a claim that they leave inconclusive, how many came to what."""
    equivalent = sum(row["verdict"] == "equivalent" for row in deciding)
    is_open = len(deciding) - equivalent
    negligible = sum(row["within"] for row in deciding)
    return {
        "deciding": str(len(deciding)),
        "all": str(n_contrasts),
        "supported": _number(n_contrasts - len(deciding)),
        "equivalent": _number(equivalent),
        "negligible": f", {negligible} of them negligible" * (0 < negligible < len(deciding)),
        "open": _number(is_open),
        "kind": " open" * bool(equivalent and is_open),
    }


def _number(n: int) -> str:
    return str(n) if n else "none"


def needed_sentence(more: MoreEvidence, n_seeds_better: int, n_seeds_worse: int) -> str:
    """Return how much more evidence would decide a contrast, and which kind of evidence would not."""
    seeds = None if more.seeds is None else f"about {_times(more.seeds)} as many seeds"
    if seeds and n_seeds_better == n_seeds_worse:
        seeds = f"about {math.ceil(more.seeds * n_seeds_better)} seeds in place of {n_seeds_better}"
    sessions = None if more.sessions is None else f"about {_times(more.sessions)} as many sessions"
    decides, single = DECIDES[more.outcome], max(n_seeds_better, n_seeds_worse) == 1
    if sessions or seeds:
        sentence = f"{' or '.join(filter(None, [sessions, seeds]))} would {decides}"
        useless = "" if sessions and (seeds or single) else f", {'seeds' if sessions else 'sessions'} alone would not"
    elif more.both is None:
        sentence, useless = f"not even {MOST:,.0f} times as much evidence would {decides}", ""
    else:
        sentence = f"about {_times(more.both)} as many sessions and seeds together would {decides}"
        useless = ", neither alone would"
    return sentence + useless + ("; what seeds would add cannot be told from one" if single else "")


def count_sentence(claim: str, verdicts: Mapping[str, str]) -> str:
    """Return on how many data sets a claim came out how, and on which."""
    parts = []
    for verdict in dict.fromkeys(verdicts.values()):
        names = [name for name, found in verdicts.items() if found == verdict]
        parts.append(f"{verdict} on {len(names)} ({', '.join(names)})")
    return f"{claim}: of {len(verdicts)} data set{'s' * (len(verdicts) != 1)}, {'; '.join(parts)}."


def note(contrast: Contrast, n_seeds: Mapping[str, int]) -> str:
    """Return what to know of a contrast, if anything: that nothing tells the two apart, or that one has one seed."""
    single = [variant for variant, count in n_seeds.items() if count == 1]
    if not contrast.difference and not contrast.variances.total:
        return f"{' and '.join(n_seeds)} have the same value in every session: their ranks are identical."
    if not single:
        return ""
    return (
        f"n_seeds=1 for {' and '.join(single)}: the interval holds the variation between sessions, not between seeds."
    )


def _open_sentence(row: Mapping) -> str:
    """Return what the design of an inconclusive contrast can find, and what would decide it."""
    size = (
        "not even a true difference of 100%"
        if row["detectable"] > 1
        else (f"a true difference of {100 * row['detectable']:.1f}%")
    )
    return (
        f"This design finds {size} four times out of five; if {percent(row['relative'])} is the truth, "
        f"{row['more_evidence']['sentence']}."
    )


def _times(factor: float) -> str:
    return f"{factor:.1f} times" if factor < 9.95 else f"{factor:,.0f} times"


def _seeds(better: int, worse: int) -> str:
    if better != worse:
        return f"{better} and {worse} seeds"
    return "1 seed (sessions only)" if better == 1 else f"{better} seeds"
