"""Write an imported data set: a whole folder or none, as text where people can read it, else as typed parquet."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from gru4recf.errors import StudyError
from gru4recf.files import write_parquet, write_text
from gru4recf.imports.items import ItemTable
from gru4recf.imports.values import as_array

MAX_TEXT_ROWS = 1_000_000
CONTROL = r"[\x00-\x1f\x7f]"  # what would break a row of tab-separated text


def require_free(out: Path) -> None:
    """Refuse a target that holds something."""
    if out.is_file():
        raise StudyError(f"--out {out} is a file; name a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()):
        raise StudyError(f"--out {out} is not empty; name a new folder, or delete this one first.")


def require_name(name: str) -> None:
    """Refuse a data set's name that is no plain file name."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise StudyError(f"--name is {name!r}; use letters, digits, dots, dashes and underscores, such as shop-2024.")


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes `out` when the block ends without an error."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".import-", dir=out.parent))
        try:
            yield folder
            require_free(out)
            folder.chmod(0o777 & ~_umask())
            os.replace(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise StudyError(f"--out {out} cannot be written ({error.strerror}); name another folder.") from error


def write_events(folder: Path, name: str, events: pd.DataFrame, owner: str) -> Path:
    """Write `session`, `item`, `time` as NAME.inter, or NAME.inter.parquet where text would not do."""
    frame = events[["session", "item", "time"]].set_axis(
        [f"{owner}:token", "item_id:token", "timestamp:float"], axis="columns"
    )
    texts = [pa.array(frame[column]) for column in frame.columns[:2]]
    if len(frame) > MAX_TEXT_ROWS or any(_breaks_text(column) for column in texts):
        path = folder / f"{name}.inter.parquet"
        write_parquet(path, frame)
        return path
    return _write_text(folder / f"{name}.inter", {column: pa.array(frame[column]) for column in frame.columns})


def write_items(folder: Path, name: str, items: ItemTable) -> Path | None:
    """Write NAME.item, or NAME.item.parquet where there are vectors or text would not do; None without features."""
    if not items.features:
        return None
    columns = {"item_id:token": pa.array(items.ids, pa.string())}
    columns |= {f"{f}:{kind}": as_array(items.features[f], kind) for f, kind in items.kinds.items()}
    texts = [pc.list_flatten(a) if pa.types.is_list(a.type) else a for a in columns.values()]
    if "float_seq" in items.kinds.values() or any(_breaks_text(a) for a in texts if pa.types.is_string(a.type)):
        path = folder / f"{name}.item.parquet"
        pa.parquet.write_table(pa.table(columns), path, compression="zstd")
        return path
    joined = {c: pc.binary_join(a, " ") if pa.types.is_list(a.type) else a for c, a in columns.items()}
    return _write_text(folder / f"{name}.item", joined)


def _breaks_text(values: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, CONTROL)).as_py())


def _write_text(path: Path, columns: dict[str, pa.Array]) -> Path:
    """Write tab-separated text; numbers with all their digits, missing values as empty fields."""
    texts = [array.cast(pa.string()) for array in columns.values()]
    rows = pc.binary_join_element_wise(*texts, "\t", null_handling="replace", null_replacement="")
    write_text(path, "\n".join(["\t".join(columns), *rows.to_pylist(), ""]))
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
