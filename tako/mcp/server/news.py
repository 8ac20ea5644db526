"""News: what a server says on no request's account, as notifications.

| what has happened     | to a session (handshake era)                    | to a subscription (modern era) |
|-----------------------|-------------------------------------------------|--------------------------------|
| a list has changed    | notifications/{kind}/list_changed               | the same, if it asked for them |
| a resource has others | notifications/resources/updated, if the session | the same, if it named it       |
| contents              | has subscribed to it                            |                                |

Each notification of a subscription carries its id, which is that of its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tako.mcp.errors import McpError
from tako.mcp.server.methods import MAX_SUBSCRIPTIONS, Peer
from tako.mcp.server.server import Changed, News
from tako.wire.jsonrpc import INVALID_PARAMS, Id

__all__ = ["ACKNOWLEDGED", "SUBSCRIPTION_ID", "Subscription", "for_session"]

Json: TypeAlias = Any

SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
UPDATED: Final = "notifications/resources/updated"


def for_session(news: News, peer: Peer) -> tuple[str, dict[str, Json]] | None:
    """The notification for a session of the handshake era; None if it is none of its business."""
    if isinstance(news, Changed):
        return f"notifications/{news.kind}/list_changed", {}
    return (UPDATED, {"uri": news.uri}) if news.uri in peer.subscribed else None


class Subscription:
    """What one `subscriptions/listen` asked for. Raises McpError for what is no such thing."""

    __slots__ = ("_kinds", "_uris", "honoured", "meta")

    def __init__(self, id: Id, params: Mapping[str, Json]) -> None:
        wanted = params.get("notifications")
        if not isinstance(wanted, Mapping):
            raise McpError("notifications should be an object", INVALID_PARAMS)
        uris = wanted.get("resourceSubscriptions") or []
        if (
            not isinstance(uris, list)
            or not all(isinstance(uri, str) for uri in uris)
            or len(uris) > MAX_SUBSCRIPTIONS
        ):
            raise McpError(
                f"resourceSubscriptions should be at most {MAX_SUBSCRIPTIONS} URIs", INVALID_PARAMS
            )
        self._kinds = {
            kind for kind in ("tools", "resources", "prompts") if wanted.get(f"{kind}ListChanged") is True
        }
        self._uris = frozenset(uris)
        self.honoured: dict[str, Json] = {f"{kind}ListChanged": True for kind in sorted(self._kinds)}
        if uris:
            self.honoured["resourceSubscriptions"] = uris
        self.meta: dict[str, Json] = {SUBSCRIPTION_ID: id}

    def opening(self) -> tuple[str, dict[str, Json]]:
        """What is said first."""
        return ACKNOWLEDGED, {"_meta": self.meta, "notifications": self.honoured}

    def about(self, news: News) -> tuple[str, dict[str, Json]] | None:
        """The notification, if this was asked for."""
        if isinstance(news, Changed):
            return (
                (f"notifications/{news.kind}/list_changed", {"_meta": self.meta})
                if news.kind in self._kinds
                else None
            )
        return (UPDATED, {"_meta": self.meta, "uri": news.uri}) if news.uri in self._uris else None
