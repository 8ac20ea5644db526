"""A Conductor on the arms: as fast as its fanout, gone when it is cancelled, held back by who listens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako import CancellationToken
from tako.effects import EVENT_BUFFER, Flow, Sleep
from tako.events import AssistantText, SubAgentEvent, TextDelta
from tako.models import ChatRequest, ChatResponse
from tako.orchestrators.conductor import Conductor, ConductorResult
from tako.providers import Fake, OpenAI, PythonProvider
from tako.providers.base import Relay, as_they_are
from tako.testing import Answer, Pause, ScriptedVendor, Simulator, check_history, first_difference
from tako_io_sync.loopback import LoopbackServer
from tests.contracts.drivers import DRIVERS, SIMULATOR, Driver
from tests.contracts.test_cancel import BUSY_MACHINE, IN_TIME, RUNS, nothing_left_behind
from tests.orchestrators.conductor.kit import answer, own, plan

arms = pytest.mark.parametrize("arm", RUNS)
TRIES = 12
"""A machine whose cores others keep busy adds 50 ms and more, now and then; but not always."""
SIXTEEN = [(f"worker{number}", "work") for number in range(16)]


def run(arm: str, one: Conductor, **options: Any) -> ConductorResult:
    result: ConductorResult = RUNS[arm](one, "go", **{"cancel": None, **options})
    return result


def sixteen() -> Conductor:
    coordinator = Fake(script=[plan(*SIXTEEN), answer("done")])
    return Conductor(coordinator, {name: Fake("fine", delay_ms=100) for name, _ in SIXTEEN}, max_fanout=8)


def test_3_sixteen_workers_by_eight_take_two_rounds_and_nothing_else() -> None:
    simulator = Simulator()
    simulator.run(sixteen(), "go")
    assert simulator.now == pytest.approx(0.2)


@arms
def test_3_sixteen_workers_of_100_ms_by_eight_take_less_than_250_ms(arm: str) -> None:
    taken: list[float] = []
    while not taken or min(taken) >= 0.25:
        assert len(taken) < TRIES, f"it took {taken}"
        began = time.monotonic()
        result = run(arm, sixteen())
        taken.append(time.monotonic() - began)
        assert [one.status for one in result.rounds[0].results] == ["done"] * 16
        assert taken[-1] >= 0.2


def blocking(begun: threading.Semaphore, release: threading.Event) -> PythonProvider:
    """A model that is a blocking function, and heeds nothing."""

    def chat(request: Any) -> str:
        begun.release()
        release.wait(30.0)
        return "late"

    return PythonProvider("blocking", chat)


@arms
def test_28_a_cancelled_conductor_leaves_nothing_running(arm: str) -> None:
    begun, release, token = threading.Semaphore(0), threading.Event(), CancellationToken()
    moments: list[float] = []
    workers: dict[str, Any] = {
        "asleep": Fake("late", delay_ms=30_000),
        "blocked": blocking(begun, release),
        "team": Conductor(Fake(script=[plan(("deep", "work"))]), {"deep": blocking(begun, release)}),
    }
    one = Conductor(
        Fake(script=[plan(*[(name, "work") for name in workers])]), workers, verifier=lambda text: 1
    )

    def cancel() -> None:
        assert begun.acquire(timeout=5) and begun.acquire(timeout=5)
        moments.append(time.monotonic())
        token.cancel()

    with nothing_left_behind():
        canceller = threading.Thread(target=cancel)
        canceller.start()
        result = run(arm, one, cancel=token)
        late = time.monotonic() - moments[0]
        release.set()  # a function that blocks can only be left behind; here it ends
        canceller.join()
    assert late < IN_TIME + BUSY_MACHINE, f"it took {late:.3f} s"
    assert result.stop_reason == "cancelled"
    assert [done.status for done in result.rounds[0].results] == ["cancelled"] * 3
    check_history(result.new_messages)
    assert not token._callbacks


@arms
def test_35_a_worker_that_hangs_is_stopped_in_time_whatever_it_waits_for(arm: str) -> None:
    def silent(request: Any) -> Answer:
        return Answer((b"{}",), before=(Pause(30.0),))

    begun, release = threading.Semaphore(0), threading.Event()
    with LoopbackServer(ScriptedVendor(silent)) as server:
        hung = OpenAI("m", "k", base_url=server.url)
        workers: dict[str, Any] = {
            "reads": hung,
            "blocks": blocking(begun, release),
            "sleeps": Fake("late", delay_ms=30_000),
            "team": Conductor(Fake(script=[plan(("deep", "work"))]), {"deep": hung}),
        }
        script = [plan(*[(name, "work") for name in workers]), answer("without them")]
        one = Conductor(Fake(script=script), workers, worker_timeout_secs=0.1)
        began = time.monotonic()
        result = run(arm, one)
        late = time.monotonic() - began - 0.1
        release.set()
    assert late < IN_TIME + BUSY_MACHINE, f"it took {late:.3f} s more"
    assert [done.error for done in result.rounds[0].results] == ["worker timed out after 0.1s"] * 4
    assert result.text == "without them"


@arms
def test_27_fail_fast_stops_what_runs(arm: str) -> None:
    workers = {"asleep": Fake("late", delay_ms=30_000), "failing": PythonProvider("failing", _fails)}
    one = Conductor(Fake(script=[plan(("asleep", "x"), ("failing", "y"))]), workers, fail_fast=True)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"Conductor worker failed .*failing"):
        run(arm, one)
    assert time.monotonic() - began < 5.0


def _fails(request: Any) -> str:
    raise OSError("no")


SAID = 250


class Talking(Fake):
    """A model that says many things as fast as it can, and counts them."""

    def __init__(self) -> None:
        super().__init__(("word " * SAID).strip())
        self.said = 0

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        def counted(chunks: Any) -> Any:
            self.said += sum(type(chunk) is TextDelta for chunk in chunks)
            return relay(chunks)

        yield Sleep(0.0)
        return (yield from super().stream_flow(request, counted))


def slow_sync(one: Conductor, on_text: Callable[[], float]) -> None:
    with tako_io_sync.stream(one.flow("go", streaming=True)) as events:
        for event in events:
            if seconds := _pause(event, on_text):
                time.sleep(seconds)


def slow_async(module: Any, sleep: Any, main: Callable[[Any], Any]) -> Callable[[Conductor, Any], None]:
    def read(one: Conductor, on_text: Callable[[], float]) -> None:
        async def reading() -> None:
            async for event in module.stream(one.flow("go", streaming=True)):
                if seconds := _pause(event, on_text):
                    await sleep(seconds)

        main(reading)

    return read


def slow_simulated(one: Conductor, on_text: Callable[[], float]) -> None:
    for event in Simulator(seed=5).stream(one, "go"):
        _pause(event, on_text)


def _pause(event: Any, on_text: Callable[[], float]) -> float:
    said = isinstance(event, SubAgentEvent) and isinstance(event.event, AssistantText)
    return on_text() if said else 0.0


READERS: dict[str, Callable[[Conductor, Callable[[], float]], None]] = {
    "simulator": slow_simulated,
    "sync": slow_sync,
    "trio": slow_async(tako_io_trio, trio.sleep, trio.run),
    "asyncio": slow_async(tako_io_asyncio, asyncio.sleep, lambda main: asyncio.run(main())),
}


@pytest.mark.parametrize("reader", READERS)
def test_7_a_slow_consumer_holds_all_workers_back(reader: str) -> None:
    """All together they are 64 events ahead, besides the one that each of them has in its hands."""
    models = {f"worker{number}": Talking() for number in range(4)}
    coordinator = Fake(script=[plan(*[(name, "work") for name in models]), answer("done")])
    taken, ahead = 0, []

    def on_text() -> float:
        nonlocal taken
        taken += 1
        ahead.append(sum(model.said for model in models.values()) - taken)
        return 0.05 if taken in (100, 700) else 0.0

    READERS[reader](Conductor(coordinator, models), on_text)
    assert taken == 4 * SAID
    assert max(ahead) <= EVENT_BUFFER + len(models)
    assert max(ahead) > EVENT_BUFFER // 2  # otherwise nothing was held back


def _comparable(events: list[Any]) -> list[Any]:
    """Without what chance has named."""
    return [event for event in own(events) if event.kind not in ("step_start", "final")]


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_8_the_arms_agree(driver: Driver) -> None:
    def made(url: str) -> Flow[Any]:
        workers = {"a": Fake("one two"), "b": Fake("three four"), "c": PythonProvider("failing", _fails)}
        script = [plan(("a", "x"), ("b", "y"), ("c", "z")), "no plan", answer("done now")]
        one = Conductor(Fake(script=script), workers, verifier=lambda text: 0.5)
        return one.flow("go", streaming=True)

    def observed(by: Driver) -> tuple[list[Any], Any, dict[Any, list[Any]]]:
        seen = by.observe(None, made)  # type: ignore[arg-type]
        speakers: dict[Any, list[Any]] = {}
        for event in seen.events:
            if isinstance(event, SubAgentEvent) and event.event.kind == "assistant_text":
                speakers.setdefault(event.path, []).append(event.event)
        return _comparable(seen.events), seen.outcome.value, speakers  # type: ignore[union-attr]

    events, result, speakers = observed(SIMULATOR)
    own_events, own_result, own_speakers = observed(driver)
    assert first_difference(events, own_events) is None
    assert own_speakers == speakers and set(speakers) == {("a:step1-1",), ("b:step1-2",)}
    fields = ("text", "rounds", "usage", "steps", "stop_reason", "new_messages")
    assert [getattr(own_result, name) for name in fields] == [getattr(result, name) for name in fields]
