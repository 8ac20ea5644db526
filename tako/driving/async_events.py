"""Events: what the consumer of a stream holds under asyncio and trio.

| state   | how it is reached                     | what may be asked for                    |
|---------|---------------------------------------|------------------------------------------|
| at rest | from the start, and with every event  | the next event, `aclose`                 |
| busy    | a task waits in one of the two        | nothing: InvalidInput                    |
| ended   | the flow ended, or `aclose` has ended | `result`; there are no more events       |

Invariants. The flow is stepped when the next event is asked for, and at no other time. An iterator
that nobody holds any more lets go of what is open, in whatever thread it dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from tako.driving.async_driver import AsyncDriver
from tako.errors import InvalidInput

__all__ = ["Events"]

T = TypeVar("T")


class Events(Generic[T]):
    """The events of one flow: `async for`, then `.result`. For one task at a time.

    The flow is stepped when the next event is asked for, and at no other time. Close it, or leave
    its `async with`, if you stop early. To stop it from another task, cancel its token.
    """

    __slots__ = ("__weakref__", "_driver", "_is_busy", "_pending")

    def __init__(self, driver: AsyncDriver[T]) -> None:
        self._driver = driver
        self._pending: Iterator[Any] = iter(())
        self._is_busy = False

    def __aiter__(self) -> Events[T]:
        return self

    async def __anext__(self) -> Any:
        for event in self._pending:
            return event
        self._enter()
        try:
            while (events := await self._driver.advance()) is not None:
                self._pending = iter(events)
                for event in self._pending:
                    return event
        finally:
            self._is_busy = False
        raise StopAsyncIteration

    async def __aenter__(self) -> Events[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop, and drop what was not read; what the flow still gives back is the result."""
        self._enter()
        try:
            self._pending = iter(())
            await self._driver.close()
        finally:
            self._is_busy = False

    @property
    def result(self) -> T:
        """What the flow returned, once it has ended. Raises what it raised, InvalidInput before the end."""
        return self._driver.result

    def _enter(self) -> None:
        if self._is_busy:
            raise InvalidInput(
                "another task is reading this stream; to stop it from elsewhere, cancel its token"
            )
        self._is_busy = True

    def __del__(self) -> None:
        self._driver.forget()
