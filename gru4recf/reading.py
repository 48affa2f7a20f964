"""The words and small tables around the figures of a report, all generated from evidence and verdict."""

from typing import Any

import pandas as pd

from gru4recf.data.datasheet import datasheet, names
from gru4recf.evidence import Evidence

FEW_SEEDS = 5


def opening(evidence: Evidence, verdict: dict[str, Any]) -> str:
    """Return the verdict as Markdown: each claim, what it came to on each data set, and what limits it."""
    parts = [f"# {evidence.study['title']}"]
    for name, claim in verdict["overall"].items():
        parts.append(f"**{name.replace('_', ' ')}.** {claim['text']}")
        lines = [f"> {_word(found)} {found['sentence']}" for found in claim["datasets"].values()]
        parts.append("\n>\n".join(lines))
    parts.append(limits(evidence, verdict))
    return "\n\n".join(parts)


def _word(found: dict[str, Any]) -> str:
    return f"**{found['verdict']}{', negligible' if found['negligible'] else ''}** —"


def limits(evidence: Evidence, verdict: dict[str, Any]) -> str:
    """Return what a reader must know before believing the verdict: few seeds, missing data sets, unfinished runs."""
    notes = []
    if evidence.study["seeds"] < FEW_SEEDS:
        notes.append(
            f"This study makes do with {evidence.study['seeds']} seeds; the intervals are the wider for it, and "
            "differences near their edge want more seeds (`--seeds`)."
        )
    if cut := sorted(set(_at_limit(evidence)["variant"])):
        notes.append(f"Runs of {', '.join(cut)} ended at their epoch limit and might have improved further.")
    notes += [f"{label} is not decided: {reason}." for label, reason in verdict["undecided"].items()]
    for label, reason in evidence.datasets["unavailable"].items():
        notes.append(f"The data set {label} could not be had here: {reason}")
    notes.append(
        "No variant was tuned: all share the same settings. A combination of two networks also has more parameters "
        "than one; see the table of results."
    )
    return "\n".join(f"* {note}" for note in notes)


def _at_limit(evidence: Evidence) -> pd.DataFrame:
    return evidence.results[evidence.results["at_epoch_limit"] & (evidence.results["epochs"] > 0)]


def datasets_table(evidence: Evidence) -> pd.DataFrame:
    """Return one row per data set: counts, licence and digest."""
    rows = {}
    for label, facts in evidence.datasets["available"].items():
        counts = facts["counts"]
        sheet = datasheet(facts["dataset"]) if facts["dataset"] in names() else None
        rows[label] = {
            "source": sheet.title if sheet else "own data",
            "licence": sheet.licence if sheet else "",
            "items": f"{counts['items']:,}",
            **{f"{part} events": f"{counts[f'{part} events']:,}" for part in ("train", "validation", "test")},
            "targets": f"{counts['test targets']:,}",
            "not ranked": f"{counts['test targets not ranked']:,}",
            "SHA-256": facts["data_sha256"][:16],
        }
    return pd.DataFrame(rows).T.rename_axis("data set")


def citations(evidence: Evidence) -> str:
    """Return the citation of every registered data set as a Markdown list."""
    used = dict.fromkeys(facts["dataset"] for facts in evidence.datasets["available"].values())
    sheets = [datasheet(name) for name in used if name in names()]
    return "\n".join(f"* {sheet.name}: {sheet.citation} Licence: {sheet.licence}." for sheet in sheets)


def settings_table(evidence: Evidence) -> pd.DataFrame:
    """Return every setting, one column per data set."""
    settings = {label: facts["settings"] for label, facts in evidence.datasets["available"].items()}
    return pd.DataFrame(settings, dtype=object).rename_axis("setting")


def versions_table(evidence: Evidence) -> pd.DataFrame:
    """Return the versions the runs were made with, and the digest of the code that decided them."""
    facts = next(iter(evidence.datasets["available"].values()))
    versions = {**facts["versions"], "code SHA-256": facts["code_sha256"][:16]}
    return pd.Series(versions, name="version").to_frame()
