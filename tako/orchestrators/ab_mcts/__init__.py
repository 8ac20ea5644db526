"""AbMcts: many answers to one question, grown as a tree, and the best of them.

| file              | what is in it                                                     |
|-------------------|-------------------------------------------------------------------|
| ab_mcts.py        | AbMcts: what a search is made of, checked                         |
| search_run.py     | SearchRun: one search as a machine whose whole state is data      |
| search_steps.py   | what it asks for, what it is fed, what is written of it           |
| rollout.py        | performing it: answers side by side, each of them judged          |
| search_result.py  | SearchResult                                                      |

Where the next answer grows is decided in tako.orchestrators.tree_search, which knows nothing of models.
"""

from __future__ import annotations

from tako.orchestrators.ab_mcts.ab_mcts import AbMcts
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.ab_mcts.search_run import SearchRun

__all__ = ["AbMcts", "SearchResult", "SearchRun"]
