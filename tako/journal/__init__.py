"""The journal: what a run has worked for, kept, so that it goes on after a kill and replays in a test.

| file         | holds                                                                        |
|--------------|------------------------------------------------------------------------------|
| journal      | Journal: where a run is kept; reading it, forking it                         |
| keeping      | the layer between a run and its driver: what is taken from it, and kept there |
| recording    | what was kept and what is new, while a run goes on; whether the two fit       |
| wording      | what people read of a run that does not fit                                   |
| entry        | one thing that is kept, as a line; which of them hold                        |
| failures     | errors as JSON                                                               |
| scrubbing    | secrets, before anything is written                                          |
| store        | what a store is; the one in memory                                           |
| file_store   | a file of lines                                                              |
| sqlite_store | a database of many runs                                                      |
"""

from __future__ import annotations

from tako.journal.entry import Entry
from tako.journal.errors import JournalError, JournalMismatch
from tako.journal.journal import Ended, Journal, Reply, Step, kept_in

__all__ = ["Ended", "Entry", "Journal", "JournalError", "JournalMismatch", "Reply", "Step", "kept_in"]
