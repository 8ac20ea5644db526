"""Scenarios: flows and the world they run in, written once and played on every driver.

A scenario has no expected events: what the simulator gives is what an adapter has to give. So it
may hold nothing that depends on the driver. Where several flows run side by side, pauses fix who is
first (TICK apart); a body is told line by line, never in the pieces in which it arrived; moments,
random bytes and the words of an error stay out of events and results.

To add one, append to SCENARIOS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tako.cancellation import CancellationToken
from tako.effects import (
    EVENT_BUFFER,
    Call,
    Close,
    Effect,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    HttpHead,
    HttpRequest,
    Now,
    OnError,
    Receive,
    Resolve,
    Send,
    Sleep,
    Within,
    call,
    entropy,
    gather,
    now,
    receive,
    resolve,
    send,
    sleep,
    within,
)
from tako.errors import Cancelled, Interrupted, TakoError, TimedOut, TransportError
from tako.testing.vendor import Answer, Hangup, Pause, ReceivedRequest, Reset, ScriptedVendor

__all__ = ["SCENARIOS", "TICK", "Scenario"]

TICK = 0.06
"""Seconds between two things whose order counts; more than a busy machine is late."""
LONG = 30.0
"""Seconds that nobody waits to the end."""


_NOTHING = Answer()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`flow` is given the address of the vendor, without a slash at its end.

    `answers` is what ScriptedVendor takes; a fresh one is made for each run. With `cancel_at` the
    run's token is cancelled so many seconds after the start.
    """

    name: str
    flow: Callable[[str], Flow[Any]]
    answers: Answer | Sequence[Answer] | Callable[[ReceivedRequest], Answer] = _NOTHING
    cancel_at: float | None = None

    def vendor(self) -> ScriptedVendor:
        return ScriptedVendor(self.answers)


# The flows. Each is a plain generator, so that it shows the raw effects.


def _get(url: str, path: str = "/") -> HttpRequest:
    return HttpRequest("GET", url + path)


def _lines(exchange: int) -> Flow[int]:
    """Emit the body line by line; the tail without a line end too. Returns how many bytes there were."""
    rest, size = b"", 0
    while data := (yield Receive(exchange)):
        size += len(data)
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield Emit(lines)
    if rest:
        yield Emit([rest])
    return size


def _fetch(url: str, path: str = "/", **limits: Any) -> Flow[Any]:
    """Ask, tell the body line by line, close."""
    head: HttpHead = yield Send(HttpRequest("GET", url + path, **limits))
    yield Emit([head.status])
    size = yield from _lines(head.exchange)
    yield Close(head.exchange)
    return head.status, head.header("content-type"), size


def _fetch_impatiently(url: str) -> Flow[Any]:
    return _fetch(url, read_timeout=TICK)


def _post(url: str) -> Flow[Any]:
    request = HttpRequest("POST", f"{url}/echo?a=1&b=%20", (("X-Scenario", "a post"),), b"\x00\xff" * 40_000)
    head = yield from send(request)
    yield from _lines(head.exchange)
    yield Close(head.exchange)
    return head.header("x-answer")


def _echo(request: ReceivedRequest) -> Answer:
    seen = f"{request.method} {request.target} {len(request.body)} {request.header('x-scenario')}"
    return Answer((seen.encode(),), headers=(("X-Answer", "yes"),))


def _fetch_twice(url: str) -> Flow[Any]:
    first = yield from _fetch(url, "/1")
    second = yield from _fetch(url, "/2")
    return first, second


def _fetch_unread(url: str) -> Flow[Any]:
    """Leave a body unread, once closed and once not, and ask again."""
    head = yield from send(_get(url))
    yield Close(head.exchange)
    yield Close(head.exchange)
    head = yield from send(_get(url))
    return (yield from _fetch(url))


def _receive_after_the_end(url: str) -> Flow[Any]:
    head = yield from send(_get(url))
    yield from _lines(head.exchange)
    again = yield from receive(head.exchange)
    yield Close(head.exchange)
    yield Emit([again])
    return (yield from receive(head.exchange))


def _keep_what_came(url: str) -> Flow[Any]:
    """A flow that gives back what it had, however it is stopped."""
    told: list[Any] = []
    try:
        head = yield from send(_get(url))
        told.append(head.status)
        while data := (yield Receive(head.exchange)):
            told.append(len(data))
            yield Emit([data])
    except TakoError as error:
        yield Emit([type(error).__name__])
    return told


def _by_path(request: ReceivedRequest) -> Answer:
    """`/3` is answered 3 ticks later, and once more 3 ticks later."""
    ticks = TICK * int(request.target[1:])
    return Answer((b"one\n", Pause(3 * TICK), b"two\n"), before=(Pause(ticks),))


def _three_side_by_side(url: str) -> Flow[Any]:
    return (yield from gather(*[_fetch(url, f"/{number}") for number in (2, 1, 3)]))


def _say(name: str, seconds: float, end: Any = None) -> Flow[Any]:
    """Say that we began, and after a while that we are done; `end` is returned, or raised."""
    yield Emit([f"{name} begins"])
    try:
        yield Sleep(seconds)
    except TakoError as error:
        yield Emit([f"{name}: {type(error).__name__}"])
        raise
    if isinstance(end, Exception):
        raise end
    yield Emit([f"{name} ends"])
    return end


def _one_after_the_other(url: str) -> Flow[Any]:
    return (yield from gather(_say("a", 0, 1), _say("b", 0, 2), _say("c", 0, 3), limit=1))


def _two_at_a_time(url: str) -> Flow[Any]:
    starts = [_later(3 * index * TICK / 2, _say(str(index), TICK, index)) for index in range(4)]
    return (yield from gather(*starts, limit=2))


def _later(seconds: float, flow: Flow[Any]) -> Flow[Any]:
    yield Sleep(seconds)
    return (yield from flow)


def _collecting(url: str) -> Flow[Any]:
    failing = _later(TICK, _say("b", 0, ValueError("b failed")))
    return (yield from gather(_say("a", 3 * TICK, 1), failing, on_error=OnError.COLLECT))


def _stopping(url: str) -> Flow[Any]:
    failing = _later(TICK, _say("b", 0, ValueError("b failed")))
    yield Emit(["start"])
    try:
        yield from gather(_say("a", LONG), failing, _say("never", 0), limit=2)
    except ValueError:
        yield Emit(["stopped"])
        raise


def _gather_in_gather(url: str) -> Flow[Any]:
    def family(name: str, start: float) -> Flow[Any]:
        yield Sleep(start)
        return (yield from gather(_say(f"{name}1", TICK, 1), _later(2 * TICK, _say(f"{name}2", TICK, 2))))

    return (yield from gather(family("x", 0), family("y", 5 * TICK)))


def _nothing_to_gather(url: str) -> Flow[Any]:
    return (yield Gather(()))


def _many_events(url: str) -> Flow[Any]:
    def talk() -> Flow[Any]:
        for number in range(EVENT_BUFFER * 3):
            yield Emit([number])
        yield Emit(list(range(EVENT_BUFFER * 2)))

    yield from gather(talk())
    yield Emit([])
    yield Emit(("the", "end"))


def _in_time(url: str) -> Flow[Any]:
    return (yield from within(LONG, _fetch(url)))


def _too_late(url: str) -> Flow[Any]:
    """The time limit is reached; what the flow still gives back is in the error."""
    try:
        yield from within(2 * TICK, _keep_what_came(url))
    except TimedOut as error:
        yield Emit(["too late", error.partial])
    yield Sleep(0)
    return "went on"


def _inner_limit(url: str) -> Flow[Any]:
    def inner() -> Flow[Any]:
        try:
            yield Within(TICK, _say("inner", LONG))
        except TimedOut:
            yield Emit(["the inner limit"])
        yield Sleep(TICK)
        return "in time"

    return (yield Within(LONG, inner()))


def _outer_limit(url: str) -> Flow[Any]:
    def inner() -> Flow[Any]:
        try:
            yield Within(LONG, _say("inner", LONG))
        except TimedOut:
            yield Emit(["the inner limit: wrong"])

    try:
        yield Within(TICK, inner())
    except TimedOut as error:
        yield Emit(["the outer limit"])
        return type(error.__cause__).__name__


def _limit_over_children(url: str) -> Flow[Any]:
    try:
        yield Within(2 * TICK, gather(_say("a", TICK, 1), _later(TICK / 2, _say("b", LONG))))
    except TimedOut as error:
        return error.partial


def _failing_within(url: str) -> Flow[Any]:
    return (yield from within(LONG, _say("a", 0, KeyError("a"))))


def _calls(url: str) -> Flow[Any]:
    def plain(one: int, *, other: int) -> int:
        return one + other

    async def coroutine(one: int) -> int:
        return one * 2

    def with_token(name: str, token: CancellationToken) -> str:
        return f"{name}: {type(token).__name__} {token.is_cancelled}"

    results = [(yield Call(plain, (1,), {"other": 2}))]
    results.append((yield from call(coroutine, 21)))
    results.append((yield Call(with_token, ("a",), token_argument="token")))
    return results


def _failing_calls(url: str) -> Flow[Any]:
    async def coroutine() -> None:
        raise KeyError("from a coroutine")

    def plain() -> None:
        raise ZeroDivisionError("from a function")

    def stop() -> None:
        raise StopIteration("not the end of the flow")

    for function in (plain, coroutine, stop):
        try:
            yield from call(function)
        except Exception as error:
            yield Emit([type(error).__name__])
    return (yield from call(plain))


def _calls_side_by_side(url: str) -> Flow[Any]:
    async def coroutine(number: int) -> int:
        return -number

    def plain(number: int) -> int:
        return number

    flows = [call(coroutine if number % 2 else plain, number) for number in range(6)]
    return (yield from gather(*flows, limit=3))


def _time_and_chance(url: str) -> Flow[Any]:
    before = yield from now()
    yield from sleep(TICK)
    after = yield from now()
    one, other = (yield from entropy(16)), (yield Entropy(16))
    # Clocks are read in steps, and a timer may be early by one of them.
    return after - before >= TICK * 0.75, len(one), one != other, len((yield Entropy(0)))


def _resolve(url: str) -> Flow[Any]:
    addresses = yield from resolve("127.0.0.1", 80)
    return addresses, (yield Resolve("127.0.0.1"))


def _refused(url: str) -> Flow[Any]:
    return (yield from send(HttpRequest("GET", "http://127.0.0.1:1/")))


def _bad_address(url: str) -> Flow[Any]:
    return (yield Send(HttpRequest("GET", "ftp://127.0.0.1/")))


def _no_effect(url: str) -> Flow[Any]:
    not_an_effect: Any = "hello"
    return (yield not_an_effect)


def _told_failure(url: str) -> Flow[Any]:
    yield Emit(["the events tell it"])
    return Failed(TransportError("reset", phase="body"))


def _failure(url: str) -> Flow[Any]:
    yield Emit(["before"])
    yield Now()
    raise LookupError("the flow's own")


def _waiting(make: Callable[[], Effect]) -> Callable[[str], Flow[Any]]:
    """A flow that waits long for one effect, and tells how that ended."""

    def flow(url: str) -> Flow[Any]:
        try:
            yield make()
        except Cancelled as error:
            yield Emit(["cancelled", error.abandoned])
            return error.partial
        return "not cancelled"

    return flow


def _waits_again(url: str) -> Flow[Any]:
    """A cancelled flow gets no other wait, but may still speak."""
    for attempt in range(3):
        try:
            yield Sleep(LONG)
        except Cancelled:
            yield Emit([attempt])
    return "three refusals"


# Tokens of a part of the flow.


def _interruptible(flow: Flow[Any], token: CancellationToken) -> Flow[Any]:
    """Run a flow until the token is cancelled, and go on whatever became of it."""
    try:
        result = yield Within(None, flow, token)
    except Interrupted as error:
        result = "interrupted", error.partial
    yield Sleep(0)
    return result


def _cancelled_after(seconds: float, token: CancellationToken, *flows: Flow[Any]) -> Flow[Any]:
    """Run flows side by side with one that cancels the token, and give what they returned."""
    outcomes = yield Gather((*flows, _later(seconds, call(token.cancel))))
    return [outcome.value for outcome in outcomes[:-1]]


def _interrupted_in_every_wait(url: str) -> Flow[Any]:
    """One token for parts that wait for different things; of three children one never starts."""
    token = CancellationToken()
    waits = [
        _asleep(),
        send(_get(url, "/no-head")),
        _take_what_comes(url),
        gather(_say("a", 0, 1), _say("b", LONG), _say("c", 0), limit=1),
        within(LONG, _asleep(), CancellationToken()),
        within(None, _interruptible(_asleep(), CancellationToken())),
    ]
    return (yield from _cancelled_after(TICK, token, *[_interruptible(wait, token) for wait in waits]))


def _asleep() -> Flow[Any]:
    yield Sleep(LONG)
    return "not interrupted"


def _take_what_comes(url: str) -> Flow[Any]:
    head = yield from send(_get(url))
    taken = [head.status]
    try:
        while data := (yield Receive(head.exchange)):
            taken.append(len(data))
    except Cancelled:
        return taken


def _no_head_or_no_end(request: ReceivedRequest) -> Answer:
    return Answer(before=(Pause(LONG),)) if request.target == "/no-head" else _STALLED


def _read_on_afterwards(url: str) -> Flow[Any]:
    """Stop waiting for the next piece, for two reasons, and wait for it again: nothing is lost."""

    def reader() -> Flow[Any]:
        head = yield from send(_get(url))
        yield Emit([(yield from receive(head.exchange))])
        try:
            yield Within(TICK / 2, receive(head.exchange))
        except TimedOut:
            yield Emit(["too late"])
        yield Emit([(yield from _interruptible(receive(head.exchange), token))])
        return (yield from _lines(head.exchange))

    token = CancellationToken()
    return (yield from _cancelled_after(2 * TICK, token, reader()))


def _what_a_part_opened(url: str) -> Flow[Any]:
    """Who stops, or fails, keeps nothing open; who ends well leaves it to its parent."""

    def opening(then: Flow[Any]) -> Flow[int]:
        head = yield from send(_get(url))
        opened.append(head.exchange)
        yield from then
        return head.exchange

    opened: list[int] = []
    token = CancellationToken()
    for then in (_say("a", 0, TransportError("reset", phase="body")), call(token.cancel)):
        try:
            yield Within(LONG, opening(_and_sleep(then)), token)
        except TakoError as error:
            yield Emit([type(error).__name__])
    for exchange in opened:
        try:
            yield Receive(exchange)
        except TakoError as error:
            yield Emit([type(error).__name__])
    return (yield from _lines((yield Within(LONG, opening(_say("b", 0)), CancellationToken()))))


def _and_sleep(flow: Flow[Any]) -> Flow[Any]:
    yield from flow
    yield Sleep(LONG)


def _interrupted_by_what_it_calls(url: str) -> Flow[Any]:
    """The reply is given, what it has to say is heard, and then there is no more waiting."""

    async def coroutine() -> str:
        token.cancel()
        return "from a coroutine"

    def plain() -> str:
        token.cancel()
        return "from a function"

    def inner(function: Callable[[], Any]) -> Flow[Any]:
        reply = yield Call(function)
        yield Emit([reply])
        try:
            yield Sleep(LONG)
        except Cancelled:
            yield Emit(["no more"])
            return reply

    results = []
    for function in (plain, coroutine):
        token = CancellationToken()
        results.append((yield from _interruptible(inner(function), token)))
    return results


def _interrupted_at_other_times(url: str) -> Flow[Any]:
    """A token that is cancelled before, or after, or again; and one that several parts share."""
    token = CancellationToken()
    first = yield from _interruptible(_say("a", 0, 1), token)
    yield Call(token.cancel)
    yield Sleep(0)
    yield Call(token.cancel)
    second = yield from _interruptible(_say("b", 0, 2), token)
    third = yield from _interruptible(_interruptible(_say("c", 0, 3), CancellationToken()), token)
    return first, second, third


def _the_outermost_is_interrupted(url: str) -> Flow[Any]:
    def both() -> None:
        inner.cancel()
        outer.cancel()

    def nested() -> Flow[Any]:
        found = yield from _interruptible(_and_sleep(call(cancel)), inner)
        return "only the inner one", found

    results = []
    for number in range(3):
        outer, inner = CancellationToken(), CancellationToken()
        cancel = (both, outer.cancel, inner.cancel)[number]
        results.append((yield from _interruptible(nested(), outer)))
    return results


_SSE = b'event: a\ndata: {"n": 1}\n\ndata: caf\xc3\xa9 \xe2\x80\xa8 x\n\ndata: [DONE]\n\n'
_TWO = (b"first\n", Pause(TICK), b"second\n", Pause(TICK))
_STALLED = Answer((b"first\n", Pause(LONG), b"second\n"))

SCENARIOS: list[Scenario] = [
    Scenario("a plain answer", _fetch, Answer.json('{"text": "hi"}')),
    Scenario("an empty answer", _fetch, Answer((), status=204, headers=(), framing="length")),
    Scenario("a request with a body", _post, _echo),
    Scenario("streamed events", _fetch, Answer.events([_SSE])),
    Scenario("events cut inside a character", _fetch, Answer.events([_SSE[:35], _SSE[35:]])),
    Scenario("a slow stream", _fetch, Answer.events([*_TWO, b"third"])),
    Scenario("a large answer", _fetch, Answer((b"x" * 1000 + b"\n",) * 300, framing="length")),
    Scenario("a body that ends with the connection", _fetch, Answer((b"all of it\n",), framing="close")),
    Scenario("too many requests", _fetch, Answer.json('{"error": "slow down"}', 429, retry_after="7")),
    Scenario("the vendor fails", _fetch, Answer.json('{"error": {"message": "oops"}}', 500)),
    Scenario("a web page", _fetch, Answer((b"<html>\n</html>",), 502, (("content-type", "text/html"),))),
    Scenario("reset before the head", _fetch, Answer(before=(Pause(TICK), Reset()))),
    Scenario("hung up before the head", _fetch, Answer(before=(Pause(TICK), Hangup()))),
    Scenario("reset in the body", _fetch, Answer((*_TWO, Reset()))),
    Scenario("truncated between chunks", _fetch, Answer((*_TWO, Hangup()))),
    Scenario("truncated before the length", _fetch, Answer((*_TWO, Hangup(), b"third"), framing="length")),
    Scenario("no head in time", _fetch_impatiently, Answer(before=(Pause(LONG),))),
    Scenario("no body in time", _fetch_impatiently, _STALLED),
    Scenario("one exchange after the other", _fetch_twice, [Answer.json("1"), Answer.json("2", 404)]),
    Scenario("answers left unread", _fetch_unread, Answer((b"x" * 100_000,), framing="length")),
    Scenario("receiving from a closed exchange", _receive_after_the_end, Answer.json("1")),
    Scenario("a refused connection", _refused),
    Scenario("an address of another scheme", _bad_address),
    Scenario("three side by side", _three_side_by_side, _by_path),
    Scenario("children one after the other", _one_after_the_other),
    Scenario("children two at a time", _two_at_a_time),
    Scenario("a failing child is collected", _collecting),
    Scenario("a failing child stops the others", _stopping),
    Scenario("children of children", _gather_in_gather),
    Scenario("no children", _nothing_to_gather),
    Scenario("more events than the buffer holds", _many_events),
    Scenario("within its time", _in_time, Answer.json("1")),
    Scenario("beyond its time", _too_late, _STALLED),
    Scenario("beyond the inner limit", _inner_limit),
    Scenario("beyond the outer limit", _outer_limit),
    Scenario("a limit over children", _limit_over_children),
    Scenario("a failure within its time", _failing_within),
    Scenario("calls", _calls),
    Scenario("failing calls", _failing_calls),
    Scenario("calls side by side", _calls_side_by_side),
    Scenario("time and chance", _time_and_chance),
    Scenario("resolving an address", _resolve),
    Scenario("what is no effect", _no_effect),
    Scenario("a failure that the events tell", _told_failure),
    Scenario("a failure", _failure),
    Scenario("cancelled while it sleeps", _waiting(lambda: Sleep(LONG)), cancel_at=TICK),
    Scenario("cancelled before the head", _keep_what_came, Answer(before=(Pause(LONG),)), cancel_at=TICK),
    Scenario("cancelled between two pieces", _keep_what_came, _STALLED, cancel_at=2 * TICK),
    Scenario(
        "cancelled with its children",
        _waiting(lambda: Gather((_say("a", 0, 1), _later(TICK / 2, _say("b", LONG))))),
        cancel_at=2 * TICK,
    ),
    Scenario("cancelled within its time", _waiting(lambda: Within(LONG, _say("a", LONG))), cancel_at=TICK),
    Scenario("interrupted in every wait", _interrupted_in_every_wait, _no_head_or_no_end),
    Scenario("read on after an interruption", _read_on_afterwards, Answer((b"1\n", Pause(4 * TICK), b"2\n"))),
    Scenario("what a part has opened", _what_a_part_opened, Answer((b"all of it\n",))),
    Scenario("interrupted by what it calls", _interrupted_by_what_it_calls),
    Scenario("interrupted at other times", _interrupted_at_other_times),
    Scenario("the outermost is interrupted", _the_outermost_is_interrupted),
    Scenario(
        "cancelled within a token of its own",
        lambda url: _interruptible(_say("a", LONG), CancellationToken()),
        cancel_at=TICK,
    ),
    Scenario("cancelled before the first wait", _waits_again, cancel_at=0.0),
    Scenario("cancelled and stubborn", _waits_again, cancel_at=TICK),
]
"""Every driver gives the same events and the same outcome for each of them."""
