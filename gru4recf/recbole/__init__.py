"""From and to RecBole 1.2.1: the same weights give the same numbers.

Its GRU4RecF is `parallel_concat`, its GRU4Rec is `id_only`.
"""

from gru4recf.recbole.export import export_run
from gru4recf.recbole.incoming import features_of, from_recbole
from gru4recf.recbole.model import RecBoleModel
from gru4recf.recbole.outgoing import to_recbole
from gru4recf.recbole.reading import HOW_TO_WRITE, read_recbole, read_recboles_items

__all__ = [
    "HOW_TO_WRITE",
    "RecBoleModel",
    "export_run",
    "features_of",
    "from_recbole",
    "read_recbole",
    "read_recboles_items",
    "to_recbole",
]
