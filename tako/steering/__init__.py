"""Steering: how a person, or a program in their place, has a say in a run that goes on.

`Steering` is the handle; what can be given to it are messages, modes, guards, prompt policies and
answers. The head of `handle` is the essay.
"""

from tako.steering.ask_user import ask_user_tool
from tako.steering.guards import Abort, ContinuationGuard
from tako.steering.handle import Steering
from tako.steering.interrupts import InterruptOutcome
from tako.steering.modes import ACCEPT_EDITS, DEFAULT, PLAN, Mode
from tako.steering.prompt_policies import PromptPolicy
from tako.steering.questions import Answer, Bridge, Question, QuestionOption, QuestionSet, UserInput
from tako.steering.steered_run import SteeredRun
from tako.steering.turns import Snapshot, TurnEnd, TurnInputs

__all__ = [
    "ACCEPT_EDITS",
    "DEFAULT",
    "PLAN",
    "Abort",
    "Answer",
    "Bridge",
    "ContinuationGuard",
    "InterruptOutcome",
    "Mode",
    "PromptPolicy",
    "Question",
    "QuestionOption",
    "QuestionSet",
    "Snapshot",
    "SteeredRun",
    "Steering",
    "TurnEnd",
    "TurnInputs",
    "UserInput",
    "ask_user_tool",
]
