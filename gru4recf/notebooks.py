"""Run a notebook with papermill, strictly.

Papermill alone goes on after an unknown parameter, writes its output in place, reports every cell of a
killed kernel as completed and lets parallel kernels race for ports. Here a run ends in one of two ways:
the whole executed notebook at `output`, or a `StudyError` and the partial one at `NAME.failed.ipynb`.
"""

import logging
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from gru4recf import errors, files

# The checker of notebooks' JSON would compile a grammar of web addresses at every start, which takes over a second;
# notebooks have no addresses to check, and without this package it leaves them unchecked.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from traitlets.config import Config  # noqa: E402

# Papermill loads its engines, this module's included, while it is being imported. When this module comes first,
# papermill finds this name; the class itself is registered right after its definition.
StrictEngine: Any = None

import papermill  # noqa: E402
from papermill.clientwrap import PapermillNotebookClient  # noqa: E402
from papermill.engines import NBClientEngine, papermill_engines  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402

from gru4recf.parameters import check_parameters, declarations  # noqa: E402

ENGINE = "gru4recf"
KERNEL = "python3"
START_TIMEOUT = 180  # seconds; a first import over a cluster's network disk can take more than papermill's 60
IOPUB_TIMEOUT = 60  # seconds; papermill's 4 are too few when the machine is busy with parallel runs
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
STUDY_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.StudyError)
}

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())  # an error is raised as one sentence, not printed a second time


class StrictEngine(NBClientEngine):  # noqa: F811
    """Papermill engine whose kernels have nothing in common: `papermill --engine gru4recf IN.ipynb OUT.ipynb`.

    The kernel is always `python3`; its sockets, connection file and IPython folder live in a private folder
    right under /tmp, because the path of a socket may have 107 bytes at most. What a kernel's process itself writes
    to stderr is shown when a run fails, such as where it crashed; after a success it is only that threads of a kernel
    told to stop found their sockets closed.
    """

    @classmethod
    def nb_kernel_name(cls, nb: nbformat.NotebookNode, name: str | None = None) -> str:
        """Return the kernel to use; the one a notebook was saved with may not exist here."""
        return name or KERNEL

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        threads: int | None = None,
        start_timeout: int = START_TIMEOUT,
        execution_timeout: int | None = None,
        input_path: str | None = None,
        **options: Any,
    ) -> None:
        """Execute every cell; `threads=None` keeps the caller's own thread settings."""
        with tempfile.TemporaryDirectory(prefix="g4r-", dir="/tmp", ignore_cleanup_errors=True) as private:
            sockets = {"transport": "ipc", "connection_file": f"{private}/kernel.json"}
            said = Path(private, "stderr")
            client = PapermillNotebookClient(
                nb_man,
                kernel_name=kernel_name,
                config=Config(KernelManager=sockets),
                startup_timeout=start_timeout,
                timeout=execution_timeout,
                iopub_timeout=IOPUB_TIMEOUT,
                record_timing=False,  # papermill's own timings are enough
                log=logger,
                extra_arguments=["--log-level=CRITICAL"],  # a kernel told to stop may call this an error on stderr
                **options,
            )
            try:
                with said.open("wb") as log:
                    client.execute(env=kernel_environment(private, threads), stderr=log)
            except BaseException:
                _mark_failed(nb_man.nb)
                sys.stderr.write(said.read_text(errors="replace"))
                raise


papermill_engines.register(ENGINE, StrictEngine)


def run_notebook(
    notebook: Path, output: Path, parameters: dict[str, Any], *, threads: int = 1, progress: bool = False
) -> Path:
    """Execute `notebook` with `parameters` into `output` and return the absolute path of `output`.

    Every parameter must be declared in the cell tagged `parameters` and be plain JSON. After an error in a cell
    `output` is absent and the notebook up to the error is beside it as `NAME.failed.ipynb`; a success removes that
    file. The process's environment and working directory are left alone.

    Raises `StudyError` for a user's mistake, found here or raised as such inside the notebook, and `RunError` for
    everything else, a dead kernel included.
    """
    notebook, output = _local_path(notebook), _local_path(output)
    failed = output.with_suffix(".failed.ipynb")
    if notebook in (output, failed):
        raise errors.StudyError(f"The output {output} would replace the notebook itself; choose another output.")
    if type(threads) is not int or threads < 1:
        raise errors.StudyError(f"threads={threads!r} is not a whole number of at least 1.")
    check_parameters(parameters, declarations(notebook))
    with files.atomic_path(output) as temporary:
        try:
            executed = _execute(notebook, temporary, parameters, threads, progress)
        except Exception as error:
            if temporary.stat().st_size:
                files.write_text(failed, _portable(nbformat.read(temporary, as_version=4), notebook, failed))
            output.unlink(missing_ok=True)
            raise _told(error, notebook, failed) from error
        temporary.write_bytes(_portable(executed, notebook, output).encode())
    failed.unlink(missing_ok=True)
    return output


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """Return names and default values of the cell tagged `parameters`, in its order."""
    return {name: default for name, (_, default) in declarations(_local_path(notebook)).items()}


def _execute(
    notebook: Path, output: Path, parameters: dict[str, Any], threads: int, progress: bool
) -> nbformat.NotebookNode:
    executed = papermill.execute_notebook(
        str(notebook),
        str(output),
        parameters,
        engine_name=ENGINE,
        kernel_name=KERNEL,
        language="python",
        progress_bar=progress,
        start_timeout=START_TIMEOUT,
        threads=threads,
    )
    if executed.metadata.papermill.exception:  # papermill takes exit() in the middle for a success
        raise RuntimeError("a cell called exit() before the end")
    return executed


def _local_path(path: Path) -> Path:
    """Return the absolute path; papermill formats paths with the parameters and knows handlers for URLs."""
    resolved = Path(path).resolve()
    if re.match(r"[A-Za-z][\w+.-]+:/", str(path)):
        raise errors.StudyError(f"{str(path)!r} is a URL; copy the notebook to a local file and name that.")
    if re.search(r"[{}]", str(resolved)):
        raise errors.StudyError(f"{str(resolved)!r} has braces, which papermill fills in; rename the folder or file.")
    if resolved.suffix != ".ipynb":
        raise errors.StudyError(f"{str(path)!r} is not a notebook; its name must end in .ipynb.")
    return resolved


def kernel_environment(private: str, threads: int | None) -> dict[str, str]:
    """Return the environment of a kernel: this process's, with a private folder and fixed hashes and threads."""
    own = {"IPYTHONDIR": private, "PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    if threads is not None:
        own |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **own}


def _mark_failed(nb: nbformat.NotebookNode) -> None:
    """Mark the last cell that started: after a dead kernel papermill would call all cells completed."""
    started = [cell for cell in nb.cells if cell.metadata.papermill.get("start_time")] or nb.cells[:1]
    for cell in started[-1:]:
        cell.metadata.papermill.update(exception=True, status="failed")
    nb.metadata.papermill["exception"] = True


def _portable(nb: nbformat.NotebookNode, notebook: Path, output: Path) -> str:
    """Return the notebook's JSON without this machine's folders and without random cell ids."""
    nb.metadata.papermill.update(input_path=notebook.name, output_path=output.name)
    for index, cell in enumerate(nb.cells):
        for tag in {"injected-parameters", "papermill-error-cell-tag"}.intersection(cell.metadata.get("tags", [])):
            cell["id"] = f"{tag}-{index}"
    return nbformat.writes(nb) + "\n"


def _told(error: Exception, notebook: Path, failed: Path) -> errors.StudyError:
    """Return what the user is told: a user's mistake as its sentence only, everything else with its place."""
    name, message = type(error).__name__, str(error)
    if isinstance(error, PapermillExecutionError):
        name, message = error.ename, error.evalue
    elif isinstance(error, DeadKernelError):
        message = "the kernel's process died, most often because the machine ran out of memory"
    kind = STUDY_ERRORS.get(name, errors.RunError)
    if kind is not errors.RunError:
        return kind(message)
    last_line = (message.strip().splitlines() or ["no message"])[-1].rstrip(".")
    return errors.RunError(f"{notebook.name} stopped with {name}: {last_line}; see {failed}.")
