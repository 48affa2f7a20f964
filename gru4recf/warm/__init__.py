"""Runs that start warm: forked from a process that has imported everything already.

Starting Python, a kernel, torch, pandas and matplotlib takes longer than training a small network, and a study has
hundreds of runs. On one machine `gru4recf study` therefore keeps one process that has done all of this (`server.py`),
and forks from it each run's command (`python -m gru4recf.warm run ...`) and its kernel (`provisioner.py`). Each is a
process of its own that began with the same imports and has seen no other run, so results are those of a cold start, to
the byte. Where nobody serves, as on a cluster, the same command starts cold.

The one who asks sends descriptors of stdout and stderr and a JSON line, and gets two lines: the process's number, and
in the end its exit code. The process ends when the one who asked does.
"""

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence

ADDRESS = "GRU4RECF_WARM"  # environment variable with the path of the socket
PATIENCE = 60  # seconds to be ready, and to answer, in


class Forked:
    """A process forked by the server, with what is used of `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket):
        self._lines = connection.makefile("rb")
        self._connection = connection
        self.returncode: int | None = None
        line = self._lines.readline()
        if not line:
            raise ConnectionError("The server ended before it forked.")
        self.pid = int(line)

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs; minus nine when it was killed."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises `subprocess.TimeoutExpired` like `Popen`."""
        if self.returncode is None:
            if timeout is not None and not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("forked", timeout)
            self.returncode = int(self._lines.readline() or -signal.SIGKILL)
            self._lines.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def fork(
    program: str, arguments: Sequence[str], environment: Mapping[str, str], folder: str, stderr: int = 2
) -> Forked:
    """Start `program`, "command" or "kernel", in a process forked by the server that `ADDRESS` names.

    `stderr` is the descriptor that the process gets as its own.

    Raises:
        OSError: when there is no such server.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(os.environ.get(ADDRESS, ""))
        socket.send_fds(connection, [b"\n"], [1, stderr])
        request = {"program": program, "arguments": list(arguments), "environment": dict(environment), "folder": folder}
        connection.sendall(json.dumps(request).encode() + b"\n")
        process = Forked(connection)
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)
    return process
