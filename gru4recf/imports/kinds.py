"""Which kind of feature a column is: seen from its values, told to the user, who may say otherwise.

* lists of numbers, or text of equally many numbers: float_seq
* lists of texts, or short pieces that recur: token_seq
* numbers with decimals, or many different numbers: float
* values that recur: token, unless most are numbers and some are not: drop, and say which
* sentences, a different one for most items: text, which becomes a float_seq of TF-IDF weights
* one value, nothing, or a bare name of every item: drop
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gru4recf.data.columns import EXACT_FLOAT
from gru4recf.imports.numbers import Numbers, read_numbers
from gru4recf.imports.tables import RawTable

CHOICES = ("token", "token_seq", "float", "float_seq", "text", "drop")
MISSING = {"nan", "NaN", "null", "NULL", "None", "\\N", "NA", "N/A", "n/a", "<NA>", "#N/A", "[]"}
SEPARATORS = ("|", ";", ",")
CODE_NAMES = r"(?:^|[\W_])(?:id|ids|code|cat|category|type|class|group)$|[a-z](?:Id|ID|Code)$"
MAX_CODES = 1000
ITEMS_PER_CODE = 10
FEW_ITEMS = 20  # too few to see whether values recur
MOSTLY = 0.8  # of the known values are numbers: the column is meant to hold numbers


@dataclass(frozen=True)
class Kind:
    """A feature's kind, how its lists are written, and why it was chosen."""

    kind: str
    reason: str
    separator: str = ""


def plain_text(raw: RawTable, column: str) -> pd.Series:
    """Return a column's values as strings, "" where missing or where a word says so."""
    values = raw.table[column]
    if pa.types.is_floating(values.type):
        numbers = values.to_pandas().astype("float64")
        whole = bool((((numbers % 1 == 0) & (numbers.abs() < EXACT_FLOAT)) | numbers.isna()).all())
        text = numbers.astype("Int64").astype("str") if whole else numbers.map(repr).astype("str")
        return text.where(numbers.notna(), "")
    text = raw.text(column).str.strip()
    return text.where(~text.isin(MISSING), "")


def is_list(raw: RawTable, column: str) -> bool:
    """Return whether a column holds lists."""
    kind = raw.table[column].type
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def without_brackets(text: pd.Series) -> pd.Series:
    """Return lists written as ["a", "b"] or ['a', 'b'] as a, b; texts unchanged where some are no such list."""
    known = text[text != ""]
    if known.empty or not (known.str.startswith("[") & known.str.endswith("]")).all():
        return text
    return text.str.replace(r"""^\[\s*["']?|["']?\s*\]$""", "", regex=True).str.replace(
        r"""["']?\s*,\s*["']?""", ",", regex=True
    )


def infer(raw: RawTable, column: str) -> Kind:
    """Return the kind of a column of the item table."""
    if is_list(raw, column):
        return _infer_list(raw, column)
    kind = raw.table[column].type
    if pa.types.is_temporal(kind):
        return Kind("drop", "it is a time; write it as a number or as text")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Kind("drop", f"values of type {kind} are neither text, numbers nor lists")
    text = plain_text(raw, column)
    known = text[text != ""]
    n_values = known.nunique()
    if known.empty:
        return Kind("drop", "it is empty")
    if n_values == 1 and len(known) == len(text):
        return Kind("drop", "it has one value for all items")
    numbers = read_numbers(known)
    is_number = numbers.values.notna()
    if pa.types.is_floating(kind) or is_number.all():
        return _infer_numbers(column, known, n_values) if numbers.told == "numbers" else Kind("float", numbers.told)
    are_codes = _is_code(column) and known[is_number].str.fullmatch(r"\d+").all()
    if (is_number | numbers.unclear).mean() >= MOSTLY and not are_codes:
        return _odd_numbers(raw, column, known, numbers)
    return _infer_vector(known) or _infer_pieces(without_brackets(known), n_values) or _infer_words(known, n_values)


def _infer_list(raw: RawTable, column: str) -> Kind:
    values = raw.table[column].combine_chunks()
    lengths = pc.list_value_length(values).drop_null().to_numpy(zero_copy_only=False)
    lengths = np.unique(lengths[lengths > 0])
    if not len(lengths):
        return Kind("drop", "it is empty")
    flat = values.flatten()
    if pa.types.is_string(flat.type):
        are_numbers = bool(pd.to_numeric(flat.drop_null().to_pandas(), errors="coerce").notna().all())
    else:
        are_numbers = pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type)
    if are_numbers and len(lengths) == 1 and lengths[0] > 1:
        return Kind("float_seq", f"lists of {lengths[0]} numbers")
    return Kind("token_seq", "lists")


def _infer_numbers(column: str, known: pd.Series, n_values: int) -> Kind:
    if known.str.match(r"-?0\d").any():
        return Kind("token", "numbers with leading zeros")
    if not known.str.fullmatch(r"[+-]?\d+").all():
        return Kind("float", "numbers")
    recurring = n_values <= MAX_CODES and len(known) >= ITEMS_PER_CODE * n_values
    if recurring or _is_code(column):
        return Kind("token", f"{n_values:,} different whole numbers, taken for codes")
    return Kind("float", f"{n_values:,} different whole numbers")


def _is_code(column: str) -> bool:
    return re.search(CODE_NAMES, column) is not None


def _odd_numbers(raw: RawTable, column: str, known: pd.Series, numbers: Numbers) -> Kind:
    """Leave a column out whose values are numbers but for some, and name the first that is none."""
    odd = numbers.values.index[numbers.values.isna()]
    unclear = ", which may have thousands or decimals or be a list" if numbers.unclear[odd[0]] else ""
    return Kind(
        "drop",
        f"{len(known) - len(odd):,} of {len(known):,} known values are {numbers.told}, not {known[odd[0]][:40]!r} (row "
        f"{odd[0] + raw.first_row}){unclear}; mend such values, read them as missing with --feature {column}:float "
        f"--drop-bad, or say another kind, such as --feature {column}:token",
    )


def _infer_vector(known: pd.Series) -> Kind | None:
    words = known.str.strip("[]() ").str.replace(",", " ", regex=False).str.split()
    lengths = words.str.len()
    if lengths.nunique() != 1 or lengths.iloc[0] < 3:
        return None
    numbers = pd.to_numeric(words.explode(), errors="coerce")
    return Kind("float_seq", f"{lengths.iloc[0]} numbers each", "vector") if numbers.notna().all() else None


def _infer_pieces(known: pd.Series, n_values: int) -> Kind | None:
    """Return token_seq where values fall into short pieces that recur more than the values do."""
    for separator in SEPARATORS:
        if not known.str.contains(separator, regex=False).mean() >= 0.1:
            continue
        pieces = known.str.split(separator).explode().str.strip()
        pieces = pieces[pieces != ""]
        n_pieces = pieces.nunique()
        short = pieces.str.count(r"\s+").mean() < 2
        at_most = n_values if separator == "," else max(n_values, 2 * len(known) ** 0.5)  # names have commas too
        if short and n_pieces < 0.5 * len(pieces) and n_pieces <= at_most:
            return Kind("token_seq", f"{n_pieces:,} different pieces between {separator!r}", separator)
    return None


def _infer_words(known: pd.Series, n_values: int) -> Kind:
    if n_values <= 0.5 * len(known):
        return Kind("token", f"{n_values:,} different values")
    if known.str.count(r"\s+").mean() >= 1:
        return Kind("text", "a different text for most items")
    if len(known) < FEW_ITEMS:
        return Kind("token", f"{n_values:,} different values of {len(known)}")
    return Kind("drop", "nearly every item has a value of its own, as with names and addresses of pictures")
