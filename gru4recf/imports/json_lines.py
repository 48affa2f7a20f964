"""Tables of JSON lines, one object a line; numbers keep the digits they were written with."""

import io
import json
from pathlib import Path

import pyarrow as pa

from gru4recf.data.tables import one_line
from gru4recf.errors import DataError


def read_json_lines(path: Path, stream: pa.NativeFile) -> pa.Table:
    """Return a column per name, of texts or of lists of texts; what a line does not name is missing.

    A column with an object is of parquet's type for these, without values: it is neither an id nor a feature.

    Args:
        path: for sentences about it.
        stream: its unpacked bytes.

    Raises:
        DataError: naming the line that is no JSON object.
    """
    columns: dict[str, list] = {}
    n_rows = 0
    for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
            if "\\u" in line:  # may be half a character, which is no text
                json.dumps(record, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not a JSON object of UTF-8 text ({one_line(error)}).") from None
        if not isinstance(record, dict):
            raise DataError(f'{path}, line {number}: a JSON object such as {{"item": 1}} is expected on every line.')
        for name, value in record.items():
            column = columns.setdefault(name, [])
            column += [None] * (n_rows - len(column))
            column.append(_plain(value))
        n_rows += 1
    arrays = {name: _array(values + [None] * (n_rows - len(values))) for name, values in columns.items()}
    return pa.table(arrays)


def _plain(value: object) -> str | list[str] | dict | None:
    """Return a JSON value as text or a list of texts, an object as it is; numbers are text already."""
    if value is None or isinstance(value, str | dict):
        return value
    if isinstance(value, list):
        return [json.dumps(v) if isinstance(v, dict | list | bool) else v for v in value]
    return json.dumps(value)


def _array(values: list) -> pa.Array:
    if (record := next((value for value in values if isinstance(value, dict)), None)) is not None:
        return pa.nulls(len(values), pa.struct([(name, pa.string()) for name in record]))
    if any(isinstance(value, list) for value in values):
        return pa.array([v if isinstance(v, list) or v is None else [v] for v in values], pa.list_(pa.string()))
    return pa.array(values, pa.string())
