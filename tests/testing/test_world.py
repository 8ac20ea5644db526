"""The simulated world: HTTP in virtual time with its faults, calls, addresses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.driving.calls import GRACE
from tako.effects import Call, Close, Flow, HttpHead, HttpRequest, Now, Receive, Resolve, Send, Sleep, Within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.testing import Answer, Faults, Hangup, Pause, Reset, ScriptedVendor, Simulator, strategies
from tako.testing.world import Wait
from tests.effort import examples

REQUEST = HttpRequest("POST", "http://a.test/path?q=1", (("X-Name", "value"),), b"body")


def fetch(request: HttpRequest = REQUEST) -> Flow[Any]:
    """Pieces with the times at which they came, and the error that came last, if one did."""
    told: list[Any] = []
    try:
        head: HttpHead = yield Send(request)
        told.append(((yield Now()), head.status))
        while data := (yield Receive(head.exchange)):
            told.append(((yield Now()), data))
    except TakoError as error:
        told.append(((yield Now()), type(error), error.phase))
    return told


def played(
    *pieces: Any, request: HttpRequest = REQUEST, faults: Faults | None = None, **answer: Any
) -> list[Any]:
    vendor = ScriptedVendor(Answer(pieces, **answer))
    return Simulator(vendor=vendor, faults=faults).run(fetch(request))


def body_of(told: list[Any]) -> bytes:
    return b"".join(item[1] for item in told if isinstance(item[1], bytes))


# Answers in virtual time.


def test_a_piece_comes_as_it_was_written_and_when() -> None:
    told = played(b"a", Pause(1), b"b", b"", b"c", Pause(2), before=(Pause(0.5), Pause(0.5)), status=404)
    assert told == [(1.0, 404), (1.0, b"a"), (2.0, b"b"), (2.0, b"c")]


def test_the_vendor_goes_on_while_nobody_listens() -> None:
    def flow() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        yield Sleep(10)
        yield Receive(head.exchange)
        yield Receive(head.exchange)
        return (yield Now())

    assert Simulator(vendor=ScriptedVendor(Answer((Pause(1), b"a", Pause(1), b"b")))).run(flow()) == 10


def test_the_end_comes_again_and_again() -> None:
    def flow() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        return (yield Receive(head.exchange)), (yield Receive(head.exchange))

    assert Simulator(vendor=ScriptedVendor(Answer())).run(flow()) == (b"", b"")


def test_the_vendor_sees_the_request() -> None:
    vendor = ScriptedVendor([Answer(status=201), Answer(status=202)])
    simulator = Simulator(vendor=vendor)
    assert [simulator.run(fetch())[0][1] for _ in range(3)] == [201, 202, 202]
    (seen, *_) = vendor.requests
    assert (seen.method, seen.target, seen.body) == ("POST", "/path?q=1", b"body")
    assert seen.header("x-name") == "value"


@pytest.mark.parametrize(
    ("framing", "header"),
    [("chunked", ("transfer-encoding", "chunked")), ("length", ("content-length", "3")), ("close", None)],
)
def test_the_head_says_how_the_body_ends(framing: Any, header: tuple[str, str] | None) -> None:
    def flow() -> Flow[Any]:
        return (yield Send(REQUEST))

    answer = Answer((b"abc",), headers=(("X-A", "1"),), framing=framing)
    head = Simulator(vendor=ScriptedVendor(answer)).run(flow())
    assert head == HttpHead(200, (("x-a", "1"), *([header] if header else [])), 1)


@pytest.mark.parametrize("url", ["http://a.test/", "http://a.test:8080/", "https://b.test/"])
def test_each_host_may_have_a_vendor_of_its_own(url: str) -> None:
    vendors = {
        "a.test": ScriptedVendor(Answer(status=201)),
        "a.test:8080": ScriptedVendor(Answer(status=202)),
        "b.test": ScriptedVendor(Answer(status=203)),
    }
    expected = {"http://a.test/": 201, "http://a.test:8080/": 202, "https://b.test/": 203}
    assert Simulator(vendor=vendors).run(fetch(replace(REQUEST, url=url))) == [(0.0, expected[url])]


def test_a_host_without_a_vendor_cannot_be_reached() -> None:
    assert Simulator(vendor={}).run(fetch()) == [(0.0, TransportError, "connect")]


def test_a_bad_address_is_bad_input() -> None:
    assert played(request=replace(REQUEST, url="a.test")) == [(0.0, InvalidInput, None)]


# Failures: what breaks, when, and what the flow is told.


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(before=(Pause(1), Reset())), [(1.0, TransportError, "head")]),
        (Answer(before=(Pause(1), Hangup())), [(1.0, TransportError, "head")]),
        (Answer((b"a", Pause(1), Reset(), b"b")), [(0.0, 200), (0.0, b"a"), (1.0, TransportError, "body")]),
        (Answer((b"a", Pause(1), Hangup(), b"b")), [(0.0, 200), (0.0, b"a"), (1.0, TransportError, "body")]),
        (
            Answer((b"a", Hangup(), b"b"), framing="length"),
            [(0.0, 200), (0.0, b"a"), (0.0, TransportError, "body")],
        ),
        (Answer((b"a", Hangup(), b"b"), framing="close"), [(0.0, 200), (0.0, b"a")]),
        (
            Answer((b"a", Reset(), b"b"), framing="close"),
            [(0.0, 200), (0.0, b"a"), (0.0, TransportError, "body")],
        ),
        (Answer(before=(Pause(6),)), [(5.0, TimedOut, "head")]),
        (Answer((Pause(4), b"a", Pause(6), b"b")), [(0.0, 200), (4.0, b"a"), (9.0, TimedOut, "body")]),
        (Answer((b"a", Pause(5), b"b")), [(0.0, 200), (0.0, b"a"), (5.0, b"b")]),
    ],
)
def test_what_breaks(answer: Answer, told: list[Any]) -> None:
    request = replace(REQUEST, read_timeout=5.0)
    assert Simulator(vendor=ScriptedVendor(answer)).run(fetch(request)) == told


def test_without_a_limit_one_waits_for_as_long_as_it_takes() -> None:
    request = replace(REQUEST, read_timeout=None, connect_timeout=None)
    faults = Faults(connect_delay=1e6)
    assert played(Pause(1e6), b"a", request=request, faults=faults)[-1] == (2e6, b"a")


def test_a_connection_that_takes_too_long() -> None:
    request = replace(REQUEST, connect_timeout=3.0)
    vendor = ScriptedVendor(Answer())
    simulator = Simulator(vendor=vendor, faults=Faults(connect_delay=4.0))
    assert simulator.run(fetch(request)) == [(3.0, TimedOut, "connect")]
    assert vendor.requests == []


def test_a_failure_is_told_again() -> None:
    def flow() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        for _ in range(2):
            with pytest.raises(TransportError):
                yield Receive(head.exchange)
        return "told"

    assert Simulator(vendor=ScriptedVendor(Answer((Reset(),)))).run(flow()) == "told"


def test_closed_twice_and_then_received_from() -> None:
    def flow() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        yield Close(head.exchange)
        yield Close(head.exchange)
        yield Receive(head.exchange)

    with pytest.raises(InvalidInput, match="exchange 1 is not open"):
        Simulator(vendor=ScriptedVendor(Answer())).run(flow())


def test_an_exchange_ends_with_the_flow_that_opened_it() -> None:
    def opens() -> Flow[int]:
        head: HttpHead = yield Send(REQUEST)
        return head.exchange

    run = Simulator(vendor=ScriptedVendor(Answer())).stream(opens())
    assert run.result == 1
    assert run.open_exchanges == ()


def test_a_receive_that_was_cut_short_loses_nothing() -> None:
    def flow() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        try:
            yield Within(1, receive_once(head.exchange))
        except TimedOut:
            return (yield Receive(head.exchange))

    assert Simulator(vendor=ScriptedVendor(Answer((Pause(3), b"late")))).run(flow()) == b"late"


def receive_once(exchange: int) -> Flow[bytes]:
    data: bytes = yield Receive(exchange)
    return data


# Faults.


def test_sizes_cut_and_join() -> None:
    told = played(b"abc", b"defg", Pause(1), b"h", faults=Faults(cut=(2, 4)))
    assert told[1:] == [(0.0, b"ab"), (0.0, b"cdef"), (0.0, b"g"), (1.0, b"h")]


def test_seeded_sizes_reach_single_bytes_and_everything_at_once() -> None:
    sizes: set[int] = set()
    for seed in range(60):
        simulator = Simulator(
            seed, ScriptedVendor(Answer((b"x" * 20, b"y" * 20))), faults=Faults(cut="seeded")
        )
        sizes.update(len(item[1]) for item in simulator.run(fetch())[1:])
    assert {1, 40} <= sizes


def test_each_piece_is_late() -> None:
    told = played(b"a", b"b", faults=Faults(delay=1.0, connect_delay=0.5))
    assert told == [(1.5, 200), (2.5, b"a"), (3.5, b"b")]


def test_jitter_is_added_by_the_seed() -> None:
    times = {
        Simulator(seed, ScriptedVendor(Answer((b"a",))), faults=Faults(jitter=1.0)).run(fetch())[1][0]
        for seed in range(20)
    }
    assert len(times) == 20
    assert all(0 <= time < 2 for time in times)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("kind", ["reset_at", "truncate_at"])
def test_broken_at_every_byte(kind: str, place: int) -> None:
    told = played(b"abc", b"de", b"f", faults=Faults(**{kind: place}))
    assert body_of(told) == b"abcdef"[:place]
    assert (told[-1][1:] == (TransportError, "body")) == (place <= 6)


@pytest.mark.parametrize(
    ("place", "body"),
    [(0, b"!!abcdef"), (3, b"abc!!def"), (4, b"abcd!!ef"), (6, b"abcdef!!"), (7, b"abcdef")],
)
def test_garbage_at_a_byte(place: int, body: bytes) -> None:
    told = played(b"abc", b"de", b"f", faults=Faults(garbage_at=place, garbage=b"!!"))
    assert body_of(told) == body


@settings(max_examples=examples(2))
@given(
    st.lists(st.binary(max_size=8), max_size=6),
    strategies.faults(body_size=30, max_seconds=1.0),
    st.integers(0, 99),
)
def test_the_body_is_what_was_sent_up_to_the_fault(pieces: list[bytes], faults: Faults, seed: int) -> None:
    whole = b"".join(pieces)
    told = Simulator(seed, ScriptedVendor(Answer(tuple(pieces))), faults=faults).run(fetch())
    expected = whole
    place = faults.garbage_at
    if place is not None and place <= len(whole):
        expected = whole[:place] + faults.garbage + whole[place:]
    places = [at for at in (faults.truncate_at, faults.reset_at) if at is not None and at <= len(expected)]
    broken = bool(places)
    assert body_of(told) == (expected[: min(places)] if places else expected)
    assert (told[-1][1] is TransportError) == broken


@pytest.mark.parametrize(
    "wrong", [{"delay": -1.0}, {"cut": ()}, {"cut": (0,)}, {"reset_at": -1}, {"cancel_at": float("nan")}]
)
def test_faults_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Faults(**wrong)


# Calls.


def calls(function: Any, *arguments: Any, **keywords: Any) -> Flow[Any]:
    return (yield Call(function, arguments, keywords))


async def doubled(number: int) -> int:
    return number * 2


async def awaiting(number: int) -> int:
    return await doubled(await doubled(number))


class Waits:
    def __await__(self) -> Any:
        yield "what an event loop would be told"


async def waiting() -> None:
    await Waits()


def test_functions_plain_and_async() -> None:
    assert Simulator().run(calls(divmod, 7, 2)) == (3, 1)
    assert Simulator().run(calls(dict, a=1)) == {"a": 1}
    assert Simulator().run(calls(awaiting, 3)) == 12


def test_a_coroutine_that_waits_for_an_event_loop_says_so() -> None:
    with pytest.raises(InvalidInput, match="waiting waits for an event loop"):
        Simulator().run(calls(waiting))


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_a_function_that_raises_stop_does_not_end_the_flow(error: type[Exception]) -> None:
    def stops() -> None:
        raise error("x")

    with pytest.raises(RuntimeError, match=f"stops raised {error.__name__}") as caught:
        Simulator().run(calls(stops))
    assert type(caught.value.__cause__) is error


def test_what_a_function_raises_is_the_flows() -> None:
    with pytest.raises(ZeroDivisionError):
        Simulator().run(calls(divmod, 1, 0))


def test_a_wait_is_stopped_once() -> None:
    wait = Wait(10.0, lambda: None, heeds=False)
    wait.stop(1.0)
    wait.stop(5.0)
    assert wait.until == 1.0 + GRACE


# Addresses, and what is no effect.


def resolves(host: str) -> Flow[Any]:
    return (yield Resolve(host))


def test_addresses_come_in_order_and_once() -> None:
    simulator = Simulator(addresses={"a.test": ["192.0.2.2", "192.0.2.1", "192.0.2.2"]})
    assert simulator.run(resolves("a.test")) == ("192.0.2.2", "192.0.2.1")
    for world in (simulator, Simulator()):
        with pytest.raises(TransportError, match=r"b\.test") as caught:
            world.run(resolves("b.test"))
        assert caught.value.phase == "resolve"


def test_what_is_no_effect_is_bad_input() -> None:
    def flow() -> Any:
        yield "hello"

    with pytest.raises(InvalidInput, match="not str"):
        Simulator().run(flow())


def test_an_error_of_a_vendor_function_is_the_tests_own() -> None:
    def answer(request: Any) -> Answer:
        raise ProtocolError("a mistake in the test")

    with pytest.raises(ProtocolError):
        Simulator(vendor=ScriptedVendor(answer)).run(fetch())
