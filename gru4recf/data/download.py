"""One file over HTTP: whole and verified at its destination, or not there at all.

* Bytes go to a `.part` file beside the destination, which is renamed once its digest is right. A transfer that was
  cut is taken up where it ended, in this call or a later one.
* A host that cannot be reached is given up after `connect_timeout` altogether, name resolution and all addresses
  of the host included; a server that stops sending, after `read_timeout`.
* Nothing a server says is trusted: lengths, ranges, redirects and content are checked, each refusal is a sentence.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from tqdm import tqdm

from gru4recf.data.reachable import require_reachable
from gru4recf.errors import DataUnavailable, StudyError
from gru4recf.files import sha256_of

CHUNK = 1 << 16
MAX_REDIRECTS = 5
TOTAL_SECONDS = 3600


class _InterruptedTransfer(Exception):
    """The transfer may succeed when it is asked for again."""


class _Session(requests.Session):
    """Leaves redirects to the caller; a plain session reads and parses them even when told not to follow them."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def fetch(
    url: str,
    destination: Path,
    sha256: str | None,
    *,
    check: Callable[[Path], object] | None = None,
    max_bytes: int = 200_000_000,
    connect_timeout: float = 10,
    read_timeout: float = 30,
    attempts: int = 3,
    pause: float = 1,
    progress: bool = False,
) -> None:
    """Download `url` to `destination`.

    Args:
        url: http or https address.
        destination: file to write; its folder is made.
        sha256: digest of the file; None only with a `check`.
        check: called with the path of the complete file before it is renamed; raises a StudyError to refuse it.
        max_bytes: a file with more bytes is refused.
        connect_timeout: seconds until a host counts as unreachable.
        read_timeout: seconds without a byte until a server counts as stalled.
        attempts: how often a transfer that is cut or answered with a passing error (429, 5xx) is tried.
        pause: seconds between two attempts.
        progress: show a bar on a terminal, or else one line, on standard error.

    Raises:
        DataUnavailable: when the file cannot be had; the sentence says why. `destination` is untouched.
    """
    if sha256 is None and check is None:
        raise ValueError("a download without a digest needs a check")
    part = destination.with_name(f".{destination.name}.part")
    timeouts = (connect_timeout, read_timeout)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _receive_patiently(url, part, max_bytes, timeouts, attempts, pause, progress)
        _verify(url, part, sha256, check)
        os.replace(part, destination)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DataUnavailable(f"{url} could not be downloaded: {_reason(error, read_timeout)}.") from error
    except OSError as error:
        raise DataUnavailable(
            f"{error.filename or destination} cannot be written ({error.strerror or error})."
        ) from error


def _receive_patiently(
    url: str, part: Path, max_bytes: int, timeouts: tuple[float, float], attempts: int, pause: float, progress: bool
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _receive(url, part, max_bytes, timeouts, progress)
        except _InterruptedTransfer as interruption:
            if attempt == attempts:
                raise DataUnavailable(f"{url} {interruption} (tried {attempts} times).") from interruption
            time.sleep(pause)
        else:
            return


def _receive(url: str, part: Path, max_bytes: int, timeouts: tuple[float, float], progress: bool) -> None:
    """Bring `part` to its full length, from where it ends."""
    have = part.stat().st_size if part.exists() else 0
    with _Session() as session, _open(session, url, have, timeouts) as response:
        start, total = _announced(response)
        if response.status_code == 416 and total == have:
            return
        if start not in (0, have):
            _restart(part, "did not send the rest of the file that was asked for")
        if total is not None and total > max_bytes:
            _refuse(part, f"{url} announces {total:,} bytes, more than the {max_bytes:,} allowed; nothing was kept.")
        have = start
        with open(part, "ab" if have else "wb") as file, _bar(url, total, have, progress) as bar:
            for chunk in _chunks(response):
                have += len(chunk)
                if have > max_bytes:
                    _refuse(part, f"{url} sends more than the {max_bytes:,} bytes allowed; nothing was kept.")
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
        if total is not None and have != total:
            _restart(part, f"sent {have:,} bytes where {total:,} were announced")


def _open(session: _Session, url: str, have: int, timeouts: tuple[float, float]) -> requests.Response:
    """Ask for the file from byte `have` on; follow redirects by hand, because each target is checked first."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    address = url
    for _ in range(MAX_REDIRECTS + 1):
        require_reachable(address, timeouts[0])
        try:
            response = session.get(address, headers=headers, stream=True, allow_redirects=False, timeout=timeouts)
        except (requests.exceptions.ProxyError, requests.exceptions.SSLError, requests.Timeout):
            raise
        except requests.ConnectionError as error:
            raise _InterruptedTransfer("closed the connection without an answer") from error
        if not response.is_redirect:
            _require_status(url, response)
            return response
        response.close()
        address = _checked_target(url, address, response.headers["location"])
    raise DataUnavailable(f"{url} redirects more than {MAX_REDIRECTS} times.")


def _checked_target(url: str, address: str, target: str) -> str:
    """Return the redirect's target: http or https, and never from https back to http."""
    before = urlsplit(address).scheme
    with contextlib.suppress(ValueError):
        target = urljoin(address, target)
        parts = urlsplit(target)
        if parts.hostname and parts.port != 0 and parts.scheme in ("https", before):
            return target
    raise DataUnavailable(f"{url} redirects to {target!r}, which is not followed.")


def _require_status(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    response.close()
    answer = f"answered {status} {response.reason or ''}".rstrip()
    if status == 429 or status >= 500:
        raise _InterruptedTransfer(answer)
    raise DataUnavailable(f"{url} {answer}.")


def _announced(response: requests.Response) -> tuple[int | None, int | None]:
    """Return (first byte of what is sent, length of the whole file), None where the server does not say."""
    if response.status_code == 200:
        length = response.headers.get("content-length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(
        r"bytes (?:(\d{1,18})-\d+|\*)/(\d{1,18}|\*)", response.headers.get("content-range", "").strip()
    )
    start, total = found.groups() if found else (None, None)
    return int(start) if start else None, int(total) if total and total != "*" else None


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes as they come; a cut connection is an interruption, silence is an error."""
    deadline = time.monotonic() + TOTAL_SECONDS
    try:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise DataUnavailable(f"{response.url} sends too slowly; given up after {TOTAL_SECONDS} seconds.")
    except urllib3.exceptions.ProtocolError as error:
        raise _InterruptedTransfer("cut the connection before the file was complete") from error


def _restart(part: Path, why: str) -> None:
    part.unlink(missing_ok=True)
    raise _InterruptedTransfer(why)


def _refuse(part: Path, sentence: str) -> None:
    part.unlink(missing_ok=True)
    raise DataUnavailable(sentence)


def _verify(url: str, part: Path, sha256: str | None, check: Callable[[Path], object] | None) -> None:
    if sha256 and (found := sha256_of(part)) != sha256:
        _refuse(part, f"{url} sent other bytes than expected (SHA-256 {found}, not {sha256}); nothing was kept.")
    try:
        if check:
            check(part)
    except StudyError as error:
        _refuse(part, f"{url} sent a file that cannot be used: {error}")


@contextlib.contextmanager
def _bar(url: str, total: int | None, have: int, progress: bool) -> Iterator[tqdm]:
    terminal = sys.stderr.isatty()
    if progress and not terminal:
        print(f"Downloading {url}" + (f" ({total:,} bytes)" if total else ""), file=sys.stderr, flush=True)
    name = urlsplit(url).path.rpartition("/")[2]
    with tqdm(
        total=total, initial=have, unit="B", unit_scale=True, desc=name, disable=not (progress and terminal)
    ) as bar:
        yield bar


def _reason(error: Exception, read_timeout: float) -> str:
    """Return what went wrong in the words of the innermost error; the outer ones repeat the address."""
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return f"the server sent nothing for {read_timeout:g} seconds"
    while inner := [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, Exception)]:
        error = inner[0]
    return str(error).strip().rstrip(".")[:300]
