"""What all figures share: style, one colour and one marker per variant, captions, and files without dates."""

import base64
import functools
import io
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from gru4recf.errors import StudyError
from gru4recf.files import atomic_path

STYLE = Path(__file__).parents[1] / "figures.mplstyle"
WIDTH = 7.0  # inches, a report's column
SHOWN_DPI = 100  # pixels per inch at which a notebook shows a figure

# The colours of Okabe and Ito, which people who see red and green alike can tell apart.
COLOURS = {
    "popularity": "#808080",
    "id_only": "#000000",
    "feature_only": "#CC79A7",
    "concat_input": "#009E73",
    "parallel_concat": "#D55E00",
    "weighted_sum": "#0072B2",
    "parallel_scores": "#56B4E9",
    "interaction": "#E69F00",
}
MARKERS = dict(zip(COLOURS, "XosD^vP*", strict=True))
# A control has its network's colour, a baseline popularity's; a marker of its own tells it from the others.
ALIKE = {
    "id_only": {"id_only_wide": "<", "id_only_matched": ">"},
    "concat_input": {"concat_input_matched": ">"},
    "weighted_sum": {"weighted_sum_matched": ">"},
    "parallel_concat": {"parallel_item_twice": "p", "parallel_permuted": "h", "parallel_untrained": "8"},
    "popularity": {
        **{"session_popularity": "o", "markov": "s", "markov_features": "D", "sequential_rules": "P"},
        **{"item_knn": "d", "content_knn": "*", "vsknn": "v", "vstan": "^"},
    },
}
for kind, markers in ALIKE.items():
    COLOURS.update(dict.fromkeys(markers, COLOURS[kind]))
    MARKERS.update(markers)
OTHER_COLOURS = ("#882255", "#117733", "#332288", "#999933", "#AA4499", "#44AA99")
OTHER_MARKERS = "<>pHd8"
DATA_COLOUR = "#4C6A80"  # of figures that show data, not variants
MOST_IN_A_ROW = 6  # entries of a legend
CHARACTER, HANDLE = 0.058, 7  # inches of a letter in a legend; letters that a line with its marker and gaps takes
BAND = 2.0  # percent; differences inside are equivalent
BAND_COLOUR = "#EFEFE4"

CAPTIONS: dict[str, str] = {}

Values = pd.Series | float


class Picture(Figure):
    """A Figure that shows itself in a notebook, with the bytes that `save` writes, whatever backend is active."""

    caption = ""
    """The text below it: what is drawn, and what its error bars mean."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        return self.shown(_bytes(self, "png"))

    def shown(self, png: bytes) -> tuple[dict[str, str], dict[str, Any]]:
        """Return what a notebook displays, data and metadata, for the bytes of its picture."""
        width, height = map(round, self.get_size_inches() * SHOWN_DPI)
        look = {"width": width, "height": height, "alt": self.caption}
        return {"image/png": base64.b64encode(png).decode(), "text/plain": repr(self)}, {"image/png": look}


def style() -> AbstractContextManager:
    """Return the context in which figures are made and written; a user's own matplotlib settings do not enter."""
    return matplotlib.style.context(STYLE, after_reset=True)


def captioned(caption: str) -> Callable:
    """Give a figure function its caption, draw in the study's style, and refuse a frame without rows.

    The layout is settled once, because it moves a little with every drawing, and the bytes with it.
    """

    def decorate(draw: Callable[..., Picture]) -> Callable[..., Picture]:
        CAPTIONS[draw.__name__] = caption

        @functools.wraps(draw)
        def drawn(frame: pd.DataFrame | pd.Series) -> Picture:
            if frame.empty:
                raise StudyError(f"The figure {draw.__name__} was given no rows; it needs a finished run or data.")
            with style():
                figure = draw(frame)
                figure.caption = caption
                figure.get_layout_engine().execute(figure)
                figure.set_layout_engine("none")
                return figure

        return drawn

    return decorate


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write NAME.png and NAME.pdf into `folder` and return the PNG's path; the same numbers give the same bytes."""
    for suffix in ("pdf", "png"):
        with atomic_path(Path(folder) / f"{name}.{suffix}") as temporary:
            temporary.write_bytes(_bytes(figure, suffix))
    return Path(folder) / f"{name}.png"


def show(figure: Picture, folder: Path, name: str) -> None:
    """Save a figure, and display it in a notebook with its caption below."""
    from IPython.display import Markdown, display

    data, look = figure.shown(save(figure, folder, name).read_bytes())
    display(data, metadata=look, raw=True)
    display(Markdown(f"*{figure.caption}*"))


def show_if_any(draw: Callable[[pd.DataFrame], Picture], frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Draw and `show` a frame that has rows, or say that the study has nothing to draw, and leave no old file."""
    from IPython.display import Markdown, display

    if len(frame):
        show(draw(frame), folder, name)
        return
    for suffix in ("pdf", "png"):
        (Path(folder) / f"{name}.{suffix}").unlink(missing_ok=True)
    display(Markdown("*This study has no runs to show here.*"))


def _bytes(figure: Figure, suffix: str) -> bytes:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=suffix, metadata={"CreationDate": None} if suffix == "pdf" else None)
    return _with_palette(buffer) if suffix == "png" else buffer.getvalue()


def _with_palette(png: io.BytesIO) -> bytes:
    """Return the picture in few colours, as these figures have: it takes a quarter of the bytes."""
    smaller = io.BytesIO()
    reduced = Image.open(png).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette, background = reduced.getpalette(), reduced.getpixel((0, 0))
    palette[3 * background : 3 * background + 3] = [255] * 3  # it is averaged with the greys next to white
    reduced.putpalette(palette)
    reduced.save(smaller, "png", optimize=True)
    return smaller.getvalue()


def colour_of(variant: str) -> str:
    """Return the colour a variant has in every figure."""
    return COLOURS.get(variant) or OTHER_COLOURS[zlib.crc32(variant.encode()) % len(OTHER_COLOURS)]


def marker_of(variant: str) -> str:
    """Return the marker a variant has in every figure."""
    return MARKERS.get(variant) or OTHER_MARKERS[zlib.crc32(variant.encode()) // 64 % len(OTHER_MARKERS)]


def panels(n_rows: int, n_columns: int, height: float, **options: Any) -> tuple[Picture, np.ndarray]:
    """Return a figure of one report column's width, `height` inches high, and its axes (n_rows, n_columns)."""
    figure = Picture(figsize=(WIDTH, height))
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, **options)


def wrapped_panels(n_panels: int, n_columns: int, height: float) -> tuple[Picture, list[Axes]]:
    """Return a figure and `n_panels` axes, each `height` inches high, at most `n_columns` side by side."""
    n_columns = min(n_panels, n_columns)
    n_rows = -(-n_panels // n_columns)
    figure, axes = panels(n_rows, n_columns, 0.5 + height * n_rows)
    for unused in axes.flat[n_panels:]:
        unused.remove()
    return figure, list(axes.flat[:n_panels])


def intervals(axes: Axes, variant: str, x: Values, y: Values, *, along: str, low: Values, high: Values) -> None:
    """Draw dots with intervals from `low` to `high` along "x" or "y"; a missing interval leaves its dot alone."""
    middle = x if along == "x" else y
    lengths = np.reshape([middle - low, high - middle], (2, -1)).clip(0)
    look = {"color": colour_of(variant), "fmt": marker_of(variant), "elinewidth": 1.2, "mec": "white", "mew": 0.4}
    if marker_of(variant) == "*":  # a white edge would leave little of its points
        look |= {"mec": colour_of(variant), "markersize": 8}
    axes.errorbar(x, y, **{f"{along}err": lengths}, **look)


def variant_handles(variants: Iterable[str], labels: Iterable[str] | None = None, **look: Any) -> list[Line2D]:
    """Return legend entries that show each variant's colour and marker."""
    return [
        Line2D([], [], label=label, **{"color": colour_of(variant), "marker": marker_of(variant)} | look)
        for variant, label in zip(variants, variants if labels is None else labels, strict=True)
    ]


def legend_below(figure: Figure, handles: list[Artist]) -> None:
    """Put one legend for all panels below them, in as few rows as its names leave room for."""
    names = [str(handle.get_label()) for handle in handles]
    n_rows = -(-len(handles) // MOST_IN_A_ROW)
    while n_rows < len(handles) and _legend_width(names, n_rows) > figure.get_figwidth():
        n_rows += 1
    figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // n_rows))


def _legend_width(names: list[str], n_rows: int) -> float:
    """Return about how many inches a legend takes that is filled column by column."""
    columns = [names[i : i + n_rows] for i in range(0, len(names), n_rows)]
    return sum(CHARACTER * (HANDLE + max(map(len, column))) for column in columns)


def whole_numbers() -> MaxNLocator:
    """Return a locator of few ticks, all whole numbers, one at least: for epochs."""
    return MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def signed_percent(value: float, position: int | None = None) -> str:
    """Return a percentage with its sign, as axes show it: `+5%`, `0%`, and a true minus sign before a loss."""
    return "0%" if abs(value) < 1e-9 else f"{value:+g}%".replace("-", "\N{MINUS SIGN}")


def show_equivalence(axes: Axes, along: str) -> None:
    """Shade the band of equivalence and draw the line of no difference, across the axis `along`."""
    span, line = (axes.axvspan, axes.axvline) if along == "x" else (axes.axhspan, axes.axhline)
    span(-BAND, BAND, color=BAND_COLOUR, zorder=0)
    line(0, color="#555555", linewidth=0.8, zorder=1)
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_formatter(signed_percent)


def readable_limits(percent: pd.DataFrame) -> tuple[float, float]:
    """Return a range that holds all gains and the band, and intervals as far as they leave the gains readable."""
    lowest, highest = min(percent["relative"].min(), -BAND), max(percent["relative"].max(), BAND)
    if percent.empty:
        lowest, highest = -BAND, BAND
    room = highest - lowest
    low, high = max(percent["low"].min(), lowest - room), min(percent["high"].max(), highest + room)
    return np.nanmin([low, lowest]) - 0.06 * room, np.nanmax([high, highest]) + 0.06 * room
