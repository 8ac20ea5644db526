"""Events: their kinds are the names that people know from the original, and never change."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from tako import events
from tako.errors import TransportError
from tako.events import AssistantText, ChatChunk, ChatError, OrchEvent, ToolCall
from tako.models import ToolCallPart

KINDS = {
    "TextDelta": "delta", "ThinkingDelta": "thinking_delta", "ThinkingBlock": "thinking_block",
    "TextBlock": "text_block", "MediaBlock": "media", "Logprobs": "logprobs", "OtherChoice": "other_choice",
    "ToolCall": "tool_call", "OpaqueBlock": "opaque", "ChatError": "error", "ChatEnd": "end",
    "StepStart": "step_start", "AssistantText": "assistant_text", "AssistantThinking": "assistant_thinking",
    "ToolCallStart": "tool_call_start", "ToolProgress": "tool_progress", "ToolCallResult": "tool_call_result",
    "OutputRetry": "output_retry", "Final": "final", "ToolCallPending": "tool_call_pending",
    "AssistantThinkingBlock": "assistant_thinking_block", "AssistantMedia": "assistant_media",
    "ToolCallDecided": "tool_call_decided", "HistoryTrimmed": "history_trimmed",
    "TurnInterrupted": "turn_interrupted", "MessageQueued": "message_queued",
    "MessageDelivered": "message_delivered", "ModeChanged": "mode_changed", "ModeProposed": "mode_proposed",
    "GuardFired": "guard_fired", "PromptPolicyInstalled": "prompt_policy_installed",
    "PromptPolicyRemoved": "prompt_policy_removed", "PromptPolicyApplied": "prompt_policy_applied",
    "UserAsked": "user_asked", "UserAnswered": "user_answered", "SubAgentEvent": "sub_agent_event",
    "PlanMade": "plan_made", "PlanRejected": "plan_rejected", "RoleChosen": "role_chosen",
    "VerifierScore": "verifier_score", "Recursion": "recursion", "NodeAdded": "node_added",
}  # fmt: skip
CLASSES: tuple[type, ...] = typing.get_args(ChatChunk) + typing.get_args(OrchEvent)


def test_the_kinds_are_these() -> None:
    assert {one.__name__: one.kind for one in CLASSES} == KINDS  # type: ignore[attr-defined]
    assert set(events.__all__) == {*KINDS, "ChatChunk", "OrchEvent"}


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_an_event_is_small(one: type) -> None:
    assert dataclasses.is_dataclass(one)
    assert "__dict__" not in dir(one), "made per token: slots, and no dict"
    assert "kind" not in [field.name for field in dataclasses.fields(one)]


def test_the_names_of_a_step_are_those_of_the_original() -> None:
    fields = {
        one.__name__: [field.name for field in dataclasses.fields(one)] for one in typing.get_args(OrchEvent)
    }
    assert fields["AssistantText"] == ["step", "delta"]
    assert fields["ToolCallStart"] == ["step", "name", "id", "args"]
    assert fields["ToolCallResult"] == ["step", "name", "id", "result", "is_error", "content"]
    assert fields["VerifierScore"][:3] == ["step", "branch", "score"]
    assert fields["Recursion"][:2] == ["depth", "confidence"]
    assert fields["Final"] == ["text", "usage", "result"]


def test_short_ways_to_what_is_inside() -> None:
    call = ToolCall(ToolCallPart(id="1", name="t", args={"a": 1}))
    assert (call.id, call.name, call.args) == ("1", "t", {"a": 1})
    assert ChatError(TransportError("gone")).message == "gone"
    assert AssistantText(1, "so").text == "so"  # the first descriptions call it that
