"""What `gru4recf data import` does with its options."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gru4recf.errors import StudyError
from gru4recf.imports.events import Columns, parse_gap
from gru4recf.imports.formats import read_format
from gru4recf.imports.items import parse_kinds
from gru4recf.imports.step import Log, import_log
from gru4recf.imports.tables import read_raw
from gru4recf.imports.writing import require_free


def make_import(
    source: Path,
    out: Path,
    *,
    published: str | None,
    items: Path | None,
    columns: Columns,
    item_id: str | None,
    gap: str | None,
    features: tuple[str, ...],
    vectors: tuple[str, ...],
    name: str | None,
    drop_bad: bool,
    tell: Callable[[str], None],
) -> None:
    """Import a log, or a folder in a published format, and tell the report.

    Raises:
        StudyError: for options that do not go together, and data that cannot be used.
    """
    require_free(out)  # before an hour of reading
    if published:
        if columns.named or columns.unit != "auto" or items or item_id or gap or vectors:
            raise StudyError(f"--format {published} knows its files and columns; leave the other options out.")
        log = read_format(published, source, drop_bad=drop_bad)
        log = replace(log, kinds={**log.kinds, **parse_kinds(features)})
    else:
        log = _own_log(source, items, columns, item_id, gap, features, vectors, drop_bad)
    report = import_log(log, out, name or "", drop_bad=drop_bad)
    tell(report.text())
    tell(f"Next: gru4recf data {out}; gru4recf study studies/default.yaml --dataset {out}")


def _own_log(
    source: Path,
    items: Path | None,
    columns: Columns,
    item_id: str | None,
    gap: str | None,
    features: tuple[str, ...],
    vectors: tuple[str, ...],
    drop_bad: bool,
) -> Log:
    for option, value, example in (("--item", columns.item, "item_id"), ("--time", columns.time, "timestamp")):
        if not value:
            raise StudyError(f"{option} is missing; name the column of the log, such as {option} {example}.")
    if not (columns.session or columns.user):
        raise StudyError("Name the column that says which events belong together: --session COL, or --user COL.")
    if item_id and not items:
        raise StudyError(f"--item-id {item_id} names a column of --items; give --items FILE, or leave it out.")
    seconds, kinds = parse_gap(gap) if gap else None, parse_kinds(features)
    files = dict(_vector_file(text) for text in vectors)
    table = read_raw(items, drop_bad=drop_bad) if items else None
    return Log(
        events=read_raw(source, drop_bad=drop_bad),
        columns=columns,
        items=table,
        item_id=item_id or columns.item,
        gap=seconds,
        kinds=kinds,
        vectors=files,
        told=(f"{items}: {len(table):,} rows read",) if table is not None else (),
    )


def _vector_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise StudyError(f"--vectors {text}: write it as NAME=FILE.npy.")
    return name, Path(path)
