"""Find genre tags that the model doubts, and correct them.

:mod:`~recsys.audit.disagreements` compares tags with the model and changes nothing;
:mod:`~recsys.audit.retagging` writes what the user accepts, with a journal to undo it;
:mod:`~recsys.audit.genre_field` reads and writes the one field in every format.
"""

from recsys.audit.disagreements import AuditOptions, AuditReport, Finding, FolderFindings, audit
from recsys.audit.retagging import Retagger, RetagOutcome, undo_run

__all__ = [
    "AuditOptions",
    "AuditReport",
    "Finding",
    "FolderFindings",
    "RetagOutcome",
    "Retagger",
    "audit",
    "undo_run",
]
