"""SingleAgent on a Fake: what reaches the model, what comes back, and the events on the way."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Emit
from tako.errors import InvalidInput, ProviderError, TransportError
from tako.events import (
    AssistantText,
    AssistantThinking,
    AssistantThinkingBlock,
    Final,
    ToolCallPending,
    ToolCallResult,
    ToolCallStart,
)
from tako.models import (
    CacheControl,
    Capabilities,
    ChatRequest,
    ChatResponse,
    Message,
    Principal,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)
from tako.orchestrators.agent_run import AgentRun, RunOptions
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.providers.python import PythonProvider
from tako.testing.simulator import Simulator
from tako.tools import ToolContext, tool
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, kinds, replied, results


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def run(agent: SingleAgent[Any], prompt: Any = "go", **options: Any) -> Any:
    return Simulator().run(agent, prompt, **options)


# What reaches the model.


def test_a_text_is_answered() -> None:
    model = Recorded("hello")
    result = run(SingleAgent(model), "hi")
    assert (result.text, result.steps, result.stop_reason) == ("hello", 1, "stop")
    assert result.new_messages == [Message.user("hi"), Message.assistant("hello")]
    assert model.requests[0].messages == (Message.user("hi"),)


def test_the_system_prompt_comes_first_and_stays_out_of_the_history() -> None:
    model = Recorded("ok")
    result = run(SingleAgent(model, system="be brief"))
    assert [m.role for m in model.requests[0].messages] == [Role.SYSTEM, Role.USER]
    assert Role.SYSTEM not in [m.role for m in result.new_messages]


def test_the_system_prompt_may_be_parts_with_cache_marks() -> None:
    model = Recorded("ok")
    part = TextPart(text="long", cache_control=CacheControl(ttl="1h"))
    run(SingleAgent(model, system=[part]))
    assert model.requests[0].messages[0].content == (part,)


def test_a_run_may_have_a_system_prompt_of_its_own() -> None:
    model = Recorded("ok")
    agent = SingleAgent(model, system="a")
    run(agent, system="b")
    run(agent)
    assert [request.messages[0].text for request in model.requests] == ["b", "a"]


def test_a_run_may_have_a_limit_of_its_own() -> None:
    model = Recorded("ok")
    agent = SingleAgent(model, max_tokens=99)
    run(agent, max_tokens=7)
    run(agent)
    assert [request.max_tokens for request in model.requests] == [7, 99]


def test_a_run_that_says_nothing_has_not_the_words_of_its_prompt_for_an_answer() -> None:
    agent = SingleAgent(Fake(script=[ProviderError("no"), "well"]))
    prompt = [Message.user("q"), Message.assistant("an earlier answer"), Message.user("again")]
    with pytest.raises(ProviderError) as caught:
        run(agent, prompt)
    assert caught.value.partial.text == ""
    assert AgentRun.loads(caught.value.partial.run.dumps()).result().text == ""
    assert run(agent, prompt[:2]).text == "an earlier answerwell"  # which it goes on from


def test_a_conversation_goes_on_with_the_new_messages() -> None:
    model = Recorded("1", "2")
    agent = SingleAgent(model)
    first = run(agent, "a")
    second = run(agent, "b", history=first.new_messages)
    assert [m.text for m in model.requests[1].messages] == ["a", "1", "b"]
    assert [m.text for m in second.new_messages] == ["b", "2"]


def test_a_prompt_may_be_messages() -> None:
    model = Recorded("ok")
    agent = SingleAgent(model)
    run(agent, Message.user("x"))
    run(agent, [Message.user("x"), Message.assistant("y"), Message.user("z")])
    assert [len(request.messages) for request in model.requests] == [1, 3]


def test_every_option_reaches_every_request() -> None:
    options: dict[str, Any] = {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": ("END",),
        "seed": 0,
        "metadata": {"user": "u"},
        "extra": {"reasoning": {"effort": "low"}},
    }
    model = Recorded(call("1", "add", a=1), "ok")
    run(SingleAgent(model, tools=[add], **options))
    assert len(model.requests) == 2
    for request in model.requests:
        assert {name: getattr(request, name) for name in options} == options
        assert request.tools == (add.schema,)
        assert request.model == "test"


def test_a_tool_choice_holds_for_the_first_step_only() -> None:
    model = Recorded(call("1", "add", a=1), "ok")
    run(SingleAgent(model, tools=[add], tool_choice="required"))
    assert [request.tool_choice for request in model.requests] == ["required", None]


def test_what_a_caller_keeps_is_not_touched() -> None:
    history = [Message.user("a"), Message.assistant("b")]
    result = run(SingleAgent(Fake("ok")), "c", history=history)
    assert len(history) == 2 and len(result.new_messages) == 2


# What comes back.


def test_tools_are_called_and_their_results_read() -> None:
    model = Recorded([call("1", "add", a=1), call("2", "add", a=2, b=5)], "8 and 2")
    result = run(SingleAgent(model, tools=[add]))
    assert [m.role.value for m in result.new_messages] == ["user", "assistant", "tool", "assistant"]
    assert [part.result for part in results(result.new_messages)] == [2, 7]
    assert model.requests[1].messages == tuple(result.new_messages[:3])
    assert (result.text, result.steps) == ("8 and 2", 2)


def test_max_steps_ends_a_model_that_never_does() -> None:
    model = Recorded(call("1", "add", a=1))
    result = run(SingleAgent(model, tools=[add], max_steps=3))
    assert (result.stop_reason, result.steps, len(model.requests)) == ("max_steps", 3, 3)
    assert len(result.new_messages) == 7
    assert_replayable(result.new_messages)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (
            [Usage(input_tokens=100, output_tokens=50), Usage(input_tokens=200, output_tokens=30)],
            (300, 80, None),
        ),
        ([Usage(input_tokens=1), Usage(reasoning_tokens=4)], (1, None, 4)),
        ([Usage(), Usage()], (None, None, None)),
        ([Usage(input_tokens=0), Usage()], (0, None, None)),
    ],
)
def test_usage_is_summed_and_what_is_not_known_stays_unknown(used: list[Usage], expected: Any) -> None:
    script = [replied(call("1", "add", a=1), usage=used[0]), replied("ok", usage=used[1])]
    usage = run(SingleAgent(Fake(script=script), tools=[add])).usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == expected


def test_the_cost_is_told_where_the_prices_are_known() -> None:
    def answer(request: Any) -> Any:
        return {"text": "ok", "input_tokens": 1_000_000, "output_tokens": 500_000}

    prices = Capabilities(usd_per_input_mtok=2.0, usd_per_output_mtok=4.0)
    assert run(SingleAgent(PythonProvider("mine", answer, capabilities=prices))).cost_usd == 4.0
    assert run(SingleAgent(PythonProvider("mine", answer))).cost_usd is None


@pytest.mark.parametrize("reason", ["length", "content_filter", "other"])
def test_an_answer_that_was_cut_off_says_so(reason: Any) -> None:
    response = ChatResponse(message=Message.assistant("half"), finish_reason=reason)
    result = run(SingleAgent(Fake(script=[response])))
    assert (result.text, result.stop_reason) == ("half", reason)


def test_calls_are_performed_whatever_the_reason_to_stop() -> None:
    response = ChatResponse(message=Message.assistant([call("1", "add", a=1)]), finish_reason="stop")
    result = run(SingleAgent(Fake(script=[response, "ok"]), tools=[add]))
    assert [part.result for part in results(result.new_messages)] == [2]


def test_a_result_is_short_to_look_at() -> None:
    text = repr(run(SingleAgent(Fake("x" * 100))))
    assert (
        text == f"RunResult(text='{'x' * 60}…', stop_reason='stop', steps=1, input_tokens=1, output_tokens=1)"
    )


# The events.


def test_events_come_in_order() -> None:
    script = [[ThinkingPart(text="let me see"), TextPart(text="I add."), call("1", "add", a=1)], "it is 2"]
    events = events_of(SingleAgent(Fake(script=script), tools=[add]), "go")
    assert kinds(events) == [
        "step_start",
        "assistant_thinking",
        "assistant_thinking",
        "assistant_thinking",
        "assistant_thinking_block",
        "assistant_text",
        "assistant_text",
        "tool_call_start",
        "tool_call_pending",
        "tool_call_result",
        "step_start",
        "assistant_text",
        "assistant_text",
        "assistant_text",
        "final",
    ]
    assert [e.step for e in events[:-1]] == [1] * 10 + [2] * 4
    assert events[7] == ToolCallStart(1, "add", "1", {"a": 1})
    assert events[8] == ToolCallPending(1, "add", "1", {"a": 1}, "mutating")
    assert events[9] == ToolCallResult(1, "add", "1", 2, False)
    assert "".join(e.delta for e in events if isinstance(e, AssistantThinking)) == "let me see"
    assert "".join(e.delta for e in events if isinstance(e, AssistantText)) == "I add.it is 2"


def test_all_calls_are_announced_before_the_first_runs() -> None:
    script = [[call("1", "add", a=1), call("2", "add", a=2)], "ok"]
    events = events_of(SingleAgent(Fake(script=script), tools=[add]), "go")
    assert kinds(events)[1:7] == [
        "tool_call_start",
        "tool_call_start",
        "tool_call_pending",
        "tool_call_pending",
        "tool_call_result",
        "tool_call_result",
    ]


def test_streaming_and_not_streaming_give_the_same_result() -> None:
    script: list[Any] = [[ThinkingPart(text="hm"), TextPart(text="a b"), call("1", "add", a=1)], "", "c d"]
    agents = [SingleAgent(Fake(script=script), tools=[add]) for _ in range(2)]
    streamed = events_of(agents[0], "go")[-1]
    assert isinstance(streamed, Final)
    assert streamed.result == run(agents[1])
    assert (streamed.text, streamed.usage) == (streamed.result.text, streamed.result.usage)


def test_turns_are_named_like_no_other() -> None:
    agent = SingleAgent(Fake(script=[call("1", "add", a=1), "ok"] * 2), tools=[add])
    turns = [
        e.turn_id for seed in (1, 2) for e in events_of(agent, "go", seed=seed) if e.kind == "step_start"
    ]
    assert len(set(turns)) == 4


def test_nobody_looking_means_no_events() -> None:
    simulator = Simulator()
    simulator.run(SingleAgent(Fake(script=[call("1", "add", a=1), "ok"]), tools=[add]), "go")
    assert not [done for done in simulator.trace if isinstance(done.effect, Emit)]


def test_a_provider_that_cannot_stream_shows_its_answer_whole() -> None:
    def answer(request: Any) -> Any:
        return [ThinkingPart(text="hm so"), TextPart(text="one two")]

    provider = PythonProvider("mine", answer)
    assert not provider.capabilities.supports_streaming
    events = events_of(SingleAgent(provider), "go")
    assert events[1] == AssistantThinking(1, "hm so")
    assert events[2] == AssistantThinkingBlock(1, ThinkingPart(text="hm so"))
    assert events[3] == AssistantText(1, "one two")
    assert kinds(events) == [
        "step_start",
        "assistant_thinking",
        "assistant_thinking_block",
        "assistant_text",
        "final",
    ]


# Whom the run is for.


def test_the_principal_reaches_the_tools() -> None:
    seen: list[ToolContext] = []

    def whoami(context: ToolContext) -> str:
        seen.append(context)
        return context.principal.user_id

    agent = SingleAgent(Fake(script=[call("7", "whoami"), "ok"] * 3), tools=[whoami])
    run(agent, tenant_id="t", user_id="u")
    run(agent, principal=Principal(user_id="p", roles=("admin",)))
    run(agent)
    assert [(c.principal.tenant_id, c.principal.user_id) for c in seen] == [
        ("t", "u"),
        ("anonymous", "p"),
        ("anonymous", "anonymous"),
    ]
    assert (seen[0].call_id, seen[0].tool_name, seen[0].step) == ("7", "whoami", 1)
    assert len({c.run_id for c in seen} - {""}) >= 1


# Arguments that cannot work.


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"provider": "openai"}, "provider"),
        ({"provider": None}, "provider"),
        ({"system": 5}, "system"),
        ({"system": [5]}, "system"),
        ({"tools": 5}, "tools"),
        ({"tools": [add, "x"]}, r"tools\[1\]"),
        ({"tools": "abc"}, r"tools\[0\]"),
        ({"tools": [add, add]}, "two tools are named 'add'"),
        ({"max_steps": 0}, "max_steps"),
        ({"max_steps": True}, "max_steps"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"output_retries": -1}, "output_retries"),
        ({"tool_concurrency": 0}, "tool_concurrency"),
        ({"output_type": 5}, "output_type"),
        ({"output_type": "Nothing"}, "output_type"),
        ({"tool_choice": "sub"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": []}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": "END"}, "stop"),
        ({"stop": 5}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": 5}, "metadata"),
        ({"extra": 5}, "extra"),
    ],
)
def test_a_wrong_argument_is_named_at_construction(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        SingleAgent(**{"provider": Fake(), "tools": [add], **options})


@pytest.mark.parametrize(
    ("prompt", "options", "named"),
    [
        (5, {}, "prompt"),
        (["x"], {}, r"prompt\[0\]"),
        (b"x", {}, "prompt"),
        (None, {}, "prompt"),
        ("x", {"history": 5}, "history"),
        ("x", {"history": ["y"]}, r"history\[0\]"),
        ("x", {"system": 5}, "system"),
        ("x", {"thinking": 5}, "thinking"),
        ("x", {"max_tokens": 0}, "max_tokens"),
        ("x", {"tenant_id": 5}, "tenant_id"),
        ("x", {"principal": Principal(), "user_id": "u"}, "principal"),
        ("x", {"history": [Message.assistant([call("1", "add")])]}, "history ends with calls"),
    ],
)
def test_a_wrong_argument_of_a_run_is_named(prompt: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        SingleAgent(Fake()).start(prompt, **options)


def test_a_run_that_has_started_takes_no_options() -> None:
    agent = SingleAgent(Fake())
    with pytest.raises(InvalidInput, match="options already"):
        agent.flow(agent.start("x"), user_id="u")


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_a_wrong_timeout_is_named(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        SingleAgent(Fake()).run_sync("x", timeout=timeout)


def test_an_agent_is_named_by_what_it_is() -> None:
    assert repr(SingleAgent(Fake(id="fake:x"), tools=[add])) == "<SingleAgent on fake:x, 1 tools>"
    assert repr(SingleAgent(Fake()).start("x")) == "<AgentRun not started: asking, step 0>"


def test_the_steps_may_be_performed_by_hand() -> None:
    model = Recorded("ok")
    agent = SingleAgent(model, system="s", temperature=0.5)
    hand = agent.start("go")
    request = agent.request(hand, hand.next_step())  # type: ignore[arg-type]
    run(agent)
    assert model.requests == [request]
    assert agent.load(hand.dumps()).options == hand.options
    assert isinstance(hand.options, RunOptions)


def test_an_error_of_the_provider_has_what_there_was() -> None:
    broken = TransportError("gone", phase="body", provider="fake:test")
    agent = SingleAgent(Fake(script=[replied(call("1", "add", a=1)), broken]), tools=[add])
    with pytest.raises(TransportError) as caught:
        run(agent)
    partial = caught.value.partial
    assert partial.stop_reason == "error"
    assert [m.role.value for m in partial.new_messages] == ["user", "assistant", "tool"]
    assert caught.value.usage == partial.usage == Usage(input_tokens=11, output_tokens=6)
    assert_replayable(partial.new_messages)


def test_a_step_that_must_call_a_tool_is_not_held_to_the_schema_of_the_answer() -> None:
    asked: list[ChatRequest] = []

    def model(request: ChatRequest) -> str | ToolCallPart:
        asked.append(request)
        return ToolCallPart(id="1", name="look", args={}) if len(asked) == 1 else "7"

    def look() -> str:
        return "seen"

    agent = SingleAgent(Fake(script=model), tools=[look], output_type=int, tool_choice="required")
    assert Simulator().run(agent, "hi").output == 7
    assert [request.output_schema is None for request in asked] == [True, False]
    assert [request.tool_choice for request in asked] == ["required", None]
