"""`fetch` against a real server on the loopback interface that behaves, and misbehaves in every way it can."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gru4recf.data import download
from gru4recf.data.download import fetch
from gru4recf.errors import DataUnavailable

CONTENT = bytes(range(256)) * 800
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Answers /NAME with the method NAME; remembers every request as (name, Range header)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.strip("/").split("?")[0]
        self.server.requests.append((name, self.headers.get("Range")))
        self.close_connection = True
        getattr(self, name)()

    def log_message(self, *_):
        pass

    def head(self, status, length=None, **headers):
        self.send_response(status)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    @property
    def start(self):
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    @property
    def n_requests(self):
        return len(self.server.requests)

    def good(self):
        if self.start >= len(CONTENT):
            self.head(416, 0, Content_Range=f"bytes */{len(CONTENT)}")
            return
        body = CONTENT[self.start :]
        if self.start:
            self.head(206, len(body), Content_Range=f"bytes {self.start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.head(200, len(body))
        self.wfile.write(body)

    def cut_once(self):
        if self.n_requests > 1:
            self.good()
            return
        self.head(200, len(CONTENT))
        self.wfile.write(CONTENT[:HALF])

    def cut_always(self):
        self.head(200, len(CONTENT))
        self.wfile.write(CONTENT[:HALF])

    def cut_before_answer_once(self):
        if self.n_requests > 1:
            self.good()

    def cut_ignoring_range(self):
        if self.n_requests == 1:
            self.cut_always()
            return
        self.head(200, len(CONTENT))
        self.wfile.write(CONTENT)

    def wrong_range(self):
        if self.start:
            self.head(206, 10, Content_Range=f"bytes 7-16/{len(CONTENT)}")
            self.wfile.write(CONTENT[7:17])
            return
        self.good()

    def short_range(self):
        if self.start:
            self.head(206, 10, Content_Range=f"bytes {self.start}-{self.start + 9}/{len(CONTENT)}")
            self.wfile.write(CONTENT[self.start : self.start + 10])
            return
        self.good()

    def length_too_long(self):
        self.head(200, len(CONTENT) + 1000)
        self.wfile.write(CONTENT)

    def length_too_short(self):
        self.head(200, len(CONTENT) - 1000)
        self.wfile.write(CONTENT)

    def huge_length(self):
        self.head(200, 10**15)
        self.wfile.write(CONTENT)

    def chunked(self):
        self.head(200, Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))

    def chunked_cut(self):
        self.head(200, Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n%s" % (len(CONTENT), CONTENT[:HALF]))

    def wrong_bytes(self):
        self.head(200, len(CONTENT))
        self.wfile.write(b"x" * len(CONTENT))

    def stall(self):
        self.head(200, len(CONTENT))
        self.wfile.write(CONTENT[:HALF])
        self.wfile.flush()
        self.server.stopped.wait(20)

    def silent(self):
        self.server.stopped.wait(20)

    def drip(self):
        self.head(200, len(CONTENT))
        for i in range(200):
            self.wfile.write(CONTENT[i : i + 1])
            if self.server.stopped.wait(0.05):
                return

    def missing(self):
        self.head(404, 0)

    def broken(self):
        self.head(500, 0)

    def busy_once(self):
        if self.n_requests > 1:
            self.good()
        else:
            self.head(503, 0)

    def moved(self):
        self.head(302, 0, Location="/good")

    def moved_to_file(self):
        self.head(302, 0, Location="file:///etc/passwd")

    def moved_to_ftp(self):
        self.head(301, 0, Location="ftp://127.0.0.1/good")

    def moved_nowhere(self):
        self.head(302, 0, Location="http://[::1")

    def moved_in_circles(self):
        self.head(307, 0, Location="/moved_in_circles")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that gives up is what is tested, not an error."""


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.requests, server.stopped = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(server, tmp_path, monkeypatch):
    """Fetch /NAME to tmp_path/file with short waits; returns the file's path."""
    monkeypatch.setenv("NO_PROXY", "*")

    def get(name, sha256=SHA256, **options):
        options = {"connect_timeout": 5, "read_timeout": 5, "pause": 0.01} | options
        fetch(f"{server.url}/{name}", tmp_path / "file", sha256, **options)
        return tmp_path / "file"

    return get


@pytest.fixture
def part(tmp_path):
    return tmp_path / ".file.part"


@pytest.mark.parametrize("name", ["good", "chunked", "moved"])
def test_file_arrives_whole_and_alone(get, tmp_path, name):
    assert get(name).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_query_and_plus_signs_stay_in_the_address(get):
    assert get("good?a+b=c%20d").read_bytes() == CONTENT


def test_cut_transfer_is_resumed(get, server):
    assert get("cut_once").read_bytes() == CONTENT
    assert server.requests == [("cut_once", None), ("cut_once", f"bytes={HALF}-")]


def test_part_of_an_earlier_call_is_resumed(get, server, part):
    part.write_bytes(CONTENT[:1000])
    assert get("good").read_bytes() == CONTENT
    assert server.requests == [("good", "bytes=1000-")]


def test_complete_part_is_not_sent_again(get, server, part):
    part.write_bytes(CONTENT)
    assert get("good").read_bytes() == CONTENT
    assert server.requests == [("good", f"bytes={len(CONTENT)}-")]


def test_part_longer_than_the_file_is_started_over(get, server, part):
    part.write_bytes(CONTENT + b"more")
    assert get("good").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [f"bytes={len(CONTENT) + 4}-", None]


@pytest.mark.parametrize("name", ["cut_ignoring_range", "cut_before_answer_once"])
def test_server_without_ranges_sends_it_again(get, server, name):
    assert get(name).read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["wrong_range", "short_range"])
def test_another_range_than_asked_for_starts_over(get, server, part, name):
    part.write_bytes(CONTENT[:1000])
    assert get(name).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=1000-", None]


def test_part_of_another_file_is_refused_by_its_digest_and_not_kept(get, part):
    part.write_bytes(b"x" * 1000)
    with pytest.raises(DataUnavailable, match="other bytes than expected"):
        get("good")
    assert not part.exists()
    assert get("good").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["wrong_bytes", "length_too_short"])
def test_wrong_bytes_leave_the_old_file_alone(get, tmp_path, name):
    (tmp_path / "file").write_text("old")
    with pytest.raises(DataUnavailable, match="other bytes than expected"):
        get(name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("name", ["cut_always", "chunked_cut", "length_too_long"])
def test_connection_cut_each_time_is_given_up(get, server, tmp_path, name):
    with pytest.raises(DataUnavailable, match=r"cut the connection before the file was complete \(tried 3 times\)"):
        get(name)
    assert len(server.requests) == 3
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("name", "says"), [("huge_length", "announces 1,000,"), ("chunked", "sends more than")])
def test_more_bytes_than_allowed_are_refused(get, tmp_path, name, says):
    with pytest.raises(DataUnavailable, match=says):
        get(name, max_bytes=len(CONTENT) - 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["stall", "silent"])
def test_stalled_server_is_given_up_once(get, server, name):
    begin = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"the server sent nothing for 0\.2 seconds"):
        get(name, read_timeout=0.2)
    assert time.monotonic() - begin < 2
    assert len(server.requests) == 1


def test_stalled_transfer_is_resumed_by_the_next_call(get, server):
    with pytest.raises(DataUnavailable, match="sent nothing"):
        get("stall", read_timeout=0.2)
    assert get("good").read_bytes() == CONTENT
    assert server.requests[-1] == ("good", f"bytes={HALF}-")


def test_dripping_server_is_given_up(get, monkeypatch):
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.3)
    begin = time.monotonic()
    with pytest.raises(DataUnavailable, match="too slowly"):
        get("drip", read_timeout=1)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("name", "n_requests", "says"), [("missing", 1, "answered 404 Not Found"), ("broken", 3, "answered 500 .*3 times")]
)
def test_error_answers_are_told(get, server, name, n_requests, says):
    with pytest.raises(DataUnavailable, match=says):
        get(name)
    assert len(server.requests) == n_requests


def test_passing_error_is_tried_again(get):
    assert get("busy_once").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["moved_to_file", "moved_to_ftp", "moved_nowhere", "moved_in_circles"])
def test_strange_redirects_are_refused(get, tmp_path, name):
    with pytest.raises(DataUnavailable, match="redirects"):
        get(name)
    assert list(tmp_path.iterdir()) == []


def test_redirect_from_https_to_http_is_refused():
    follow = download._checked_target
    assert follow("u", "https://a/b", "/c") == "https://a/c"
    assert follow("u", "http://a/b", "https://a/c") == "https://a/c"
    with pytest.raises(DataUnavailable, match="not followed"):
        follow("u", "https://a/b", "http://a/c")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_closed_port_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(DataUnavailable, match=r"127\.0\.0\.1 cannot be reached \(Connection refused\)"):
        fetch(f"http://127.0.0.1:{free_port()}/x", tmp_path / "file", SHA256)


def test_unreachable_host_is_given_up_in_time_whatever_its_resolver_does(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    released = threading.Event()

    def resolve_forever(*_):
        released.wait(20)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", resolve_forever)
    begin = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"no connection within 0\.2 seconds"):
        fetch("https://nowhere.invalid/x", tmp_path / "file", SHA256, connect_timeout=0.2)
    assert time.monotonic() - begin < 2
    released.set()


def test_proxy_is_what_must_be_reachable(server, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DataUnavailable, match=r"the proxy 127\.0\.0\.1 cannot be reached"):
        fetch("http://nowhere.invalid/good", tmp_path / "file", SHA256)


def test_proxy_that_refuses_is_told_in_its_own_words(server, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("https_proxy", server.url)
    with pytest.raises(DataUnavailable, match=r"/good could not be downloaded: Tunnel connection failed: 501 [^:]*\.$"):
        fetch("https://nowhere.invalid/good", tmp_path / "file", SHA256)


def test_digest_may_be_missing_only_with_a_check(get):
    with pytest.raises(ValueError, match="needs a check"):
        get("good", None)
    seen = []
    assert get("good", None, check=lambda path: seen.append(path.read_bytes())).read_bytes() == CONTENT
    assert seen == [CONTENT]


def test_refused_by_the_check_nothing_is_kept(get, tmp_path):
    def refuse(path):
        raise DataUnavailable("no such member")

    with pytest.raises(DataUnavailable, match="no such member"):
        get("good", None, check=refuse)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(DataUnavailable, match=r"occupied.* cannot be written"):
        fetch(f"{server.url}/good", tmp_path / "occupied" / "file", SHA256)


def test_progress_is_one_line_without_a_terminal(get, server, capsys):
    get("good", progress=True)
    assert capsys.readouterr().err == f"Downloading {server.url}/good (204,800 bytes)\n"


def test_killed_download_leaves_no_file_and_is_resumed(server, get, tmp_path, part):
    call = f"from pathlib import Path; from gru4recf.data.download import fetch; fetch('{server.url}/stall', "
    call += f"Path('{tmp_path}/file'), '{SHA256}')"
    process = subprocess.Popen([sys.executable, "-c", call], env=os.environ | {"NO_PROXY": "*"})
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == HALF) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [part.name]
    assert get("good").read_bytes() == CONTENT
