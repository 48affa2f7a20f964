"""What a variant takes from tuning: its own winner, or, for some controls, that of the network they control."""

from pathlib import Path
from typing import Any

from gru4recf.errors import StudyError
from gru4recf.models import NETWORKS
from gru4recf.space import AS_LARGE_AS_PARALLEL, PARALLEL, given_size, network_of
from gru4recf.winners import read_tuned, tuned_path


def settings_for(folder: Path, label: str, variant: str, data_digest: str | None = None) -> dict[str, Any]:
    """Return one variant's tuned settings; a baseline has none.

    A control that no search was made for has its network's settings at the given size, and a linear map only where one
    is needed: what was found at another size says nothing for it.

    Raises:
        StudyError: as `read_tuned`, and for a network that was not tuned.
    """
    network = network_of(variant)
    if network not in NETWORKS:
        return {}
    tuned = read_tuned(folder, label, data_digest)
    if variant in tuned:
        return tuned[variant]
    larger = PARALLEL if variant in AS_LARGE_AS_PARALLEL else network
    if missing := [needed for needed in (network, larger) if needed not in tuned]:
        raise StudyError(
            f"{tuned_path(folder, label)}: {missing[0]} has not been tuned; run `gru4recf tune STUDY --datasets "
            f"{label} --variants {missing[0]}` with the trials of the others."
        )
    if larger == network:
        return tuned[network]
    return {**tuned[network], "head": "where_needed", **given_size(variant, tuned[larger])}
