"""Adaptive branching Monte Carlo tree search (AB-MCTS-A): the search itself, without anybody who answers.

| file       | what it is                                                       |
|------------|------------------------------------------------------------------|
| search     | TreeSearch: the machine that is asked for trials and told scores |
| branch     | what is believed at a node, and whether it can be expanded       |
| bandit     | what is believed of an action in the whole tree                  |
| posteriors | beliefs: priors, and what scores make of them                    |
| options    | what a search is told when it is made                            |
| node       | Node and Trial, the values that the machine hands out            |
| snapshot   | a search as JSON text                                            |
| drawing    | a search as nested data, as text and as DOT                      |
| svg        | a search as a picture                                            |
"""

from tako.orchestrators.tree_search.node import Node, Trial
from tako.orchestrators.tree_search.options import ModelSelection
from tako.orchestrators.tree_search.posteriors import BetaPrior, Family, GaussianPrior, Prior
from tako.orchestrators.tree_search.search import TreeSearch

__all__ = ["BetaPrior", "Family", "GaussianPrior", "ModelSelection", "Node", "Prior", "TreeSearch", "Trial"]
