"""Two suites: `check_provider` for who writes a provider, `check_adapter` for who writes an adapter.

A provider is run in the simulator, against answers of its vendor that you have recorded, through
every way of cutting, breaking and cancelling that the contracts name. An adapter is run against a
real server that plays the scenarios; what it gives has to be what the simulator gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tako.cancellation import CancellationToken
from tako.effects import Failed, Flow, Outcome, Succeeded
from tako.errors import Cancelled, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import ChatError
from tako.models import ChatRequest, ChatResponse, Message
from tako.providers.base import Provider, ResponseBuilder
from tako.testing.conformance import check_stream_contract, comparable, first_difference
from tako.testing.describing import describe, describe_error
from tako.testing.faults import Faults
from tako.testing.scenarios import SCENARIOS, Scenario
from tako.testing.simulator import Simulator
from tako.testing.vendor import Answer, ScriptedVendor

__all__ = ["Observed", "check_adapter", "check_provider", "check_scenario", "simulate"]

HOST = "vendor.test"


@dataclass(slots=True)
class Observed:
    """What somebody outside sees of a run: the events, and how it ended."""

    events: list[Any]
    outcome: Outcome[Any]


def simulate(scenario: Scenario, seed: int = 0) -> Observed:
    """A scenario in the simulator: what every adapter has to give."""
    simulator = Simulator(
        seed,
        {HOST: scenario.vendor()},
        addresses={"127.0.0.1": ["127.0.0.1"]},
        faults=Faults(cancel_at=scenario.cancel_at),
    )
    return _observe(simulator.stream(scenario.flow(f"http://{HOST}")))


class _Events(Protocol):
    """What an adapter's `stream` gives; an async adapter is wrapped so that it gives this."""

    def __iter__(self) -> Iterator[Any]: ...
    @property
    def result(self) -> Any: ...


def _observe(stream: _Events) -> Observed:
    events: list[Any] = []
    try:
        for event in stream:
            events.append(event)
        return Observed(events, Succeeded(stream.result))
    except Exception as error:
        return Observed(events, Failed(error))


# Adapters.


def check_adapter(
    run: Callable[[Flow[Any], CancellationToken], Any],
    stream: Callable[[Flow[Any], CancellationToken], _Events],
    serve: Callable[[ScriptedVendor], AbstractContextManager[str]],
    later: Callable[[float, Callable[[], None]], Any],
    scenarios: Iterable[Scenario] = SCENARIOS,
) -> None:
    """Contract 8: the adapter gives what the simulator gives, in every scenario.

    `run` and `stream` are the adapter's, blocking: an async one is wrapped in a function that runs
    it to its end and gives the events, with `result`. `serve` plays a vendor on a real socket and
    gives its address ("http://127.0.0.1:8000"); `later` calls a function after so many seconds
    from elsewhere, like `lambda seconds, function: threading.Timer(seconds, function).start()`.
    """
    for scenario in scenarios:
        check_scenario(scenario, run, stream, serve, later)


def check_scenario(
    scenario: Scenario,
    run: Callable[[Flow[Any], CancellationToken], Any],
    stream: Callable[[Flow[Any], CancellationToken], _Events],
    serve: Callable[[ScriptedVendor], AbstractContextManager[str]],
    later: Callable[[float, Callable[[], None]], Any],
) -> None:
    """One scenario, iterated over and run to its end; otherwise like `check_adapter`."""
    expected = simulate(scenario)
    with serve(scenario.vendor()) as url:
        got = _observe(stream(scenario.flow(url), _token(scenario, later)))
        found = first_difference(expected.events, got.events)
        if found is not None:
            raise AssertionError(f"{scenario.name!r}, streamed: event {found}")
        _compare(f"{scenario.name!r}, streamed", expected.outcome, got.outcome)
    with serve(scenario.vendor()) as url:
        outcome: Outcome[Any]
        try:
            outcome = Succeeded(run(scenario.flow(url), _token(scenario, later)))
        except Exception as error:
            outcome = Failed(error)
        _compare(f"{scenario.name!r}, run", expected.outcome, outcome)


def _token(scenario: Scenario, later: Callable[[float, Callable[[], None]], Any]) -> CancellationToken:
    """The token of a run, which is cancelled when the scenario says so."""
    token = CancellationToken()
    if scenario.cancel_at == 0:
        token.cancel()
    elif scenario.cancel_at is not None:
        later(scenario.cancel_at, token.cancel)
    return token


def _compare(where: str, expected: Outcome[Any], got: Outcome[Any]) -> None:
    if comparable(expected) != comparable(got):
        error = got.error if isinstance(got, Failed) else None
        raise AssertionError(f"{where}: ended with {_end(got)} instead of {_end(expected)}") from error


def _end(outcome: Outcome[Any]) -> str:
    if isinstance(outcome, Succeeded):
        return describe(outcome.value)
    return f"{describe_error(outcome.error)} {comparable(outcome.error)}"


# Providers.


def check_provider(
    make_provider: Callable[[], Provider],
    *,
    whole: Answer,
    streamed: Answer,
    request: ChatRequest | None = None,
) -> None:
    """Contracts 1, 2, 3, 5 and 6 for a provider behind HTTP.

    `whole` is an answer of its vendor to `chat`, `streamed` one to `stream`; both are complete.
    `request` is what is asked, if the provider is particular about it. Raises AssertionError.
    """
    suite = _ProviderSuite(make_provider, request or ChatRequest(messages=(Message.user("hello"),)))
    suite.check_whole(whole)
    chunks = suite.check_stream(streamed)
    suite.check_cuts(streamed, chunks)
    suite.check_breaks(streamed)
    for answer in (whole, streamed):
        suite.check_cancels(answer, streaming=answer is streamed)
    suite.check_refusals()


class _ProviderSuite:
    def __init__(self, make_provider: Callable[[], Provider], request: ChatRequest) -> None:
        self._make_provider = make_provider
        self._request = request

    def play(
        self, answer: Answer, faults: Faults | None = None, *, streaming: bool
    ) -> tuple[Observed, Simulator]:
        """Ask once; what came of it, and the simulator that it happened in."""
        provider = self._make_provider()
        simulator = Simulator(vendor=ScriptedVendor(answer), faults=faults)
        flow = provider.stream_flow(self._request) if streaming else provider.chat_flow(self._request)
        run = simulator.stream(flow)
        return _observe(run), simulator

    def check_whole(self, answer: Answer) -> None:
        seen, _ = self.play(answer, streaming=False)
        if isinstance(seen.outcome, Failed):
            raise AssertionError("`chat` should take the whole answer") from seen.outcome.error
        if not isinstance(seen.outcome.value, ChatResponse):
            raise AssertionError(f"`chat` should return a ChatResponse, not {describe(seen.outcome.value)}")
        if seen.events:
            raise AssertionError(f"`chat` should emit nothing, but emits {describe(seen.events[0])}")

    def check_stream(self, answer: Answer) -> list[Any]:
        seen, _ = self.play(answer, streaming=True)
        if isinstance(seen.outcome, Failed):
            raise AssertionError("`stream` should take the streamed answer") from seen.outcome.error
        check_stream_contract(seen.events)
        builder = ResponseBuilder()
        builder.add(seen.events)
        told, returned = builder.response(), seen.outcome.value
        for name in ("message", "finish_reason", "usage"):
            if getattr(told, name) != getattr(returned, name, None):
                raise AssertionError(f"the {name} that `stream` returns is not the one that its chunks tell")
        return seen.events

    def check_cuts(self, answer: Answer, chunks: Sequence[Any]) -> None:
        for size in (1, 2, 3, 7, 64, 1 << 20):
            seen, _ = self.play(answer, Faults(cut=(size,)), streaming=True)
            found = first_difference(chunks, seen.events)
            if found is not None:
                raise AssertionError(f"cut into pieces of {size} bytes, chunk {found}")

    def check_breaks(self, answer: Answer) -> None:
        """The answer breaks off at every byte, by a reset and by an end that looks like one; it is
        never whole."""
        answer = replace(answer, framing="close")
        complete = self.play(answer, streaming=True)[0]
        faults = [(place, Faults(truncate_at=place)) for place in range(len(answer.body))]
        faults += [(place, Faults(reset_at=place)) for place in range(0, len(answer.body), 7)]
        for place, fault in faults:
            seen, _ = self.play(answer, fault, streaming=True)
            check_stream_contract(seen.events)
            if isinstance(seen.outcome, Succeeded):
                if comparable(seen) != comparable(complete):
                    raise AssertionError(f"broken after {place} bytes, the answer looks whole")
                continue
            self._check_failure(seen, seen.outcome.error, (TransportError, ProtocolError))

    def _check_failure(self, seen: Observed, error: Exception, kinds: tuple[type[TakoError], ...]) -> None:
        """A failure is told among the chunks, and raised with what there was."""
        if not isinstance(error, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise AssertionError(f"expected {expected}, not {describe_error(error)}") from error
        told = [event.error for event in seen.events if isinstance(event, ChatError)]
        if not told or comparable(told[0]) != comparable(error):
            raise AssertionError(f"the chunks should tell of {describe_error(error)}") from error
        if not isinstance(error.partial, ChatResponse):
            raise AssertionError(f"the error should carry what there was: {describe_error(error)}") from error

    def check_cancels(self, answer: Answer, *, streaming: bool) -> None:
        """Cancelled around each effect, the flow ends, and says so."""
        effects = len(self.play(answer, streaming=streaming)[1].trace)
        for number in range(effects + 1):
            for faults in (Faults(cancel_after=number), Faults(cancel_during=number or None)):
                seen, _ = self.play(answer, faults, streaming=streaming)
                if streaming:
                    check_stream_contract(seen.events)
                if isinstance(seen.outcome, Failed) and not isinstance(seen.outcome.error, Cancelled):
                    raise AssertionError(
                        f"cancelled at effect {number}: no Cancelled"
                    ) from seen.outcome.error

    def check_refusals(self) -> None:
        """Status, body and hints of a refusal are kept, whatever the body looks like."""
        page = (("content-type", "text/html"),)
        for answer, kind in (
            (Answer.json('{"error": {"message": "slow down"}}', 429, retry_after="7"), RateLimited),
            (Answer.json('{"error": "no"}', 400), ProviderError),
            (Answer((b"<html>bad gateway</html>",), 502, page), ProviderError),
            (Answer((), 500), ProviderError),
        ):
            for streaming in (False, True):
                error = self._refused(answer, streaming=streaming)
                if not isinstance(error, kind) or error.status != answer.status:
                    raise AssertionError(
                        f"expected a {kind.__name__}, not {describe_error(error)}"
                    ) from error
                if error.body != answer.body.decode():
                    raise AssertionError(f"the body of a {answer.status} should be kept, not {error.body!r}")
                if answer.status == 429 and error.retry_after != 7:
                    raise AssertionError(f"retry-after should be 7 seconds, not {error.retry_after!r}")
        error = self._refused(Answer((b"<html>hello</html>",), 200, page), streaming=False)
        if not isinstance(error, ProtocolError):
            raise AssertionError(
                f"a web page should be a ProtocolError, not {describe_error(error)}"
            ) from error

    def _refused(self, answer: Answer, *, streaming: bool) -> Exception:
        seen, _ = self.play(answer, streaming=streaming)
        if isinstance(seen.outcome, Succeeded):
            raise AssertionError(f"HTTP {answer.status} with {answer.body[:40]!r} was taken for an answer")
        if streaming:
            check_stream_contract(seen.events)
        return seen.outcome.error
