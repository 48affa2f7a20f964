"""Forked runs: the bytes of a cold start, the same ends, nothing left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from gru4recf import warm
from gru4recf.notebooks import run_notebook
from gru4recf.warm import ADDRESS, fork
from gru4recf.warm.server import WITHOUT_THREADS, Served, _become, serving

WARM = [sys.executable, "-m", "gru4recf.warm"]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SERVERS = {**os.environ, **WITHOUT_THREADS, "OMP_NUM_THREADS": "1"}  # environment of a server started by hand
EXECUTE = "import sys; from gru4recf.notebooks import *; run_notebook(Path('in.ipynb'), Path(sys.argv[1]), {})"
RUN = ["run", "--dataset", "synthetic", "--variant", "weighted_sum", "--set", "n_epochs=1", "--set", "hidden_size=8"]
CELLS = """\
import os
os.getppid()
---
import pandas as pd
pd.DataFrame([range(12)], columns=[f"column{i}" for i in range(12)])
---
from gru4recf import figures
figures.training_curve(pd.DataFrame({"epoch": [1], "loss": [1.0], "validation MRR@20": [0.1], "phase": ["selection"]}))
---
import sys
added = {"JPY_PARENT_PID", "JUPYTER_DEFAULT_PROVISIONER_NAME"}
sys.path, sys.flags.hash_randomization, hash("word"), sorted(os.environ.keys() - added), os.getcwd()
---
import torch
torch.get_num_threads(), torch.initial_seed() > 0, __name__"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="served on Linux only")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with open(tmp_path_factory.mktemp("server") / "log", "w") as log, serving(log) as served:
        yield served.environment[ADDRESS], server_of(served.environment[ADDRESS])


@pytest.fixture
def server(served, monkeypatch):
    """Let this process and what it starts be served; return the server's number."""
    monkeypatch.setenv(ADDRESS, served[0])
    return served[1]


def command(*arguments, **options):
    return subprocess.Popen([*WARM, *map(str, arguments)], stdout=-1, stderr=-1, text=True, **options)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_alive(pid):
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """Return the processes that `pid` has forked and that still run, the oldest first."""
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return sorted(filter(is_alive, found))


def server_of(address):
    """Return the process that listens at `address`, before it has forked any."""
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    (server,) = [int(f.name) for f in folders if address.encode() in (f / "cmdline").read_bytes()]
    return server


def test_a_command_prints_where_it_was_asked_and_returns_its_exit_code(server, tmp_path):
    good, bad = command("doctor", cwd=tmp_path), command("run", "--dataset", "nowhere", "--variant", "id_only")
    assert "device: " in good.communicate()[0]
    assert good.returncode == 0
    assert bad.communicate()[1].startswith("gru4recf: Unknown data set 'nowhere'")
    assert bad.returncode == 2


def test_a_run_gives_the_bytes_of_a_cold_one(server, tmp_path):
    servers_children = []
    process = command(*RUN, "--out", tmp_path / "warm")
    while process.poll() is None:
        servers_children.append(len(children(server)))
        time.sleep(0.02)
    assert process.communicate()[1] == ""
    assert max(servers_children) == 2, "the command and its kernel"
    subprocess.run([*WARM, *RUN, "--out", tmp_path / "cold"], env={**os.environ, ADDRESS: ""}, check=True)
    for name in ("ranks.parquet", "weights.safetensors"):
        assert (tmp_path / "warm" / name).read_bytes() == (tmp_path / "cold" / name).read_bytes()
    warm_record, cold_record = (json.loads((tmp_path / t / "result.json").read_text()) for t in ("warm", "cold"))
    assert warm_record["metrics"] == cold_record["metrics"]


def test_a_kernel_is_as_one_that_was_started(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nb = nbformat.v4.new_notebook()
    nb.metadata.kernelspec = KERNEL
    nb.cells = [
        nbformat.v4.new_code_cell("seed: int = 1  # a seed", metadata={"tags": ["parameters"]}, id="parameters")
    ]
    nb.cells += [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(CELLS.split("---\n"))]
    nbformat.write(nb, tmp_path / "in.ipynb")
    run_notebook(tmp_path / "in.ipynb", tmp_path / "cold.ipynb", {})
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "gru4recf-warm")
    subprocess.run([sys.executable, "-c", EXECUTE, "warm.ipynb"], env=dict(os.environ), check=True)
    outputs = {}
    for name in ("cold", "warm"):
        cells = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4).cells
        outputs[name] = [[output.data for output in cell.outputs] for cell in cells if not cell.metadata.get("tags")]
    parents = {name: int(cells.pop(0)[0]["text/plain"]) for name, cells in outputs.items()}
    assert parents["warm"] == server != parents["cold"]
    assert outputs["warm"] == outputs["cold"]


def test_what_was_forked_ends_with_the_one_who_asked(server, tmp_path):
    process = command(*RUN, "--set", "n_epochs=1000", "--set", "patience=1000", "--out", tmp_path / "run")
    wait_for(lambda: list(tmp_path.glob("run/checkpoint-*")))
    forked = children(server)
    assert len(forked) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(is_alive(pid) for pid in forked))


def kernels_folder(pid):
    """Return the private folder that the kernel's sockets are in."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            own.add(str(link.readlink()))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    paths = [Path(line[-1]) for line in lines if f"socket:[{line[6]}]" in own]
    (folder,) = {path.parent for path in paths if path.name.startswith("kernel")}
    return folder


def test_ctrl_c_ends_a_forked_run_in_order(server, tmp_path):
    process = command(*RUN, "--set", "n_epochs=1000", "--set", "patience=1000", "--out", tmp_path / "run")
    wait_for(lambda: list(tmp_path.glob("run/checkpoint-*")))
    forked = children(server)
    private = kernels_folder(forked[1])
    assert private.is_dir()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said.split()[-1:]) == (1, ["Aborted!"]), said
    wait_for(lambda: not any(is_alive(pid) for pid in forked))
    assert not private.exists()
    assert not list(tmp_path.glob("run/.*"))


def test_the_exit_code_of_a_killed_command_names_the_signal_as_shells_do(server, tmp_path):
    process = command(*RUN, "--set", "n_epochs=1000", "--set", "patience=1000", "--out", tmp_path / "run")
    wait_for(lambda: list(tmp_path.glob("run/checkpoint-*")))
    os.kill(children(server)[0], signal.SIGKILL)
    process.communicate()
    assert process.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize(("code", "returned", "said"), [(None, 0, ""), (3, 3, ""), ("why", 1, "why\n")])
def test_a_command_may_exit_with_nothing_a_number_or_a_sentence(code, returned, said, monkeypatch, capsys):
    def main(arguments, prog_name):
        raise SystemExit(code)

    monkeypatch.setattr("gru4recf.warm.server.PROVISIONER", "")
    monkeypatch.setattr("numpy.random.seed", lambda: None)
    monkeypatch.setattr("torch.seed", lambda: None)
    monkeypatch.setattr("gru4recf.cli.main", main)
    assert _become("command", []) == returned
    assert capsys.readouterr().err == said


def test_a_killed_kernel_is_a_failed_run(server, tmp_path):
    process = command(*RUN, "--set", "n_epochs=1000", "--set", "patience=1000", "--out", tmp_path / "run")
    wait_for(lambda: list(tmp_path.glob("run/checkpoint-*")))
    os.kill(children(server)[1], signal.SIGKILL)
    assert "the kernel's process died" in process.communicate()[1]
    assert process.returncode == 1


def test_a_forked_process_is_like_popens(server, tmp_path):
    process = fork("kernel", ["-f", str(tmp_path / "kernel.json")], os.environ, str(tmp_path))
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(10) == process.poll() == -signal.SIGKILL
    process.terminate()  # too late, and no error


def test_without_a_server_a_command_starts_cold(monkeypatch, tmp_path):
    for address in ("", str(tmp_path / "nobody")):
        monkeypatch.setenv(ADDRESS, address)
        process = command("doctor")
        assert "device: " in process.communicate()[0]
        assert process.returncode == 0


def test_a_server_that_does_not_answer_is_waited_for_only_so_long(monkeypatch, tmp_path):
    monkeypatch.setattr(warm, "PATIENCE", 0.1)
    monkeypatch.setenv(ADDRESS, str(tmp_path / "hung"))
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(os.environ[ADDRESS])
        hung.listen()
        with pytest.raises(TimeoutError):
            fork("command", ["doctor"], os.environ, str(tmp_path))


def test_the_server_goes_on_for_whoever_holds_it_and_leaves_nothing(tmp_path):
    script = (
        "import os, subprocess, sys\nfrom gru4recf.warm.server import serving\n"
        "with serving(sys.stderr) as served:\n"
        "    holder = subprocess.Popen(['sleep', '60'], stdout=-3, pass_fds=served.descriptors)\n"
        "    print(served.environment['GRU4RECF_WARM'], holder.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True)
    address, holder = process.stdout.readline().split()
    server = server_of(address)
    process.kill()
    process.communicate()
    time.sleep(1.5)
    assert is_alive(server)
    os.kill(int(holder), signal.SIGKILL)
    wait_for(lambda: not is_alive(server) and not Path(address).parent.exists())


def test_a_server_started_by_hand_leaves_other_files_alone(tmp_path):
    (tmp_path / "kept").write_text("mine")
    script = [sys.executable, "-m", "gru4recf.warm.server", "address"]
    with subprocess.Popen(script, stdin=-1, stdout=-1, text=True, cwd=tmp_path, env=SERVERS) as process:
        assert process.stdout.readline() == "ready\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_server_older_than_the_code_is_not_asked(tmp_path):
    script = (
        "import sys\nfrom gru4recf.warm import server\n"
        "digests = iter(['imported', 'edited'])\n"
        "server.code_digest = lambda: next(digests)\n"
        "server._serve(sys.argv[1])\n"
    )
    address = tmp_path / "warm"
    serve = [sys.executable, "-c", script, address]
    with subprocess.Popen(serve, stdin=-1, stdout=-1, text=True, env=SERVERS) as process:
        assert process.stdout.readline() == "ready\n"
        asked = command("doctor", env={**os.environ, ADDRESS: str(address)})
        assert "device: " in asked.communicate()[0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ADDRESS, str(address))
            with pytest.raises(ConnectionError, match="ended before it forked"):
                fork("command", ["doctor"], os.environ, str(tmp_path))


def test_forked_processes_have_no_input_and_draw_different_numbers(server, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "gru4recf-warm")
    source = "import os, numpy, torch\n(os.readlink('/proc/self/fd/0'), numpy.random.rand(), torch.rand(1).item())"
    nb = nbformat.v4.new_notebook()
    nb.metadata.kernelspec = KERNEL
    nb.cells = [nbformat.v4.new_code_cell("a: int = 1  # a", metadata={"tags": ["parameters"]}, id="parameters")]
    nb.cells.append(nbformat.v4.new_code_cell(source, id="draw"))
    nbformat.write(nb, tmp_path / "in.ipynb")
    drawn = []
    for name in ("one.ipynb", "two.ipynb"):
        subprocess.run([sys.executable, "-c", EXECUTE, name], env=dict(os.environ), cwd=tmp_path, check=True)
        cells = nbformat.read(tmp_path / name, as_version=4).cells
        drawn.append(cells[-1].outputs[0].data["text/plain"].strip("()").split(", "))
    assert drawn[0][0] == drawn[1][0] == repr(os.devnull)
    assert drawn[0][1] != drawn[1][1]
    assert drawn[0][2] != drawn[1][2]


def test_nobody_serves_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with serving(sys.stderr) as served:
        assert served == Served()
