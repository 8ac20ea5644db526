"""Media given by address: `data:` URLs taken apart, and others fetched for vendors that cannot.

Fetching is off unless the caller allows it with a UrlPolicy; then every http and https address in a
request is fetched under its rules, one after the other, and becomes the data itself. What was
fetched is kept with the message, so that a conversation fetches each address once and not once a
step. Addresses of other schemes (gs://, s3://) are the vendor's own and stay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.fetching import Fetched, UrlPolicy, fetch
from tako.models import ChatRequest, Message
from tako.parts import (
    IMAGE_TYPES,
    AudioPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    ToolResultPart,
    VideoPart,
)

__all__ = ["data_of", "fetched_media", "inline_image"]

DATA_URL = re.compile(r"(?i)data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL)


def data_of(url: str) -> tuple[str, str] | None:
    """The type and the base64 of a `data:` URL; None for any other address."""
    found = DATA_URL.fullmatch(url)
    return (found[1].lower(), found[2]) if found else None


def inline_image(owner: str, part: ImageUrlPart, types: Iterable[str] = IMAGE_TYPES) -> tuple[str, str]:
    """The type and the base64 of an image that has to be in the request itself; raises InvalidInput."""
    found = data_of(part.url)
    if found is None:
        raise InvalidInput(
            f"{owner}: image_url: this vendor does not fetch {_shown(part.url)}; give the image as data, "
            "or allow tako to fetch it (url_prefetch=True)"
        )
    if found[0] not in types:
        raise InvalidInput(f"{owner}: image_url: should be one of {', '.join(types)}, not {found[0]!r}")
    return found


def fetched_media(request: ChatRequest, policy: UrlPolicy) -> Flow[ChatRequest]:
    """The request with its addresses fetched; raises what `fetch` raises."""
    messages = list(request.messages)
    for place, message in enumerate(messages):
        kept = message.kept_media(policy)
        if kept is None:
            kept = yield from _fetched_message(message, policy)
            message.keep_media(policy, kept)
        messages[place] = kept
    return request.model_copy(update={"messages": tuple(messages)})


def _fetched_message(message: Message, policy: UrlPolicy) -> Flow[Message]:
    parts = yield from _fetched_parts(message.content, policy)
    return message if parts is message.content else Message(role=message.role, content=parts)


def _fetched_parts(parts: tuple[Any, ...], policy: UrlPolicy) -> Flow[tuple[Any, ...]]:
    """The parts with data for addresses; the same tuple if there are none."""
    found: list[Any] = []
    for part in parts:
        if type(part) is ToolResultPart:
            content = yield from _fetched_parts(part.content, policy)
            found.append(part if content is part.content else part.model_copy(update={"content": content}))
        elif _has_address(part):
            found.append((yield from _fetched_part(part, policy)))
        else:
            found.append(part)
    same = all(new is old for new, old in zip(found, parts, strict=True))
    return parts if same else tuple(found)


def _has_address(part: Any) -> bool:
    if not isinstance(part, ImageUrlPart | DocumentPart | AudioPart | VideoPart):
        return False
    return (part.url or "").lower().startswith(("https://", "http://"))


def _fetched_part(part: Any, policy: UrlPolicy) -> Flow[Any]:
    if type(part) is ImageUrlPart:
        got: Fetched = yield from fetch(part.url, policy, accept=IMAGE_TYPES)
        return ImagePart(
            mime=got.mime, data_b64=_base64(got), detail=part.detail, cache_control=part.cache_control
        )
    got = yield from fetch(part.url, policy, accept=(part.mime,))
    return part.model_copy(update={"url": None, "data_b64": _base64(got)})


def _base64(got: Fetched) -> str:
    return base64.b64encode(got.data).decode()


def _shown(url: str) -> str:
    """An address as an error may show it: what comes after a question mark may be a secret."""
    return repr(url.partition("?")[0][:200])
