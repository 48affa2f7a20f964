"""Controls: networks that show what a gain owes to something else than features, or than the way of fusing them.

Each is an ordinary variant built with other sizes or other features, and trained like all others. A control's module
decides its own runs alone (`results.code_digest`), so that one more of them makes no finished run stale.
"""

CONTROLS = {
    "id_only_wide": "id_only",
    "id_only_matched": "id_only",
    "concat_input_matched": "concat_input",
    "weighted_sum_matched": "weighted_sum",
    "parallel_item_twice": "parallel_concat",
    "parallel_permuted": "parallel_concat",
    "parallel_untrained": "parallel_concat",
}
"""Control -> the network it is a control of; a module of the control's name has its `build`."""
