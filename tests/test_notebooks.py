"""One test per papermill trap: what the strict runner does where papermill alone would go on."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from gru4recf.errors import DataError, RunError, StudyError
from gru4recf.notebooks import StrictEngine, declared_parameters, run_notebook

ROOT = Path(__file__).parent.parent
DEFAULTS = """\
out: str = ""  # where the notebook writes
seed: int = 3  # of every generator
rate: float = 0.1  # of learning
values: dict = {}  # anything
limit: int = None  # None means no limit
sessions = [1, 2]  # without a hint"""
WRITE = "from pathlib import Path\nimport json, os"
ONE_RUN = """
import sys
from pathlib import Path
from gru4recf.notebooks import run_notebook
notebook, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
run_notebook(notebook, folder / f"{name}.ipynb", {"seed": int(name), "out": str(folder / name)})
"""


@pytest.fixture(autouse=True)
def importable_in_the_kernel(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def write_notebook(folder, *cells, defaults=DEFAULTS, name="study.ipynb", kernel="python3"):
    """Write a notebook with a parameters cell (unless `defaults` is None) and the given code cells."""
    nb = nbformat.v4.new_notebook()
    nb.metadata.kernelspec = {"name": kernel, "display_name": "Python 3", "language": "python"}
    if defaults is not None:
        nb.cells.append(nbformat.v4.new_code_cell(defaults, metadata={"tags": ["parameters"]}, id="parameters"))
    nb.cells += [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(cells)]
    nbformat.write(nb, folder / name)
    return folder / name


def refused(folder, parameters, **options):
    """Return the sentence of a run that must be refused before a kernel starts."""
    with pytest.raises(StudyError) as caught:
        run_notebook(write_notebook(folder, **options), folder / "out.ipynb", parameters)
    assert [path.name for path in folder.iterdir()] == ["study.ipynb"]
    return str(caught.value)


def statuses(path):
    return [cell.metadata.papermill.status for cell in nbformat.read(path, as_version=4).cells]


# What a good run leaves


def test_values_arrive_unchanged_and_the_kernel_is_private(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    values = {
        "text": 'it\'s "so" \\n \n é {x}',
        "007": "007",
        "true": True,
        "none": None,
        "list": [1, -2.5, 1e22, {"a": []}],
    }
    report = {"values": values, "seed": 5, "rate": 1, "limit": None, "sessions": [1, 2]}
    notebook = write_notebook(
        tmp_path,
        WRITE,
        "from ipykernel.connect import get_connection_info\ninfo = json.loads(get_connection_info())",
        "report = dict(values=values, seed=seed, rate=rate, limit=limit, sessions=sessions)",
        "Path(out).write_text(json.dumps(dict(report=report, env=dict(os.environ), cwd=os.getcwd(), info=info)))",
        kernel="a-kernel-of-another-machine",
    )
    parameters = {"out": str(tmp_path / "seen.json"), "values": values, "seed": 5, "rate": 1, "limit": None}
    result = run_notebook(Path("study.ipynb"), Path("runs/a/out.ipynb"), parameters, threads=2)

    assert result == tmp_path / "runs/a/out.ipynb"
    assert [path.name for path in result.parent.iterdir()] == ["out.ipynb"]
    assert statuses(result) == ["completed"] * 6
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["report"] == report
    assert {seen["env"][f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")} == {"2"}
    assert seen["env"]["PYTHONHASHSEED"] == "0"
    assert seen["cwd"] == str(tmp_path)
    assert seen["info"]["transport"] == "ipc"
    assert Path(seen["info"]["ip"]).parent == Path(seen["env"]["IPYTHONDIR"])
    assert not Path(seen["env"]["IPYTHONDIR"]).exists()
    assert dict(os.environ) == before
    assert Path.cwd() == tmp_path
    assert capfd.readouterr() == ("", "")
    assert notebook.exists()


def test_two_runs_differ_only_in_their_times(tmp_path):
    def timeless(path):
        nb = nbformat.read(path, as_version=4)
        for part in [nb, *nb.cells]:
            for key in ("start_time", "end_time", "duration"):
                part.metadata.papermill.pop(key)
        return nbformat.writes(nb)

    notebook = write_notebook(tmp_path, "{str(n) for n in range(50)}")
    one = run_notebook(notebook, tmp_path / "one" / "out.ipynb", {"seed": 1})
    two = run_notebook(notebook, tmp_path / "two" / "out.ipynb", {"seed": 1})
    assert timeless(one) == timeless(two)
    assert str(tmp_path) not in one.read_text()


@pytest.mark.slow
def test_six_parallel_runs_do_not_meet(tmp_path):
    notebook = write_notebook(tmp_path, WRITE, "Path(out).write_text(str(seed))")
    runs = [
        subprocess.Popen([sys.executable, "-c", ONE_RUN, notebook, tmp_path, str(n)], stderr=subprocess.PIPE)
        for n in range(6)
    ]
    assert [run.communicate(timeout=120)[1] for run in runs] == [b""] * 6
    assert [run.returncode for run in runs] == [0] * 6
    assert [(tmp_path / str(n)).read_text() for n in range(6)] == list("012345")


def test_progress_is_shown_only_on_request(tmp_path, capfd):
    run_notebook(write_notebook(tmp_path), tmp_path / "out.ipynb", {}, progress=True)
    assert "Executing" in capfd.readouterr().err


# Parameters


def test_declared_parameters_are_the_names_and_their_defaults(tmp_path):
    expected = {"out": "", "seed": 3, "rate": 0.1, "values": {}, "limit": None, "sessions": [1, 2]}
    assert declared_parameters(write_notebook(tmp_path)) == expected


def test_a_hash_inside_a_default_is_no_comment(tmp_path):
    assert declared_parameters(write_notebook(tmp_path, defaults='colour: str = "#ff0000"  # red')) == {
        "colour": "#ff0000"
    }


@pytest.mark.parametrize("name", ["sead", "seed; import os", "", "seed = 1\nout"])
def test_an_undeclared_parameter_is_refused(tmp_path, name):
    assert f"Unknown parameter {name!r}" in refused(tmp_path, {name: 1})


def test_an_undeclared_parameter_names_the_nearest(tmp_path):
    assert "did you mean 'seed'?" in refused(tmp_path, {"sead": 1})


@pytest.mark.parametrize(
    "value",
    [
        Path("data"),
        (1, 2),
        np.float64(1.0),
        np.int64(1),
        float("nan"),
        float("inf"),
        {1: "a"},
        [Path("data")],
        {"a": {2}},
    ],
)
def test_a_value_that_is_not_plain_json_is_refused(tmp_path, value):
    sentence = refused(tmp_path, {"sessions": value})
    assert "'sessions'" in sentence
    assert "pass str(path)" in sentence


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("seed", "7", "int"),
        ("seed", True, "int"),
        ("seed", 7.0, "int"),
        ("seed", None, "int"),
        ("rate", "0.1", "float"),
        ("out", 7, "str"),
        ("values", [], "dict"),
        ("limit", "none", "int"),
    ],
)
def test_a_value_of_another_type_than_declared_is_refused(tmp_path, name, value, hint):
    assert refused(tmp_path, {name: value}).endswith(f"pass {hint}.")


# Notebooks and paths


@pytest.mark.parametrize(
    ("defaults", "part"),
    [
        (None, "0 cells tagged 'parameters'"),
        ("import os", "line 1 is no assignment"),
        ("seed: int", "line 1 is no assignment"),
        ("a = b = 1", "cannot read a"),
        ("a += 1", "line 1 is no assignment"),
        ("seed = 1 +", "cannot be read"),
        ("seed = len('abc')", "cannot be read"),
        ("seed: int = 1  # 0 = random", "cannot read seed"),
        ("seed: int | None = 1  # any", "cannot read seed"),
    ],
)
def test_a_parameters_cell_papermill_would_misread_is_refused(tmp_path, defaults, part):
    assert part in refused(tmp_path, {}, defaults=defaults)


def test_two_parameters_cells_are_refused(tmp_path):
    notebook = write_notebook(tmp_path)
    nb = nbformat.read(notebook, as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]}))
    nbformat.write(nb, notebook)
    with pytest.raises(StudyError, match="2 cells tagged 'parameters'"):
        declared_parameters(notebook)


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', '{"nbformat": 4, "cells": 3}', '{"nbformat": 9, "cells": []}'])
def test_a_file_that_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "broken.ipynb").write_text(text)
    with pytest.raises(StudyError, match=r"broken\.ipynb is not a notebook"):
        declared_parameters(tmp_path / "broken.ipynb")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("missing.ipynb", "There is no notebook"),
        ("study.py", "must end in .ipynb"),
        ("{seed}.ipynb", "braces"),
        ("s3://bucket/study.ipynb", "is a URL"),
    ],
)
def test_a_path_papermill_would_take_otherwise_is_refused(tmp_path, monkeypatch, name, part):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=part):
        run_notebook(Path(name), tmp_path / "out.ipynb", {})
    if name != "missing.ipynb":
        with pytest.raises(StudyError, match=part):
            run_notebook(write_notebook(tmp_path), Path(name), {})


def test_the_notebook_itself_is_no_output(tmp_path):
    notebook = write_notebook(tmp_path)
    with pytest.raises(StudyError, match="would replace the notebook itself"):
        run_notebook(notebook, notebook, {})


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_a_thread_count_below_one_is_refused(tmp_path, threads):
    with pytest.raises(StudyError, match=f"threads={threads!r}"):
        run_notebook(write_notebook(tmp_path), tmp_path / "out.ipynb", {}, threads=threads)


# Failures


def test_a_failure_keeps_the_notebook_and_the_next_success_removes_it(tmp_path):
    notebook = write_notebook(tmp_path, "1 / (seed - 3)", "never = True")
    output, failed = tmp_path / "out.ipynb", tmp_path / "out.failed.ipynb"
    output.write_text("stale")
    failed.write_text("stale")
    with pytest.raises(RunError) as caught:
        run_notebook(notebook, output, {})
    assert str(caught.value) == f"study.ipynb stopped with ZeroDivisionError: division by zero; see {failed}."
    assert {path.name for path in tmp_path.iterdir()} == {"study.ipynb", "out.failed.ipynb"}
    assert "ZeroDivisionError" in failed.read_text()
    assert str(tmp_path) not in failed.read_text()

    run_notebook(notebook, output, {"seed": 4})
    assert {path.name for path in tmp_path.iterdir()} == {"study.ipynb", "out.ipynb"}


def test_a_users_mistake_in_the_kernel_comes_back_as_its_sentence(tmp_path):
    raised = "from gru4recf.errors import DataError\nraise DataError('a.inter, line 3: no item.')"
    with pytest.raises(DataError) as caught:
        run_notebook(write_notebook(tmp_path, raised), tmp_path / "out.ipynb", {})
    assert str(caught.value) == "a.inter, line 3: no item."
    assert (tmp_path / "out.failed.ipynb").exists()


def test_a_run_error_in_the_kernel_stays_one_and_keeps_its_last_line(tmp_path):
    raised = "from gru4recf.errors import RunError\nraise RunError('Epoch 3.\\nThe loss is NaN.')"
    with pytest.raises(RunError, match=r"^study\.ipynb stopped with RunError: The loss is NaN; see .*out\.failed"):
        run_notebook(write_notebook(tmp_path, raised), tmp_path / "out.ipynb", {})


def test_a_killed_kernel_is_no_success(tmp_path, capfd):
    notebook = write_notebook(tmp_path, "import os", "os.kill(os.getpid(), 9)", "never = True")
    with pytest.raises(RunError, match=r"study\.ipynb stopped with DeadKernelError"):
        run_notebook(notebook, tmp_path / "out.ipynb", {})
    assert statuses(tmp_path / "out.failed.ipynb") == ["completed", "completed", "failed", "pending"]
    assert not (tmp_path / "out.ipynb").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("end", "shown"), [("done = True", ""), ("os.kill(os.getpid(), 9)", "at fault")])
def test_what_a_kernels_process_itself_says_is_shown_only_when_it_fails(tmp_path, capfd, end, shown):
    notebook = write_notebook(tmp_path, "import os\nos.write(2, b'at fault')", end)  # a kernel takes 2 only off a test
    with pytest.raises(RunError) if shown else contextlib.nullcontext():
        run_notebook(notebook, tmp_path / "out.ipynb", {})
    assert capfd.readouterr().err == shown


def test_leaving_before_the_end_is_no_success(tmp_path):
    with pytest.raises(RunError, match=r"a cell called exit\(\) before the end"):
        run_notebook(write_notebook(tmp_path, "import sys\nsys.exit(0)", "never = True"), tmp_path / "out.ipynb", {})


# Papermill's own command, with the package's entry point as an installation writes it


@pytest.fixture
def installed(tmp_path, monkeypatch):
    site = tmp_path / "site" / "gru4recf-0.dist-info"
    site.mkdir(parents=True)
    (site / "entry_points.txt").write_text("[papermill.engine]\ngru4recf = gru4recf.notebooks:StrictEngine\n")
    monkeypatch.setenv("PYTHONPATH", f"{site.parent}{os.pathsep}{ROOT}")


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)


def test_papermills_command_finds_the_engine(tmp_path, installed):
    notebook = write_notebook(tmp_path, "import os", "os.environ['IPYTHONDIR']", kernel="a-kernel-of-another-machine")
    done = python("-m", "papermill", "--engine", "gru4recf", notebook, tmp_path / "out.ipynb", "-p", "seed", "5")
    assert done.returncode == 0, done.stderr
    assert "/tmp/g4r-" in (tmp_path / "out.ipynb").read_text()
    assert "seed = 5" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.parametrize("order", ["import gru4recf.notebooks, papermill", "import papermill, gru4recf.notebooks"])
def test_the_engine_is_registered_whichever_is_imported_first(installed, order):
    code = f"{order}; from papermill.engines import papermill_engines as engines\n"
    code += "assert engines.get_engine('gru4recf') is gru4recf.notebooks.StrictEngine"
    done = python("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_start_compiles_no_grammar_and_loads_no_compiler(installed):
    code = "import sys, gru4recf.notebooks; from gru4recf.training import seed_everything; seed_everything(0)\n"
    code += "import torch; from gru4recf.optimisers import make_optimiser; network = torch.nn.Linear(2, 2)\n"
    code += "network(torch.ones(2)).sum().backward(); make_optimiser('adam', network, 0.1).step()\n"
    code += "assert not {'rfc3987_syntax.syntax_helpers', 'torch._inductor', 'torch._dynamo'} & set(sys.modules)\n"
    code += "assert torch.are_deterministic_algorithms_enabled()"
    done = python("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr


def test_the_engine_ignores_the_kernel_a_notebook_was_saved_with():
    nb = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "other", "display_name": "Other"}})
    assert StrictEngine.nb_kernel_name(nb) == "python3"
