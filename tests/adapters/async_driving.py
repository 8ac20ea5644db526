"""Driving flows: events, results, calls, children. The rules are the core's; here the arms keep them."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import Any

import pytest

from tako._adapters import run_async, stream_async
from tako.cancellation import CancellationToken
from tako.effects import (
    EVENT_BUFFER,
    Call,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    Now,
    OnError,
    Resolve,
    Sleep,
    Succeeded,
    Within,
    call,
)
from tako.errors import Cancelled, InvalidInput, TakoError, TimedOut, TransportError
from tako.testing.scenarios import SCENARIOS, Scenario
from tako.testing.simulator import Simulator
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import Arm, numbers

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="nothing")


def plain(value: Any) -> Any:
    """With errors as what they are to a caller, so that they can be compared."""
    if isinstance(value, BaseException):
        return type(value).__name__, getattr(value, "phase", None), plain(getattr(value, "partial", None))
    if isinstance(value, Failed):
        return "failed", plain(value.error)
    if isinstance(value, Succeeded):
        return "succeeded", plain(value.value)
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    return value


def outcome_of(error: BaseException | None, result: Any) -> Any:
    return plain(error or result)


def simulated(scenario: Scenario) -> tuple[list[Any], Any]:
    simulator = Simulator(vendor=scenario.vendor(), addresses={"127.0.0.1": ["127.0.0.1"]})
    token = CancellationToken()
    if scenario.cancel_at is not None:
        simulator.faults = type(simulator.faults)(cancel_at=scenario.cancel_at)
    run = simulator.stream(scenario.flow("http://127.0.0.1:80"), cancel=token)
    events: list[Any] = []
    try:
        events.extend(run)
        return plain(events), outcome_of(None, run.result)
    except Exception as error:
        return plain(events), outcome_of(error, None)


class DrivingCases:
    @pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
    def test_a_scenario_is_what_the_simulator_says(self, arm: Arm, scenario: Scenario) -> None:
        if scenario.name in ("a refused connection",):
            expected: tuple[list[Any], Any] = ([], ("TransportError", "connect", None))
        else:
            expected = simulated(scenario)
        seen: list[Any] = []
        outcomes: list[Any] = []
        with LoopbackServer(scenario.vendor()) as server:

            async def play() -> None:
                token = CancellationToken()
                stream = arm.stream(scenario.flow(server.url), cancel=token)
                timer = threading.Timer(scenario.cancel_at or 0.0, token.cancel)
                if scenario.cancel_at == 0.0:
                    token.cancel()
                elif scenario.cancel_at is not None:
                    timer.start()
                try:
                    async for event in stream:
                        seen.append(event)
                    outcomes.append(outcome_of(None, stream.result))
                except Exception as error:
                    outcomes.append(outcome_of(error, None))
                finally:
                    timer.cancel()

            arm.play(play)
        assert (plain(seen), outcomes[0]) == expected

    def test_both_forms_of_a_stream(self, arm: Arm) -> None:
        async def scenario() -> None:
            async with stream_async(lambda: numbers(3, "end")) as events:
                assert [event async for event in events] == [0, 1, 2]
                assert events.result == "end"
            events = await stream_async(lambda: numbers(3, "end"))
            assert [event async for event in events] == [0, 1, 2]
            assert events.result == "end"
            assert await run_async(numbers(3, "end")) == "end"

        arm.play(scenario)

    def test_the_flow_goes_no_further_than_its_consumer(self, arm: Arm) -> None:
        reached: list[int] = []

        def flow() -> Flow[None]:
            for number in range(5):
                reached.append(number)
                yield Emit((number,))

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                assert not reached
                assert await anext(events) == 0
                await arm.sleep(0.02)
                assert reached == [0]

        arm.play(scenario)

    def test_the_result_before_the_end(self, arm: Arm) -> None:
        async def scenario() -> None:
            stream = arm.stream(numbers(2, "end"))
            await anext(stream)
            with pytest.raises(InvalidInput, match="iterate to its end"):
                stream.result  # noqa: B018
            await stream.aclose()

        arm.play(scenario)

    def test_closing_gives_what_the_flow_still_gives_back(self, arm: Arm) -> None:
        def flow() -> Flow[str]:
            try:
                yield Emit((1, 2, 3))
                yield Sleep(5)
            except Cancelled:
                yield Emit(("dropped",))
            return "what there was"

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                assert await anext(events) == 1
            assert events.result == "what there was"
            assert [event async for event in events] == []
            await events.aclose()

        arm.play(scenario)

    def test_closing_what_never_began(self, arm: Arm) -> None:
        async def scenario() -> None:
            async with arm.stream(numbers(2)) as events:
                pass
            with pytest.raises(Cancelled):
                events.result  # noqa: B018

        arm.play(scenario)

    def test_one_reader_at_a_time(self, arm: Arm) -> None:
        def flow() -> Flow[None]:
            yield Sleep(0.1)

        async def scenario() -> None:
            stream = arm.stream(flow())

            async def read() -> None:
                assert [event async for event in stream] == []

            async def intrude() -> None:
                await arm.sleep(0.03)
                with pytest.raises(InvalidInput, match="another task"):
                    await anext(stream)
                with pytest.raises(InvalidInput, match="another task"):
                    await stream.aclose()

            await arm.side_by_side(read, intrude)

        arm.play(scenario)

    def test_a_target_that_is_none(self, arm: Arm) -> None:
        async def scenario() -> None:
            with pytest.raises(InvalidInput, match="expected an agent or a flow, not int"):
                await arm.run(3)

        arm.play(scenario)

    def test_clock_and_chance_are_the_runtimes(self, arm: Arm) -> None:
        def flow() -> Flow[Any]:
            return (yield Now()), (yield Entropy(3))

        async def scenario() -> None:
            async with arm.Runtime(entropy=lambda size: b"x" * size, clock=lambda: 42.0) as runtime:
                assert await runtime.run(flow()) == (42.0, b"xxx")
            moment, chance = await arm.run(flow())
            assert abs(moment - time.time()) < 60 and len(chance) == 3

        arm.play(scenario)

    def test_a_host_that_cannot_be_resolved(self, arm: Arm) -> None:
        def flow(host: str) -> Flow[Any]:
            return (yield Resolve(host))

        async def scenario() -> None:
            for host in ("does-not-exist.invalid", "a" * 70 + ".test"):
                with pytest.raises(TransportError) as failure:
                    await arm.run(flow(host))
                assert failure.value.phase == "resolve"

        arm.play(scenario)

    # Calls.

    def test_context_variables_reach_every_function(self, arm: Arm) -> None:
        async def coroutine() -> str:
            return VARIABLE.get()

        def flow() -> Flow[list[str]]:
            found = [(yield from call(VARIABLE.get)), (yield from call(coroutine))]
            outcomes = yield Gather((call(VARIABLE.get), call(coroutine)))
            return found + [outcome.value for outcome in outcomes]

        async def scenario() -> None:
            VARIABLE.set("ours")
            assert await arm.run(flow()) == ["ours"] * 4

        arm.play(scenario)

    def test_where_functions_run(self, arm: Arm) -> None:
        async def coroutine() -> threading.Thread:
            await arm.sleep(0)
            return threading.current_thread()

        class Callable:
            async def __call__(self) -> threading.Thread:
                return threading.current_thread()

        def flow() -> Flow[Any]:
            return (
                (yield from call(threading.current_thread)),
                (yield from call(coroutine)),
                (yield from call(Callable())),
                (yield from call(lambda: coroutine())),
            )

        async def scenario() -> None:
            here = threading.current_thread()
            plain, *others = await arm.run(flow())
            assert plain is not here and plain.daemon
            assert others == [here] * 3

        arm.play(scenario)

    def test_functions_that_raise_what_is_no_exception(self, arm: Arm) -> None:
        class Stop(BaseException):
            pass

        def plain() -> None:
            raise Stop

        async def coroutine() -> None:
            raise Stop

        cleaned: list[str] = []

        def flow(function: Any) -> Flow[Any]:
            try:
                yield Call(function)
            finally:
                cleaned.append("up")

        def family(function: Any) -> Flow[Any]:
            yield Gather((flow(function), numbers(3)))

        async def scenario() -> None:
            for function in (plain, coroutine):
                for make in (flow, family):
                    with pytest.raises(Stop):
                        await arm.run(make(function))
            assert cleaned == ["up"] * 4

        arm.play(scenario)

    def test_the_end_of_an_iterator_is_no_end_of_the_flow(self, arm: Arm) -> None:
        async def coroutine() -> None:
            raise StopAsyncIteration

        def flow() -> Flow[Any]:
            yield Emit(("before",))
            for function, arguments in ((next, (iter(()),)), (coroutine, ())):
                try:
                    yield Call(function, arguments)
                except RuntimeError as error:
                    yield Emit((type(error.__cause__).__name__,))

        async def scenario() -> None:
            events, _ = await arm.collect(flow())
            assert events == ["before", "StopIteration", "StopAsyncIteration"]

        arm.play(scenario)

    def test_a_run_inside_a_function_of_a_run(self, arm: Arm) -> None:
        def nested(depth: int) -> Flow[int]:
            if depth == 0:
                return 0
            return 1 + (yield from call(inner, depth - 1))

        async def inner(depth: int) -> Any:
            return await arm.run(nested(depth))

        async def scenario() -> None:
            assert await arm.run(nested(5)) == 5

        arm.play(scenario)

    # Children.

    def test_outcomes_stand_in_the_order_of_the_flows(self, arm: Arm) -> None:
        def child(number: int) -> Flow[int]:
            yield Sleep(0.03 * (3 - number))
            yield Emit((number,))
            return number

        def flow() -> Flow[Any]:
            return (yield Gather(tuple(child(number) for number in range(3))))

        async def scenario() -> None:
            events, outcomes = await arm.collect(flow())
            assert events == [2, 1, 0]
            assert outcomes == [Succeeded(0), Succeeded(1), Succeeded(2)]

        arm.play(scenario)

    @pytest.mark.parametrize("limit", [1, 3])
    def test_no_more_children_than_the_limit(self, arm: Arm, limit: int) -> None:
        running = most = 0

        def child() -> Flow[None]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            yield Sleep(0.01)
            running -= 1

        def flow() -> Flow[Any]:
            return (yield Gather(tuple(child() for _ in range(7)), limit))

        async def scenario() -> None:
            assert len(await arm.run(flow())) == 7
            assert (most, running) == (limit, 0)

        arm.play(scenario)

    def test_children_are_a_buffer_ahead_of_the_consumer(self, arm: Arm) -> None:
        said = [0, 0, 0]

        def child(number: int) -> Flow[None]:
            for event in range(500):
                said[number] += 1
                yield Emit((event,))

        def flow() -> Flow[Any]:
            yield Gather(tuple(child(number) for number in range(3)))

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                seen = 0
                async for _ in events:
                    seen += 1
                    if seen in (100, 700):
                        await arm.sleep(0.02)
                        before = sum(said)
                        await arm.sleep(0.02)
                        assert sum(said) == before
                    # each child has said one more than it could hand over
                    assert sum(said) <= seen + EVENT_BUFFER + 3
            assert said == [500] * 3
            assert all(abs(said[0] - other) < EVENT_BUFFER for other in said)

        arm.play(scenario)

    def test_the_buffer_is_not_passed_while_nobody_reads(self, arm: Arm) -> None:
        said = 0

        def child() -> Flow[None]:
            nonlocal said
            while True:
                said += 1
                yield Emit((said,))

        def flow() -> Flow[Any]:
            yield Gather((child(), child()))

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                await anext(events)
                await arm.sleep(0.05)
                assert said == 1 + EVENT_BUFFER + 2

        # An endless flow heeds Cancelled, which is raised where it emits.
        arm.play(scenario)

    def test_a_child_that_fails_stops_the_others(self, arm: Arm) -> None:
        ended: list[str] = []

        def child() -> Flow[None]:
            try:
                yield Sleep(5)
            except Cancelled:
                yield Emit(("cancelled",))
                raise
            finally:
                ended.append("child")

        def failing() -> Flow[None]:
            yield Sleep(0.02)
            raise KeyError("failed")

        def flow() -> Flow[Any]:
            yield Gather((child(), failing(), child(), numbers(1)), 3)

        async def scenario() -> None:
            stream = arm.stream(flow())
            events = []
            with pytest.raises(KeyError):
                async for event in stream:
                    events.append(event)
            assert events == ["cancelled"] * 2
            assert ended == ["child"] * 2

        arm.play(scenario)

    def test_a_family_whose_consumer_leaves(self, arm: Arm) -> None:
        ended: list[str] = []

        def child() -> Flow[None]:
            try:
                yield Emit(("begin",))
                yield Sleep(5)
            finally:
                ended.append("child")

        def flow() -> Flow[Any]:
            outcomes = yield Gather((child(), child()), None, OnError.COLLECT)
            return outcomes

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                assert await anext(events) == "begin"
            assert ended == ["child"] * 2
            stream = arm.stream(flow())
            assert await anext(stream) == "begin"
            del stream
            await arm.until(lambda: ended == ["child"] * 4, "the children of a dropped stream live on")

        arm.play(scenario)

    def test_context_variables_of_a_child_stay_its_own(self, arm: Arm) -> None:
        async def change() -> str:
            before = VARIABLE.get()
            VARIABLE.set("changed")
            return before

        def flow() -> Flow[Any]:
            return (yield Gather(tuple(call(change) for _ in range(3)), 1))

        async def scenario() -> None:
            VARIABLE.set("ours")
            assert await arm.run(flow()) == [Succeeded("ours")] * 3
            assert VARIABLE.get() == "ours"

        arm.play(scenario)

    def test_a_deadline_over_children(self, arm: Arm) -> None:
        def child(number: int) -> Flow[str]:
            try:
                yield Sleep(0.02 if number == 0 else 5)
            except Cancelled:
                return f"{number} was cut short"
            return f"{number} was done"

        def family() -> Flow[Any]:
            return (yield Gather(tuple(child(number) for number in range(3))))

        def flow() -> Flow[Any]:
            try:
                return (yield Within(0.1, family()))
            except TimedOut as error:
                return error.partial

        async def scenario() -> None:
            outcomes = await arm.run(flow())
            assert [outcome.value for outcome in outcomes] == [
                "0 was done",
                "1 was cut short",
                "2 was cut short",
            ]

        arm.play(scenario)

    def test_a_flow_that_will_not_end(self, arm: Arm) -> None:
        """One that heeds nothing is closed in the end."""

        def flow() -> Flow[None]:
            while True:
                try:
                    yield Sleep(0.001)
                except TakoError:
                    pass

        async def scenario() -> None:
            async with arm.stream(flow()) as events:
                async with arm.leave_after(0.05) as leaving:
                    await anext(events)
                assert leaving.left
            with pytest.raises(Cancelled):
                events.result  # noqa: B018

        arm.play(scenario)
