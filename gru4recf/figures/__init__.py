"""One function per figure: a frame in, a Figure out; `CAPTIONS[function's name]` is the text below it.

A Figure shows itself in a notebook when it is the last value of a cell; `save` writes it as PNG and PDF, and `show`
does both, with the caption.
"""

from gru4recf.figures.base import CAPTIONS, COLOURS, Picture, colour_of, marker_of, save, show, show_if_any
from gru4recf.figures.data import feature_coverage, popularity, session_lengths, split_in_time
from gru4recf.figures.forest_plot import forest
from gru4recf.figures.gains import gain_by_place, gain_by_repeat, gain_by_support
from gru4recf.figures.learning import learning_curves
from gru4recf.figures.metrics import metric_per_variant
from gru4recf.figures.run import training_curve
from gru4recf.figures.sensitivity import wins_by_choice
from gru4recf.figures.sizes import metric_by_training_size
from gru4recf.figures.tuning import best_so_far
from gru4recf.figures.worth import worth_of_features

__all__ = [
    "CAPTIONS",
    "COLOURS",
    "Picture",
    "best_so_far",
    "colour_of",
    "feature_coverage",
    "forest",
    "gain_by_place",
    "gain_by_repeat",
    "gain_by_support",
    "learning_curves",
    "marker_of",
    "metric_by_training_size",
    "metric_per_variant",
    "popularity",
    "save",
    "session_lengths",
    "show",
    "show_if_any",
    "split_in_time",
    "training_curve",
    "wins_by_choice",
    "worth_of_features",
]
