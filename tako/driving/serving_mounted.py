"""The answer of a handler that is mounted in somebody else's server, by WSGI or ASGI.

| state    | what the flow emits | then                                                        |
|----------|---------------------|-------------------------------------------------------------|
| before   | ResponseHead        | streaming; headers about the connection are the server's    |
| before   | ResponseData        | InvalidInput                                                |
| streaming| ResponseData        | it is passed on, unless the answer has no body              |
| streaming| ResponseHead        | InvalidInput                                                |
| either   | anything else       | dropped, as `run` drops it                                  |

`end` is asked when the flow has returned: there must have been a head.
"""

from __future__ import annotations

from tako.errors import InvalidInput
from tako.serving import HttpIncoming, ResponseData, ResponseHead, end_to_end
from tako.wire.http1_server import WITHOUT_BODY, check_head, refusal

__all__ = ["MountedAnswer", "refused"]


class MountedAnswer:
    """What is passed on of the events of one flow."""

    __slots__ = ("_has_body", "has_begun")

    def __init__(self, incoming: HttpIncoming) -> None:
        self.has_begun = False
        self._has_body = incoming.method != "HEAD"

    def take(self, event: object) -> ResponseHead | ResponseData | None:
        """What the server is told; None for nothing. Raises InvalidInput."""
        if isinstance(event, ResponseData):
            if not self.has_begun:
                raise InvalidInput("a handler emits a ResponseHead before its first ResponseData")
            return event if self._has_body and event.data else None
        if not isinstance(event, ResponseHead):
            return None
        if self.has_begun:
            raise InvalidInput("a handler emits one ResponseHead for each request")
        check_head(event.status, event.headers)
        self.has_begun = True
        self._has_body = self._has_body and event.status not in WITHOUT_BODY
        return ResponseHead(event.status, end_to_end(event.headers))

    def end(self) -> None:
        """The flow has returned. Raises InvalidInput if it has not answered."""
        if not self.has_begun:
            raise InvalidInput("a handler emits a ResponseHead before it returns")


def refused(status: int) -> tuple[ResponseHead, ResponseData]:
    """An answer that says no more than its status."""
    headers, body = refusal(status)
    return ResponseHead(status, headers), ResponseData(body)
