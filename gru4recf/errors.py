"""What a user's mistake is told: one sentence that names the value and the fix."""

import difflib
from collections.abc import Iterable

EXIT_CODES = """
\b
Exit codes: 0 done; 1 a run failed; 2 wrong usage or data (one sentence says what to change);
3 a claim is not supported and --strict was given.
"""


class StudyError(Exception):
    """A mistake in usage, settings or data; its text is one readable sentence. The command exits 2."""


class DataError(StudyError):
    """Outside data that cannot be used; the sentence names file, column, row and fix."""


class DataUnavailable(DataError):
    """A registered data set that cannot be had on this machine; the sentence says why and what to do."""


class RunError(StudyError):
    """A run that started and did not finish. The command exits 1."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> StudyError:
    """Return the error for a name that is not among `known`, pointing at the nearest one.

    `unknown_name("variant", "paralel_concat", VARIANTS)` reads
    "Unknown variant 'paralel_concat'; did you mean 'parallel_concat'? Known: ...".
    """
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return StudyError(f"Unknown {kind} {str(name)!r}{hint} Known: {', '.join(known)}.")
