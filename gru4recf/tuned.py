"""What a variant takes from tuning: its own winner, or, for a control that no search is made for, its network's."""

from pathlib import Path
from typing import Any

from gru4recf.errors import StudyError
from gru4recf.space import SEARCHED, network_of
from gru4recf.winners import read_tuned, tuned_path


def settings_for(folder: Path, label: str, variant: str, data_digest: str | None = None) -> dict[str, Any]:
    """Return one variant's tuned settings; a baseline has none.

    Raises:
        StudyError: as `read_tuned`, and for a variant that was not tuned.
    """
    searched = variant if variant in SEARCHED else network_of(variant)
    if searched not in SEARCHED:
        return {}
    tuned = read_tuned(folder, label, data_digest)
    if searched not in tuned:
        raise StudyError(
            f"{tuned_path(folder, label)}: {searched} has not been tuned; run `gru4recf tune STUDY --datasets "
            f"{label} --variants {searched}` with the trials of the others."
        )
    return tuned[searched]
