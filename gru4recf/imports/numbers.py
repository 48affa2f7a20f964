"""Numbers as tables write them: with a currency at either end, separators of thousands, and decimal commas.

1,299 and 1.299 are unclear. What the column's other values tell decides: beside 12,99 a comma parts decimals and a
point thousands, beside 12.99 the other way round. Beside neither (or both) 1.299 is read as pandas reads it, and 1,299
not at all: it may be a list as well.
"""

import re
from dataclasses import dataclass

import pandas as pd

from gru4recf.data.columns import LARGEST_FLOAT

SIGN = (
    r"(?:[A-Z]{0,2}\$|[€£¥₹₽₩₺₪₫₴₦₱฿]|Rs\.?|kr\.?|zł|Kč|lei|euros?|dollars?|USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|RUB|PLN|CZK"
    r"|SEK|NOK|DKK|HUF|RON|TRY|BRL|CAD|AUD|NZD|MXN|ZAR|KRW|SGD|HKD|TWD|THB|IDR|AED|SAR|ILS|UAH)"
)
CURRENCY = re.compile(rf"^{SIGN}\s*(?=[\d.,+-])|(?<=^[+-]){SIGN}\s*(?=[\d.,])|(?<=[\d.,])\s*{SIGN}$", re.IGNORECASE)
SPACE = "[' \u00a0\u202f]"  # parts thousands, as does whichever of comma and point does not part decimals
UNCLEAR = r"[+-]?\d{1,3}(?:(?:,\d{3})+|\.\d{3})"
DECIMAL_COMMA = rf"[+-]?(?:\d+|\d{{1,3}}(?:(?:\.|{SPACE})\d{{3}})+),\d+"
DECIMAL_POINT = rf"[+-]?(?:\d+|\d{{1,3}}(?:(?:,|{SPACE})\d{{3}})+)\.\d+"


@dataclass(frozen=True)
class Numbers:
    """Numbers of n texts.

    Attributes:
        values: (n,) float64; NaN for what is no number, is unclear, or is larger than float32 holds.
        unclear: (n,) whether a text without a value is one number or another, or a list.
        told: how they were read, for the report.
    """

    values: pd.Series
    unclear: pd.Series
    told: str


def read_numbers(text: pd.Series) -> Numbers:
    """Read texts that are not empty."""
    values = _plain(text)
    if values.notna().all():
        return Numbers(values, values.isna(), "numbers")
    bare = text.str.replace(CURRENCY, "", regex=True)
    values = _plain(bare)
    unclear = bare.str.fullmatch(UNCLEAR)
    commas = bare.str.fullmatch(DECIMAL_COMMA) & ~unclear
    points = bare.str.fullmatch(DECIMAL_POINT) & ~unclear
    if commas.any() and points.any():
        values = values.mask(unclear)
    elif commas.any():
        commas |= unclear
    elif points.any():
        points |= unclear
    values[commas] = _plain(bare[commas].str.replace(rf"\.|{SPACE}", "", regex=True).str.replace(",", "."))
    values[points] = _plain(bare[points].str.replace(rf",|{SPACE}", "", regex=True))
    grouped = bare[commas].str.contains(rf"\.|{SPACE}").any() or bare[points].str.contains(rf",|{SPACE}").any()
    signs = sorted(set(text.str.findall(CURRENCY).explode().dropna().str.strip()))
    written = {
        "decimal points": commas.any() and points.any(),
        "decimal commas": commas.any(),
        "separators of thousands": grouped,
        "/".join(signs[:5]): bool(signs),
    }
    told = " and ".join(how for how, is_so in written.items() if is_so)
    return Numbers(values, unclear & values.isna(), f"numbers with {told}" if told else "numbers")


def _plain(text: pd.Series) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype("float64")
    return values.where(values.abs() <= LARGEST_FLOAT)
