"""Where the genre tags of the files and the model disagree, and putting the tags right.

:mod:`recsys.audit.disagreements` finds them and changes nothing. :mod:`recsys.audit.retagging`
writes what the user accepted: :mod:`recsys.audit.retagging` keeps the old values first,
:mod:`recsys.audit.genre_field` reads and writes the one field in every format that mutagen writes,
and :mod:`recsys.audit.retagging` replaces a file as a whole or not at all.
"""

from recsys.audit.disagreements import AuditOptions, AuditReport, Finding, FolderFindings, audit
from recsys.audit.retagging import Outcome, Retagger, undo_run

__all__ = [
    "AuditOptions",
    "AuditReport",
    "Finding",
    "FolderFindings",
    "Outcome",
    "Retagger",
    "audit",
    "undo_run",
]
