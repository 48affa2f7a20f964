"""Work side by side: one process per task, each on one torch thread, that reports to the one that started it.

A worker whose starter was killed ends at its next report; what it finished before is kept by whoever wrote it down.
"""

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from gru4recf.errors import StudyError

Task = TypeVar("Task")
Report = Callable[[Any], None]


def side_by_side(
    work: Callable[[Task, Report], None], tasks: Sequence[Task], jobs: int, hear: Report
) -> Iterator[tuple[Task, str]]:
    """Do the tasks, at most `jobs` at once, and yield each that ended with why it failed, or "" if it did not.

    Args:
        work: called with a task and a function that reports anything that can be pickled; a `StudyError` is a failure
            with a sentence. A function of a module, because it is looked up in the worker by its name.
        tasks: what to do, begun in this order; with one job, in this process.
        jobs: processes at once.
        hear: called here with every report.
    """
    if jobs == 1:
        for task in tasks:
            with one_thread():
                yield task, _reason(work, task, hear)
        return
    running: dict[Connection, tuple[Any, Task]] = {}
    waiting = list(tasks)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                connection, process = _start(work, waiting[0])
                running[connection] = (process, waiting.pop(0))
            for connection in wait(running):
                try:
                    about, content = connection.recv()
                except EOFError:  # ended without a word: killed, or out of memory
                    about, content = "end", "its process ended; call again to continue"
                if about == "report":
                    hear(content)
                    continue
                process, task = running.pop(connection)
                process.join()
                yield task, content
    finally:
        for process, _ in running.values():
            process.terminate()
            process.join()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: with several, sums have another order, and results other last digits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _start(work: Callable, task: Any) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork once it has threads
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_worker, args=(work, task, theirs), daemon=True)
    process.start()
    theirs.close()  # the worker's copy is the only one: its end is the end of the reports
    return ours, process


def _worker(work: Callable, task: Any, connection: Connection) -> None:
    """Do one task in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the starter ends its workers
    try:
        with one_thread():
            reason = _reason(work, task, lambda content: connection.send(("report", content)))
        connection.send(("end", reason))
    except BrokenPipeError:
        sys.exit(1)


def _reason(work: Callable, task: Any, report: Report) -> str:
    try:
        work(task, report)
    except StudyError as error:
        return str(error)
    return ""
