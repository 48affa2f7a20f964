"""Parallel, scores summed: one GRU and one output matrix for items, one of each for features. The paper's parallel.

    h_x = GRU(E_item[x]);  h_f = GRU(E_features[x]);  scores = W_x h_x + W_f h_f

The sum is one product of [W_x W_f] with the concatenated states. The paper's scalar weights w_x and w_f are equal and
fixed, so the matrices take them in.

Source: Hidasi et al., RecSys 2016, section 3 ("parallel"), with embedded instead of one-hot inputs and without tanh.
"""

from gru4recf.models.parallel_concat import ParallelConcat


class ParallelScores(ParallelConcat):
    """Two GRUs with an output matrix each."""

    separate_output = True
