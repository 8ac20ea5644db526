"""A run of a Conductor, path by path: plans, their mending, the answer, the ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import OutputInvalid, ProviderError, TakoError, TransportError
from tako.events import (
    AssistantText,
    AssistantThinking,
    Final,
    PlanMade,
    PlanRejected,
    StepStart,
    SubAgentEvent,
)
from tako.models import (
    ChatResponse,
    ImagePart,
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)
from tako.orchestrators.conductor import Conductor, ConductorResult, Worker
from tako.providers import Fake
from tako.providers.fake import Reply, Truncated
from tako.testing import Faults, Simulator, check_history
from tests.orchestrators.conductor.kit import answer, deltas, own, plan
from tests.orchestrators.kit import Recorded, kinds, replied

WORK = plan(("code", "write it"), ("math", "prove it"))


def conductor(*said: Reply, **options: Any) -> Conductor:
    return Conductor(Recorded(*said), {"code": Fake("def f"), "math": Fake("QED now")}, **options)


def requests(one: Conductor) -> Any:
    assert isinstance(one.coordinator, Recorded)
    return one.coordinator.requests


def test_work_is_done_and_the_answer_given() -> None:
    one = conductor(WORK, answer("It is done."))
    result = Simulator().run(
        one, "Sort, and prove it.", history=[Message.user("hi"), Message.assistant("hello")]
    )
    assert isinstance(result, ConductorResult)
    assert (result.text, result.stop_reason) == ("It is done.", "stop")
    assert result.new_messages == [Message.user("Sort, and prove it."), Message.assistant("It is done.")]
    assert [[each.text for each in done.results] for done in result.rounds] == [["def f", "QED now"], []]
    first, second = requests(one)
    assert [message.role.value for message in first.messages] == ["system", "user", "assistant", "user"]
    assert [message.role.value for message in second.messages[4:]] == ["assistant", "user"]
    assert second.messages[-1].text == (
        'Worker results:\n- #1 code (task: "write it"): def f\n- #2 math (task: "prove it"): QED now\n\n'
        "Dispatch more work, or halt."
    )
    assert second.messages[:4] == first.messages  # so that prompt caches hit


def test_26_usage_and_steps_are_those_of_all() -> None:
    result = Simulator().run(conductor(WORK, answer("x")), "go")
    assert result.usage == Usage(input_tokens=4, output_tokens=4)
    assert result.steps == 4
    assert [used.path for used in result.sub_agents] == [("code:step1-1",), ("math:step1-2",)]


def test_37_the_answer_streams_and_no_plan_does() -> None:
    events = list(Simulator().stream(conductor(WORK, answer("It is done at last.")), "go"))
    assert kinds(own(events)) == [
        "step_start", "plan_made", *["tool_call_start"] * 2, *["tool_call_result"] * 2,
        "step_start", *["assistant_text"] * 5, "plan_made", "final",
    ]  # fmt: skip
    assert deltas(events) == "It is done at last." == events[-1].text
    assert [event.path for event in events if isinstance(event, SubAgentEvent)].count(("math:step1-2",)) == 4
    plans = [event for event in events if isinstance(event, PlanMade)]
    assert plans[0].assignments == (("code", "write it"), ("math", "prove it")) and plans[1].halt


pieces = st.sampled_from(
    [WORK, answer("It is \u00e9 \U0001f600."), "Prose " + answer("behind prose"), "no plan", plan(), "",
     '{"halt": true, "final_answer": "cut o', '{"final_answer": "first", "halt": true}',
     '{"halt": true, "final_answer": "one", "final_answer": "two", "halt": false}']
)  # fmt: skip


@given(said=st.lists(pieces, min_size=1, max_size=4), length=st.booleans())
def test_37_what_is_told_is_the_text_of_the_result(said: list[str], length: bool) -> None:
    """In the stream and without one, whatever is said: the same result, and its text was told."""
    replies = [replied(text, finish_reason="length" if length else "stop") for text in said]
    events: list[Any] = []
    results: list[Any] = []
    for run in (Simulator().run, Simulator().stream):
        try:
            made: Any = run(conductor(*replies, max_steps=4), "go")
            if run.__name__ == "stream":
                events = list(made)
                made = made.result
                assert deltas(own(events)) == made.text
        except OutputInvalid as error:
            made = error.partial
        check_history(made.new_messages)
        assert "{" not in made.text
        results.append((made.text, made.stop_reason, made.usage, made.steps, made.new_messages, made.rounds))
    assert results[0] == results[1]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("reason", ["length", "content_filter", "other"])
def test_31_an_answer_that_is_cut_off_says_so(streaming: bool, reason: Any) -> None:
    cut = replied('{"halt": true, "final_answer": "as far as', finish_reason=reason)
    one = conductor(cut)
    result = Simulator().stream(one, "go").result if streaming else Simulator().run(one, "go")
    assert (result.text, result.stop_reason) == ("as far as", reason)


def test_29_a_stream_that_fails_to_start_is_not_asked_again() -> None:
    refused = ProviderError("bad key", status=401)
    one = conductor(refused)
    with pytest.raises(ProviderError) as caught:
        list(Simulator().stream(one, "go"))
    assert len(requests(one)) == 1
    assert caught.value is refused and caught.value.partial.stop_reason == "error"


def test_30_a_stream_that_breaks_off_is_an_error_with_what_there_was() -> None:
    one = conductor(WORK, Truncated('{"halt": true, "final_answer": "as far as'))
    with pytest.raises(TransportError) as caught:
        list(Simulator().stream(one, "go"))
    partial = caught.value.partial
    assert (partial.text, partial.stop_reason, len(partial.rounds)) == ("as far as", "error", 1)
    assert caught.value.usage == partial.usage == Usage(input_tokens=4, output_tokens=4)
    check_history(partial.new_messages)


def test_what_is_no_plan_is_mended() -> None:
    one = conductor("Well, let me see.", '{"halt": true}', answer("x"))
    events = list(Simulator().stream(one, "go"))
    assert [event.error for event in events if isinstance(event, PlanRejected)] == [
        'there is no whole JSON object in it that has "dispatch" or "halt"',
        '"halt" is true and there is no "final_answer"; put the whole answer there',
    ]
    assert requests(one)[1].messages[-1].text.startswith("That is no plan: there is no whole JSON")
    assert requests(one)[1].messages[-2] == Message.assistant("Well, let me see.")
    assert events[-1].result.stop_reason == "stop"


def test_the_mending_is_bounded() -> None:
    with pytest.raises(OutputInvalid, match="the coordinator's answer is no plan") as caught:
        Simulator().run(conductor(WORK, "no", "no", "no", answer("x"), plan_retries=2), "go")
    error = caught.value
    assert (error.body, error.phase, error.provider) == ("no", "plan", "fake:test")
    assert error.partial.text == "code: def f\n\nmath: QED now"
    assert error.partial.steps == 6 and error.usage == error.partial.usage
    # In a row: a plan in between, and the count begins again.
    one = conductor("no", "no", plan(), "no", "no", answer("x"), plan_retries=2)
    assert Simulator().run(one, "go").text == "x"


def test_what_is_cut_off_is_told_so() -> None:
    one = conductor(replied(WORK[:40], finish_reason="length"), answer("x"))
    Simulator().run(one, "go")
    assert "It was cut off at the limit of its length" in requests(one)[1].messages[-1].text


def test_a_plan_without_work_is_told_so_and_counts() -> None:
    one = conductor(plan(), plan(next_step="final"), plan(), max_steps=3)
    result = Simulator().run(one, "go")
    assert (result.stop_reason, result.text, result.steps) == ("max_steps", "", 3)
    told = [request.messages[-1].text for request in requests(one)]
    assert told[1].startswith("Your plan dispatches no work") and told[2].startswith("This is your last turn")
    assert result.new_messages == [Message.user("go")]


def test_32_summarise_asks_for_the_final_answer() -> None:
    one = conductor('{"workers": [{"name": "code", "task": "x"}], "next_step": "summarise"}', answer("x"))
    Simulator().run(one, "go")
    assert (
        requests(one)[1]
        .messages[-1]
        .text.endswith('Now halt: answer with {"halt": true, "final_answer": "..."}.')
    )


@pytest.mark.parametrize("streaming", [True, False])
def test_45_out_of_steps_the_best_there_is_and_never_a_plan(streaming: bool) -> None:
    one = conductor(WORK, max_steps=2)
    run = Simulator().stream(one, "go")
    events = list(run)
    result = run.result if streaming else Simulator().run(conductor(WORK, max_steps=2), "go")
    assert (result.stop_reason, result.text) == ("max_steps", "code: def f\n\nmath: QED now")
    assert deltas(own(events)) == result.text
    assert requests(one)[1].messages[-1].text.endswith("from what there is.")


def test_45_the_best_is_that_with_the_highest_score() -> None:
    one = conductor(WORK, max_steps=1, verifier=lambda task, text: 0.9 if "QED" in text else 0.1)
    assert Simulator().run(one, "go").text == "QED now"


def test_halt_is_stronger_than_work() -> None:
    both = plan(("code", "x"), halt=True, final_answer="done")
    result = Simulator().run(conductor(both), "go")
    assert (result.text, result.steps, len(result.rounds[0].results)) == ("done", 1, 0)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_cancel_at_any_moment_gives_back_what_there_is(streaming: bool) -> None:
    def run(faults: Faults) -> tuple[Any, list[Any], int]:
        workers = {"code": Fake("def f", delay_ms=10), "math": Fake("QED now", delay_ms=10)}
        simulator = Simulator(faults=faults)
        one = Conductor(
            Fake(script=[WORK, answer("Done.")], delay_ms=10), workers, verifier=lambda task, text: 0.5
        )
        made = simulator.stream(one.flow("go", streaming=streaming))
        return made, list(made), len(simulator.trace)

    _, _, effects = run(Faults())
    texts = set()
    for number in range(0, effects + 1, 3 if streaming else 1):
        during = [Faults(cancel_during=number)] if number % 2 == 0 else []
        for faults in (Faults(cancel_after=number), *during):
            made, events, _ = run(faults)
            result: Any = made.result
            check_history(result.new_messages)
            assert made.open_exchanges == ()
            texts.add(result.text)
            assert result.stop_reason in ("cancelled", "stop")
            if streaming and events:
                assert result.text.startswith(deltas(own(events)))
            for done in result.rounds:
                assert len(done.results) == len(done.plan.dispatch)
    assert {"", "def f", "Done."} <= texts


def test_what_the_coordinator_thinks_is_told() -> None:
    thinking: list[Part] = [ThinkingPart(text="hm"), TextPart(text=answer("x"))]
    events = list(Simulator().stream(conductor(thinking), "go"))
    assert [event.delta for event in events if isinstance(event, AssistantThinking)] == ["hm"]


class NotStreaming(Recorded):
    """A vendor that cannot stream and holds no model to a schema."""

    def __init__(self, *said: Reply) -> None:
        super().__init__(*said)
        self.capabilities = self.capabilities.model_copy(
            update={"supports_streaming": False, "supports_json_mode": False, "supports_vision": False}
        )


def test_a_coordinator_that_does_not_stream_is_told_whole() -> None:
    provider = NotStreaming([ThinkingPart(text="hm"), TextPart(text=WORK)], answer("It is done."))
    events = list(Simulator().stream(Conductor(provider, {"code": Fake("x"), "math": Fake("y")}), "go"))
    assert [event.delta for event in own(events) if isinstance(event, AssistantText)] == ["It is done."]
    assert [event.delta for event in events if isinstance(event, AssistantThinking)] == ["hm"]
    assert [request.output_schema for request in provider.requests] == [None, None]


def test_the_system_prompt_names_the_workers_and_the_users_comes_behind() -> None:
    one = Conductor(
        Recorded(answer("x")),
        {"code": Worker(Fake(), "writes Python", tools=[print_it]), "math": Fake()},
        system="Be brief.",
        temperature=0.5,
        max_tokens=99,
    )
    Simulator().run(one, "go")
    Simulator().run(one, "go", system="Be long.")
    first, second = requests(one)
    assert "  - code: writes Python (tools: print_it)\n  - math\n" in first.messages[0].text
    assert [request.messages[0].content[-1].text for request in (first, second)] == ["Be brief.", "Be long."]
    assert (first.temperature, first.max_tokens) == (0.5, 99)
    assert first.output_schema["properties"]["dispatch"]["items"]["properties"]["worker"]["enum"] == [
        "code",
        "math",
    ]


def print_it(text: str) -> str:
    """Print it."""
    return text


def test_a_coordinator_that_cannot_see_is_told_that_there_is_a_picture() -> None:
    picture = ImagePart(mime="image/png", data_b64="iVBORw0KGgo=")
    coordinator, worker = NotStreaming(plan(("eye", "look")), answer("x")), Recorded("a cat")
    prompt = Message.user([TextPart(text="What is it?"), picture])
    result = Simulator().run(Conductor(coordinator, {"eye": worker}), prompt)
    assert "that you cannot read" in coordinator.requests[0].messages[1].text
    assert worker.requests[0].messages == (Message.user([TextPart(text="look"), picture]),)
    assert result.new_messages[0] == prompt


def test_a_call_that_nobody_offered_is_left_out_of_the_conversation() -> None:
    call = ToolCallPart(id="1", name="search", args={})
    one = conductor([call], [TextPart(text=WORK), call], answer("x"))
    Simulator().run(one, "go")
    said = [
        message for request in requests(one) for message in request.messages if message.role is Role.ASSISTANT
    ]
    assert not [message for message in said if message.tool_calls]
    assert said[0].text == "(nothing)"


def test_a_failure_brings_what_it_has_used() -> None:
    broken = ProviderError("overloaded", status=529)
    broken.partial = ChatResponse(
        message=Message.assistant("{"), usage=Usage(input_tokens=7, output_tokens=1)
    )

    class Failing(Fake):
        def chat_flow(self, request: Any) -> Any:
            raise broken
            yield

    with pytest.raises(TakoError) as caught:
        Simulator().run(Conductor(Failing(), {"code": Fake()}), "go")
    assert caught.value.usage == Usage(input_tokens=7, output_tokens=1)
    assert isinstance(caught.value.partial, ConductorResult)


def test_the_turns_of_a_run_have_names_of_their_own() -> None:
    events = list(Simulator().stream(conductor(WORK, answer("x")), "go"))
    ids = [event.turn_id for event in own(events) if isinstance(event, StepStart)]
    assert len(set(ids)) == 2 and ids[0][:-1] == ids[1][:-1]
    assert isinstance(events[-1], Final) and repr(events[-1].result).startswith("ConductorResult(text='x'")


def test_a_conductor_works_for_another_and_says_who_speaks() -> None:
    inner = Conductor(Fake(script=[plan(("code", "y")), answer("inner done")]), {"code": Fake("def g")})
    outer = Conductor(Fake(script=[plan(("team", "x")), answer("outer done")]), {"team": inner})
    events = list(Simulator().stream(outer, "go"))
    paths = {event.path for event in events if isinstance(event, SubAgentEvent)}
    assert paths == {("team:step1-1",), ("team:step1-1", "code:step1-1")}
    result = events[-1].result
    assert (result.text, result.steps, result.usage.total) == ("outer done", 5, 10)
    (team,) = result.sub_agents
    assert team.model == "Conductor" and [one.path for one in team.sub_agents] == [
        ("team:step1-1", "code:step1-1")
    ]
