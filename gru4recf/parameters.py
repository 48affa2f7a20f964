"""A notebook's parameters: what its cell tagged `parameters` declares, and which values reach it as they are.

Papermill alone reads that cell by regular expressions, pastes names as code and turns some values into others.
"""

import ast
import math
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillException

from gru4recf import errors

JSON_TYPES = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,), "list": (list,), "dict": (dict,)}


def declarations(notebook: Path) -> dict[str, tuple[str, Any]]:
    """Return name -> (type hint, default) for the parameters cell, and refuse what papermill would misread."""
    source = _parameters_source(notebook)
    try:
        found = dict(_declaration(node) for node in ast.parse(source).body)
        read = papermill.inspect_notebook(str(notebook))
    except (ValueError, TypeError, SyntaxError, PapermillException) as error:
        reason = str(error).partition(":")[0]  # what follows names objects by their addresses
        raise errors.StudyError(
            f"The parameters cell of {notebook} cannot be read ({reason}); write lines like `seed: int = 1  # why`, "
            "with a literal default, and use the kernel python3."
        ) from error
    unread = ", ".join(name for name in found if name not in read)
    if unread:
        raise errors.StudyError(
            f"Papermill cannot read {unread} in the parameters cell of {notebook}; "
            "a line has one '=', comments included, and a hint is a name such as str or list[int]."
        )
    return found


def check_parameters(parameters: dict[str, Any], declared: dict[str, tuple[str, Any]]) -> None:
    """Refuse names that are not declared (papermill pastes them as code) and values that would change on the way."""
    for name, value in parameters.items():
        if name not in declared:
            raise errors.unknown_name("parameter", name, declared)
        if not _is_plain_json(value):
            raise errors.StudyError(
                f"Parameter {name!r} is {value!r}, not plain JSON; pass None, bool, int, a finite float, str, "
                "or lists and dicts (with str keys) of these; for a path pass str(path)."
            )
        hint, default = declared[name]
        if not (type(value) in JSON_TYPES.get(hint, (type(value),)) or (value is None and default is None)):
            raise errors.StudyError(f"Parameter {name!r} is {value!r} ({type(value).__name__}); pass {hint}.")


def _declaration(node: ast.stmt) -> tuple[str, tuple[str, Any]]:
    target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
    if not isinstance(target, ast.Name) or node.value is None:
        raise ValueError(f"line {node.lineno} is no assignment")
    hint = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
    return target.id, (hint.partition("[")[0], ast.literal_eval(node.value))


def _parameters_source(notebook: Path) -> str:
    if not notebook.is_file():
        raise errors.StudyError(f"There is no notebook {notebook}; check the path.")
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise errors.StudyError(f"{notebook} is not a notebook; open it in JupyterLab and save it again.") from error
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(sources) != 1:
        raise errors.StudyError(
            f"{notebook} has {len(sources)} cells tagged 'parameters' and needs one; tag the cell with the defaults."
        )
    return sources[0]


def _is_plain_json(value: Any) -> bool:
    """Tell whether papermill writes `value` as it is; exact types, for a numpy scalar may be a float by inheritance."""
    if type(value) is list:
        return all(map(_is_plain_json, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain_json, value.values()))
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
