"""What a notebook in git looks like: no traces of a run, no code that belongs in the package, no absolute path."""

import re
from pathlib import Path

import nbformat
import pytest

from gru4recf.notebooks import declared_parameters

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PROGRAM = re.compile(r"\s*(?:def|class|for|while|async)\b|\s*(?:!|%run\b|%%)")
ABSOLUTE_PATH = re.compile(r"""["'](?:/|~|[A-Za-z]:\\|file:)""")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def code_lines(path):
    return [line for cell in code_cells(path) for line in cell.source.splitlines()]


def tagged_parameters(path):
    return [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]


def test_there_are_notebooks():
    assert NOTEBOOKS, f"no notebook in {FOLDER}"


@each_notebook
def test_no_output_and_no_count_is_committed(path):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(path))


@each_notebook
def test_no_metadata_of_an_editor_or_a_run_is_committed(path):
    nb = read(path)
    assert set(nb.metadata) <= {"kernelspec", "language_info"}
    assert nb.metadata.get("language_info", {"name": "python"}) == {"name": "python"}  # no version of one machine
    assert {key for cell in nb.cells for key in cell.metadata} <= {"tags"}


@each_notebook
def test_the_kernel_is_python3_and_cells_have_ids(path):
    nb = read(path)
    assert nb.metadata.kernelspec.name == "python3"
    assert nb.metadata.kernelspec.language == "python"
    assert (nb.nbformat, nb.nbformat_minor) >= (4, 5)


@each_notebook
def test_the_first_cell_is_a_title(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


@each_notebook
def test_one_cell_holds_parameters_the_runner_can_read(path):
    assert len(tagged_parameters(path)) == 1
    assert declared_parameters(path)


@each_notebook
def test_every_parameter_has_a_type_and_a_comment(path):
    lines = tagged_parameters(path)[0].source.splitlines()
    assert [line for line in lines if line.strip() and not re.match(r"\w+: [\w\[\], ]+ = .+  # \S", line)] == []


@each_notebook
def test_it_has_eight_to_twenty_code_cells(path):
    assert 8 <= len(code_cells(path)) <= 20


@each_notebook
def test_definitions_loops_and_shell_commands_are_absent(path):
    assert [line for line in code_lines(path) if PROGRAM.match(line) or "sys.path" in line] == []


@each_notebook
def test_no_path_is_absolute(path):
    assert [line for line in code_lines(path) if ABSOLUTE_PATH.search(line)] == []


@pytest.mark.parametrize("line", ["def f():", "  for a in b:", "class A:", "!ls", "%run a", "while True:", "%%bash"])
def test_the_check_sees_what_is_forbidden(line):
    assert PROGRAM.match(line)


@pytest.mark.parametrize("line", ["format(1)", "[a for a in b]", "defaults = 1", "%matplotlib inline", "forest = 2"])
def test_the_check_lets_calls_pass(line):
    assert not PROGRAM.match(line)


@pytest.mark.parametrize("line", ["Path('/data')", 'open("~/x")', "'C:\\\\x'"])
def test_the_check_sees_absolute_paths(line):
    assert ABSOLUTE_PATH.search(line)
    assert not ABSOLUTE_PATH.search("a / 'b/c'")
