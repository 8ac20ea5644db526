"""What every vendor asks of a history: calls and their results side by side, and in one order."""

from __future__ import annotations

import pytest

from tako.errors import InvalidInput
from tako.models import Message, ToolResultPart
from tako.orchestrators.history import require_replayable
from tests.orchestrators.kit import call

ASKED = Message.assistant([call("1", "look"), call("2", "look")])


def answered(*ids: str) -> Message:
    return Message.tool([ToolResultPart(id=id, name="look", result="seen") for id in ids])


def test_results_follow_their_calls_in_their_order() -> None:
    require_replayable([Message.user("go"), ASKED, answered("1", "2"), Message.user("and")], "trim")


@pytest.mark.parametrize("ids", [("2", "1"), ("1",), ("1", "2", "2")])
def test_results_in_another_order_or_number_are_refused(ids: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"trim\[1\] has results for"):
        require_replayable([ASKED, answered(*ids)], "trim")


def test_nothing_stands_between_calls_and_their_results() -> None:
    with pytest.raises(InvalidInput, match=r"trim: the calls .* have no results"):
        require_replayable([ASKED, Message.user("wait"), Message.user("and")], "trim")
