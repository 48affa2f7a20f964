"""Controls: networks that show what a gain owes to something else than features.

Each is an ordinary variant built with other sizes or other features, and trained like all others. A control's module
decides its own runs alone (`results.code_digest`), so that one more of them makes no finished run stale.
"""

CONTROLS = {
    "id_only_wide": "id_only",
    "id_only_matched": "id_only",
    "parallel_item_twice": "parallel_concat",
    "parallel_permuted": "parallel_concat",
    "parallel_untrained": "parallel_concat",
}
"""Control -> the network it is a control of, whose tuned settings it takes; a module of its name has its `build`."""
