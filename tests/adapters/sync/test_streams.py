"""EventStream: iteration, the result, leaving early."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import tako_io_sync
from tako.effects import Call, Emit, Failed, Flow, Sleep
from tako.errors import Cancelled, InvalidInput
from tako_io_sync import Runtime


def counting(log: list[str]) -> Flow[str]:
    try:
        yield Emit((1, 2))
        log.append("emitted")
        yield Sleep(0)
        yield Emit([3])
        return "whole"
    except Cancelled:
        yield Emit(("dropped",))
        return "part"
    finally:
        log.append("finally")


def test_events_then_the_result(runtime: Runtime) -> None:
    log: list[str] = []
    with runtime.stream(counting(log)) as events:
        assert log == []
        assert next(events) == 1
        assert next(events) == 2
        assert log == []  # the flow goes on when the last one was taken
        assert list(events) == [3]
        assert events.result == "whole"
        assert list(events) == []
    assert events.result == "whole"


def test_the_result_reads_on_to_the_end(runtime: Runtime) -> None:
    events = runtime.stream(counting([]))
    next(events)
    assert events.result == "whole"


def test_run_is_a_stream_without_events() -> None:
    assert tako_io_sync.run(counting([])) == "whole"
    assert list(tako_io_sync.stream(counting([]))) == [1, 2, 3]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_leaving_early_stops_the_flow_and_keeps_what_it_gives_back(taken: int, runtime: Runtime) -> None:
    log: list[str] = []
    with runtime.stream(counting(log)) as events:
        for _ in range(taken):
            next(events)
    assert events.result == "part"
    assert log == (["emitted", "finally"] if taken > 2 else ["finally"])
    events.close()
    assert list(events) == []


def test_breaking_out_of_the_loop_leaves_the_stream_open(runtime: Runtime) -> None:
    events = runtime.stream(counting([]))
    for _ in events:
        break
    assert list(events) == [2, 3]


def test_a_stream_that_is_forgotten_ends_its_flow(runtime: Runtime) -> None:
    log: list[str] = []
    events = runtime.stream(counting(log))
    next(events)
    del events
    assert log == ["finally"]


def test_an_error_is_raised_once_and_by_the_result(runtime: Runtime) -> None:
    def failing() -> Flow[None]:
        yield Emit((1,))
        raise LookupError("mine")

    events = runtime.stream(failing())
    assert next(events) == 1
    with pytest.raises(LookupError):
        next(events)
    assert list(events) == []
    for _ in range(2):
        with pytest.raises(LookupError):
            _ = events.result


def test_a_failure_that_was_told_in_events_is_raised_by_the_result_alone(runtime: Runtime) -> None:
    def failing() -> Flow[Any]:
        yield Emit(("failed",))
        return Failed(LookupError("mine"))

    events = runtime.stream(failing())
    assert list(events) == ["failed"]
    with pytest.raises(LookupError):
        _ = events.result
    with pytest.raises(LookupError):
        runtime.run(failing())


def test_a_flow_that_swallows_every_cancel_is_closed(runtime: Runtime) -> None:
    def deaf() -> Flow[None]:
        yield Emit((1,))
        while True:
            try:
                yield Sleep(30)
            except Cancelled:
                pass

    with runtime.stream(deaf()) as events:
        next(events)
    with pytest.raises(Cancelled):
        _ = events.result


def test_a_stream_that_another_thread_reads(runtime: Runtime) -> None:
    begun, release = threading.Event(), threading.Event()

    def tool() -> None:
        begun.set()
        release.wait(5)

    def flow() -> Flow[None]:
        yield Call(tool)

    events = runtime.stream(flow())
    reader = threading.Thread(target=list, args=(events,))
    reader.start()
    assert begun.wait(5)
    with pytest.raises(InvalidInput, match="cancel its token"):
        events.close()
    release.set()
    reader.join()


def test_an_agent_is_told_whether_somebody_looks_on(runtime: Runtime) -> None:
    class Agent:
        def flow(self, prompt: str, *, streaming: bool = False, **options: Any) -> Flow[Any]:
            yield Emit((prompt,))
            return streaming, options

    assert runtime.run(Agent(), "hello", top_p=1) == (False, {"top_p": 1})
    events = runtime.stream(Agent(), "hello", top_p=1)
    assert list(events) == ["hello"]
    assert events.result == (True, {"top_p": 1})


def test_a_flow_that_yields_something_else(runtime: Runtime) -> None:
    def confused() -> Any:
        yield 7

    with pytest.raises(InvalidInput, match="not int"):
        runtime.run(confused())


def test_a_flow_whose_events_are_none_is_closed(runtime: Runtime) -> None:
    log: list[str] = []

    def confused() -> Any:
        try:
            yield Emit(7)  # type: ignore[arg-type]
        finally:
            log.append("finally")

    flow = confused()
    with pytest.raises(TypeError):
        list(runtime.stream(flow))
    assert log == ["finally"]
