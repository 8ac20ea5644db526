"""Message batches: many requests handed in at once, answered within a day at half the price.

| call     | HTTP                                                | gives                             |
|----------|-----------------------------------------------------|-----------------------------------|
| create   | POST {batches}                                      | MessageBatch                      |
| retrieve | GET {batches}/{id}                                  | MessageBatch                      |
| cancel   | POST {batches}/{id}/cancel                          | MessageBatch                      |
| list     | GET {batches}?limit&before_id&after_id              | BatchPage                         |
| all      | the same, page after page                           | a stream of MessageBatch          |
| results  | GET {batches}/{id}/results                          | a stream of BatchRow              |

Each is there three times: `create_flow`, `create_sync`, and `create` for asyncio and trio. Nobody
waits here: how often to ask whether a batch has ended is the caller's to say.

A batch is in_progress, then perhaps canceling, then ended; only then are there results, in any
order, so that the custom id says whose each one is. They are lines of JSON and are decoded one by
one: never is more than a line held. A line that cannot be read is a row that says so, and the rest
still comes.

Whether the results are whole cannot be seen in them: they have no mark at their end, a last line
need not end in LF, and a body may be cut between two lines. So the rows are counted, and compared
with the counts of the batch, which is asked for once more unless the caller's is of an ended one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlencode

from pydantic_core import to_json

from tako import _adapters
from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Receive
from tako.errors import InvalidInput, ProtocolError, ProviderError, TakoError, TransportError
from tako.models import ChatRequest
from tako.providers.anthropic.batch import (
    BatchNotReady,
    BatchPage,
    BatchRow,
    MessageBatch,
    batch_of,
    page_of,
    row_of,
)
from tako.providers.anthropic.blocks import OWNER
from tako.providers.http import parse_json, read_whole
from tako.providers.refusals import request_id_of
from tako.wire.ndjson import NDJSONParser

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken
    from tako.providers.anthropic.messages import Anthropic

__all__ = ["MessageBatches"]

T = TypeVar("T")
CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
BATCH_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MOST_REQUESTS: Final = 100_000
LARGEST_PAGE: Final = 1000
MAX_LINE: Final = 32 * 1024 * 1024
"""Bytes of one row."""


class MessageBatches:
    """The batches of one provider; had as `provider.batches`."""

    def __init__(self, provider: Anthropic, url: str, params: Callable[[ChatRequest], bytes]) -> None:
        self._provider = provider
        self._url = url
        self._params = params

    def __repr__(self) -> str:
        return f"<MessageBatches of {self._provider.id}>"

    # Flows.

    def create_flow(
        self, requests: Mapping[str, ChatRequest] | Iterable[tuple[str, ChatRequest]]
    ) -> Flow[MessageBatch]:
        """Hand in requests, each under an id of the caller's; raises a TakoError.

        The ids are 1 to 64 letters, digits, "-" and "_", and no two are the same: that is checked
        before anything is sent. Handing in is not idempotent: after a TransportError look at `list`.
        """
        pairs = cast(
            "Iterable[tuple[str, ChatRequest]]",
            requests.items() if isinstance(requests, Mapping) else requests,
        )
        return self._handle("POST", self._url, _create_body(pairs, self._params))

    def retrieve_flow(self, batch_id: str) -> Flow[MessageBatch]:
        """The batch as it is now; raises a TakoError."""
        return self._handle("GET", self._address(batch_id))

    def cancel_flow(self, batch_id: str) -> Flow[MessageBatch]:
        """Ask for the end of a batch: what has not begun is not begun; raises a TakoError."""
        return self._handle("POST", f"{self._address(batch_id)}/cancel")

    def list_flow(
        self, *, limit: int | None = None, before_id: str | None = None, after_id: str | None = None
    ) -> Flow[BatchPage]:
        """One page of the workspace's batches; raises a TakoError."""
        query = _page_query(limit, before_id, after_id)
        return self._page(f"{self._url}?{urlencode(query)}" if query else self._url)

    def all_flow(self, *, page_size: int | None = None) -> Flow[int]:
        """Emit all batches of the workspace, page by page; their number. Raises a TakoError."""
        count, after_id = 0, None
        while True:
            page = yield from self.list_flow(limit=page_size, after_id=after_id)
            count += len(page.batches)
            if page.batches:
                yield Emit(page.batches)
            if not page.has_more:
                return count
            if page.last_id is None or page.last_id == after_id:
                raise self._attributed(
                    ProtocolError("there are more batches, but not from where on", phase="decode")
                )
            after_id = page.last_id

    def results_flow(self, batch: MessageBatch | str) -> Flow[int]:
        """Emit a BatchRow for each request of an ended batch; their number.

        Raises BatchNotReady before the batch has ended, TransportError after the rows that came if
        they are not all there, and other TakoErrors.
        """
        batch_id = batch if isinstance(batch, str) else batch.id
        head = None
        try:
            head = yield from self._open_results(batch_id)
            rows = yield from _emit_rows(head)
        except TakoError as error:
            self._attributed(error, head)
            raise
        known = batch if isinstance(batch, MessageBatch) and batch.is_terminal else None
        known = known or (yield from self.retrieve_flow(batch_id))
        if rows < known.counts.total:
            missing = f"the results ended after {rows} of {known.counts.total} rows; ask for them again"
            raise self._attributed(TransportError(missing, phase="body"), head)
        return rows

    # Blocking, and under asyncio or trio.

    def create_sync(
        self,
        requests: Mapping[str, ChatRequest] | Iterable[tuple[str, ChatRequest]],
        *,
        cancel: CancellationToken | None = None,
    ) -> MessageBatch:
        """`create_flow`, blocking."""
        return _adapters.run_sync(self.create_flow(requests), cancel)

    async def create(
        self,
        requests: Mapping[str, ChatRequest] | Iterable[tuple[str, ChatRequest]],
        *,
        cancel: CancellationToken | None = None,
    ) -> MessageBatch:
        """`create_flow` under asyncio or trio."""
        return await _adapters.run_async(self.create_flow(requests), cancel)

    def retrieve_sync(self, batch_id: str, *, cancel: CancellationToken | None = None) -> MessageBatch:
        """`retrieve_flow`, blocking."""
        return _adapters.run_sync(self.retrieve_flow(batch_id), cancel)

    async def retrieve(self, batch_id: str, *, cancel: CancellationToken | None = None) -> MessageBatch:
        """`retrieve_flow` under asyncio or trio."""
        return await _adapters.run_async(self.retrieve_flow(batch_id), cancel)

    def cancel_sync(self, batch_id: str, *, cancel: CancellationToken | None = None) -> MessageBatch:
        """`cancel_flow`, blocking. The token is for this call, not for the batch."""
        return _adapters.run_sync(self.cancel_flow(batch_id), cancel)

    async def cancel(self, batch_id: str, *, cancel: CancellationToken | None = None) -> MessageBatch:
        """`cancel_flow` under asyncio or trio. The token is for this call, not for the batch."""
        return await _adapters.run_async(self.cancel_flow(batch_id), cancel)

    def list_sync(
        self,
        *,
        limit: int | None = None,
        before_id: str | None = None,
        after_id: str | None = None,
        cancel: CancellationToken | None = None,
    ) -> BatchPage:
        """`list_flow`, blocking."""
        flow = self.list_flow(limit=limit, before_id=before_id, after_id=after_id)
        return _adapters.run_sync(flow, cancel)

    async def list(
        self,
        *,
        limit: int | None = None,
        before_id: str | None = None,
        after_id: str | None = None,
        cancel: CancellationToken | None = None,
    ) -> BatchPage:
        """`list_flow` under asyncio or trio."""
        flow = self.list_flow(limit=limit, before_id=before_id, after_id=after_id)
        return await _adapters.run_async(flow, cancel)

    def all_sync(
        self, *, page_size: int | None = None, cancel: CancellationToken | None = None
    ) -> SyncEvents[MessageBatch, int]:
        """`with batches.all_sync() as found: for batch in found: ...`."""
        return _adapters.stream_sync(lambda: self.all_flow(page_size=page_size), cancel)

    def all(
        self, *, page_size: int | None = None, cancel: CancellationToken | None = None
    ) -> AsyncEvents[MessageBatch, int]:
        """`async with batches.all() as found: async for batch in found: ...`."""
        return _adapters.stream_async(lambda: self.all_flow(page_size=page_size), cancel)

    def results_sync(
        self, batch: MessageBatch | str, *, cancel: CancellationToken | None = None
    ) -> SyncEvents[BatchRow, int]:
        """`with batches.results_sync(id) as rows: for row in rows: ...`."""
        return _adapters.stream_sync(lambda: self.results_flow(batch), cancel)

    def results(
        self, batch: MessageBatch | str, *, cancel: CancellationToken | None = None
    ) -> AsyncEvents[BatchRow, int]:
        """`async with batches.results(id) as rows: async for row in rows: ...`."""
        return _adapters.stream_async(lambda: self.results_flow(batch), cancel)

    # Within.

    def _address(self, batch_id: str) -> str:
        return f"{self._url}/{_checked_id('batch_id', batch_id)}"

    def _message(self, method: str, url: str, body: bytes = b"") -> HttpRequest:
        return replace(self._provider.post(url, body, stream=False), method=method)

    def _attributed(self, error: TakoError, head: HttpHead | None = None) -> TakoError:
        error.provider = error.provider or self._provider.id
        if head is not None:
            error.request_id = error.request_id or request_id_of(head)
        return error

    def _asked(self, message: HttpRequest, read: Callable[[Any], T]) -> Flow[T]:
        """What `read` makes of the JSON of the answer; raises a TakoError."""
        head = None
        try:
            head = yield from self._provider.exchange(message)
            return read(parse_json((yield from read_whole(head))))
        except TakoError as error:
            self._attributed(error, head)
            raise

    def _handle(self, method: str, url: str, body: bytes = b"") -> Flow[MessageBatch]:
        return (yield from self._asked(self._message(method, url, body), batch_of))

    def _page(self, url: str) -> Flow[BatchPage]:
        return (yield from self._asked(self._message("GET", url), page_of))

    def _open_results(self, batch_id: str) -> Flow[HttpHead]:
        """The head of the results; raises BatchNotReady if the batch, asked once, has not ended."""
        try:
            return (
                yield from self._provider.exchange(self._message("GET", f"{self._address(batch_id)}/results"))
            )
        except ProviderError as error:
            if error.status not in (400, 404):
                raise
            refusal = error
        batch = yield from self.retrieve_flow(batch_id)
        if batch.is_terminal:
            raise refusal
        raise BatchNotReady(
            f"batch {batch_id} is {batch.status} and has no results yet; ask again later",
            batch_status=batch.status,
            status=refusal.status,
            code=refusal.code,
            request_id=refusal.request_id,
            body=refusal.body,
        )


def _checked_id(name: str, value: str) -> str:
    if not isinstance(value, str) or not BATCH_ID.fullmatch(value):
        raise InvalidInput(f"{OWNER}: {name} should be the id of a batch, not {value!r}")
    return value


def _create_body(pairs: Iterable[tuple[str, ChatRequest]], params: Callable[[ChatRequest], bytes]) -> bytes:
    """The body; raises InvalidInput, which names the request."""
    elements: dict[str, bytes] = {}
    for custom_id, request in pairs:
        if not isinstance(custom_id, str) or not CUSTOM_ID.fullmatch(custom_id):
            raise InvalidInput(
                f"{OWNER}: invalid custom_id {custom_id!r}: it should be 1 to 64 letters, digits, - and _"
            )
        if custom_id in elements:
            raise InvalidInput(f"{OWNER}: duplicate custom_id {custom_id!r}: each has to be the only one")
        try:
            body = params(request)
        except InvalidInput as error:
            raise InvalidInput(f"{error.message} (in the request {custom_id!r})") from error
        elements[custom_id] = b'{"custom_id":%s,"params":%s}' % (to_json(custom_id), body)
    if not 1 <= len(elements) <= MOST_REQUESTS:
        raise InvalidInput(f"{OWNER}: a batch holds 1 to {MOST_REQUESTS} requests, not {len(elements)}")
    return b'{"requests":[%s]}' % b",".join(elements.values())


def _page_query(limit: int | None, before_id: str | None, after_id: str | None) -> dict[str, str]:
    query: dict[str, str] = {}
    if limit is not None:
        if type(limit) is not int or not 1 <= limit <= LARGEST_PAGE:
            raise InvalidInput(f"{OWNER}: limit should be from 1 to {LARGEST_PAGE}, not {limit!r}")
        query["limit"] = str(limit)
    if before_id is not None and after_id is not None:
        raise InvalidInput(f"{OWNER}: give before_id or after_id, not both")
    for name, cursor in (("before_id", before_id), ("after_id", after_id)):
        if cursor is not None:
            query[name] = _checked_id(name, cursor)
    return query


def _emit_rows(head: HttpHead) -> Flow[int]:
    """Emit the rows of the body as they come; their number."""
    lines = NDJSONParser(MAX_LINE)
    count, is_open = 0, True
    while is_open:
        data = yield Receive(head.exchange)
        is_open = bool(data)
        rows = [row_of(line) for line in lines.feed(data)]
        count += len(rows)
        if rows:
            yield Emit(rows)
    yield Close(head.exchange)
    return count
