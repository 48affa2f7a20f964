"""The process that has imported everything, and forks commands and kernels."""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple

from gru4recf.notebooks import kernel_environment
from gru4recf.results import code_digest
from gru4recf.warm import ADDRESS, PATIENCE

# What the training notebook, the command that runs it and the kernel import. Not matplotlib_inline: it looks for the
# running kernel while it is imported.
IMPORTS = (
    "gru4recf.cli",
    "gru4recf.commands",
    "gru4recf.evaluation",
    "gru4recf.experiment",
    "gru4recf.figures",
    "gru4recf.models",
    "gru4recf.study",
    "ipykernel.kernelapp",
)
WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # of pyarrow's second, unused allocator
PROVISIONER = "gru4recf-warm"  # as pyproject.toml registers `provisioner.WarmProvisioner`


class Served(NamedTuple):
    """What a process needs so that what it starts is forked: nothing where nobody serves."""

    environment: Mapping[str, str] = MappingProxyType({})
    descriptors: tuple[int, ...] = ()
    """The server goes on until every process that holds these has ended."""


@contextlib.contextmanager
def serving(log: IO[str]) -> Iterator[Served]:
    """Serve until the context is left and nobody else holds the descriptors; `log` gets what the server has to say.

    Elsewhere than on Linux nobody serves: there, forking after such imports is not safe.
    """
    if sys.platform != "linux":
        yield Served()
        return
    with tempfile.TemporaryDirectory(prefix="g4r-", dir="/tmp", ignore_cleanup_errors=True) as private:
        address = f"{private}/warm"
        command = [sys.executable, "-m", "gru4recf.warm.server", address]
        environment = {**kernel_environment(private, threads=1), **WITHOUT_THREADS}
        environment.pop("JPY_PARENT_PID", None)  # of a notebook that started the study: not what the kernels end with
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        with subprocess.Popen(command, env=environment, **pipes) as process:
            try:
                ready = select.select([process.stdout], [], [], PATIENCE)[0] and process.stdout.readline() == b"ready\n"
                yield Served({ADDRESS: address}, (process.stdin.fileno(),)) if ready else Served()
            finally:
                process.kill()


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    max_children = 1000
    timeout = 0
    block_on_close = False
    code = ""
    """Digest of the deciding code that was imported."""


class _Handler(socketserver.StreamRequestHandler):
    """Becomes, in a process of its own, the program that is asked for."""

    def handle(self) -> None:
        _, descriptors, _, _ = socket.recv_fds(self.connection, 1, 2)
        request = json.loads(self.rfile.readline())
        if code_digest() != self.server.code:
            os._exit(1)  # edited since: a run would be recorded with code that did not run; who asked starts cold
        os.setsid()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)  # standard input is the pipe that tells the server to go on
        self.server.socket.close()
        for number, descriptor in enumerate(descriptors, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["folder"])
        for variable in os.environ.keys() - request["environment"].keys():
            del os.environ[variable]
        os.environ.update(request["environment"])
        self._say(os.getpid())
        threading.Thread(target=self._end_with_the_other_side, daemon=True).start()
        code = _become(request["program"], request["arguments"])
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        self._say(code)
        os._exit(code)

    def _say(self, number: int) -> None:
        self.wfile.write(f"{number}\n".encode())

    def _end_with_the_other_side(self) -> None:
        self.rfile.read()
        os._exit(1)


def _become(program: str, arguments: list[str]) -> int:
    import numpy as np  # here, so that whoever only serves need not wait for torch
    import torch

    np.random.seed()  # noqa: NPY002 - else the global generators would be equal in all that is forked
    torch.seed()
    try:
        if program == "kernel":
            import pandas
            from ipykernel.kernelapp import launch_new_instance

            pandas.set_option("display.max_columns", 20)  # what pandas chooses when it is imported in a kernel
            launch_new_instance(argv=arguments)
        else:
            from gru4recf.cli import main

            if PROVISIONER in entry_points(group="jupyter_client.kernel_provisioners").names:  # not in an old install
                os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = PROVISIONER
            main(arguments, prog_name="gru4recf")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _serve(address: str) -> None:
    """Import, then fork whatever is asked for, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; those that asked end theirs
    code = code_digest()
    for name in IMPORTS:
        importlib.import_module(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("A module started a thread, which a forked process would not have; runs start cold.")
    with _Server(address, _Handler) as server:
        server.code = code
        print("ready", flush=True)
        while sys.stdin not in select.select([server, sys.stdin], [], [], 1)[0]:
            server.handle_request()
    Path(address).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # whoever made the private folder may have been killed; any other one stays
        Path(address).parent.rmdir()


if __name__ == "__main__":
    del sys.path[0]  # the working directory, as Jupyter's launcher of kernels does
    _serve(sys.argv[1])
