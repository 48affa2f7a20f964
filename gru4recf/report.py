"""The report of a study: run the comparing notebooks on its evidence and turn the last one into one HTML file.

`manifest.json` in the study's folder says from which runs and which code the report was made, so that a second call
does nothing, and holds the digest of every file that belongs to it.
"""

import hashlib
import html
import json
from pathlib import Path
from typing import Any

import nbformat

from gru4recf.collect import ranks_digests
from gru4recf.evidence import MANIFEST
from gru4recf.files import read_json, sha256_of, write_json, write_text
from gru4recf.plan import PLAN_FILE, Plan
from gru4recf.results import find_in_checkout

NOTEBOOKS = ("03-compare.ipynb", "04-figures.ipynb")
LEFT_OUT = {"parameters", "injected-parameters", "hidden"}  # tags of cells that a reader of the report does not need
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
STYLE = Path(__file__).with_name("report.css")


def is_current(plan: Plan, folder: Path) -> bool:
    """Return whether the report was made from exactly these runs by exactly this code, and is still as it was."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_json(folder / MANIFEST)
    unchanged = (_digest(folder / name) == digest for name, digest in manifest["files"].items())
    return manifest["made_from"] == _made_from(plan, folder) and all(unchanged)


def make_report(plan: Plan, folder: Path) -> None:
    """Execute 03-compare and 04-figures on the evidence in `folder` and write `report.html` and `manifest.json`."""
    from gru4recf.notebooks import run_notebook

    executed = folder / "notebooks"
    for name in NOTEBOOKS:
        run_notebook(find_in_checkout("notebooks", name), executed / name, {"study_folder": str(folder.resolve())})
    write_text(folder / "report.html", render(executed / NOTEBOOKS[-1], plan.study["title"]))
    made = sorted(p for p in folder.rglob("*") if p.is_file() and executed not in p.parents)
    files = {p.relative_to(folder).as_posix(): sha256_of(p) for p in made}
    write_json(folder / MANIFEST, {"made_from": _made_from(plan, folder), "files": files})


def render(notebook: Path, title: str) -> str:
    """Return an executed notebook as one HTML page without code, with its images inside and no link to elsewhere."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    content = nbformat.read(notebook, as_version=4)
    content.cells = [cell for cell in content.cells if LEFT_OUT.isdisjoint(cell.metadata.get("tags", ()))]
    body, _ = exporter.from_notebook_node(content)
    return PAGE.format(title=html.escape(title), style=STYLE.read_text(encoding="utf-8"), body=body)


def _made_from(plan: Plan, folder: Path) -> str:
    """Return one digest over the plan, the ranks of its finished runs, the package and the notebooks."""
    ranks = ranks_digests(plan, folder)
    package = sorted(path for kind in ("*.py", "*.css", "*.mplstyle") for path in Path(__file__).parent.rglob(kind))
    code = [sha256_of(path) for path in [*package, *(find_in_checkout("notebooks", name) for name in NOTEBOOKS)]]
    content: list[Any] = [sha256_of(folder / PLAN_FILE), ranks, code]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _digest(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""
