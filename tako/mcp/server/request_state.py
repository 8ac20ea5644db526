"""RequestState: what a request that needs input leaves with the client, and gets back with the answers.

In the modern era a server that needs something does not wait: it answers with what it needs, and the client
sends its request again. What has been answered so far travels in `requestState`, a text that is the
client's to keep and nobody's to change:

    base64url(JSON) "." base64url(HMAC-SHA256 of that under the server's key)

| in the JSON | is                                                                      |
|-------------|-------------------------------------------------------------------------|
| of          | a digest of the request: its method, its name and its arguments         |
| until       | when it expires, in seconds since the epoch                             |
| answers     | what was answered in earlier rounds, by key, with a digest of the question |
| asked       | the questions of this round: a digest each, by key                      |
| kept        | what the function has put into `client.state`                           |

Invariants. A state of another request, of another key, that was changed or is too old is refused: McpError.
The client can read it, so secrets do not belong in it. A server of several processes needs one key for all
(`McpServer(state_key=...)`); otherwise the key is made by chance and is gone with the process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pydantic_core import from_json, to_json

from tako.errors import InvalidInput
from tako.mcp.errors import McpError
from tako.wire.jsonrpc import INVALID_PARAMS

__all__ = ["KEY_SIZE", "RequestState", "digest", "seal", "unseal"]

Json: TypeAlias = Any

KEY_SIZE: Final = 32
LIFETIME: Final = 3600
"""Seconds that a person may take to answer."""
MAX_STATE: Final = 256 * 1024
"""Bytes: all of it goes to the client and comes back."""
LABEL: Final = b"tako mcp request state 1\n"


@dataclass(slots=True)
class RequestState:
    """What is known of a request from its earlier rounds."""

    answers: dict[str, tuple[str, Json]] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Json] = field(default_factory=dict)


def digest(*values: Json) -> str:
    """A short name for what is the same again."""
    return hashlib.sha256(to_json(values, inf_nan_mode="constants")).hexdigest()[:24]


def seal(state: RequestState, of: str, key: bytes, now: float) -> str:
    """The state as the client gets it. Raises InvalidInput if it is too long, or `kept` is not JSON."""
    told = {
        "of": of,
        "until": int(now) + LIFETIME,
        "answers": state.answers,
        "asked": state.asked,
        "kept": state.kept,
    }
    try:
        text = to_json(told)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"client.state holds what is not JSON: {error}") from None
    if len(text) > MAX_STATE:
        raise InvalidInput(
            f"client.state and the answers have more than {MAX_STATE:,} bytes; keep less in it"
        )
    return f"{_encoded(text)}.{_encoded(_tag(key, text))}"


def unseal(sealed: str, of: str, key: bytes, now: float) -> RequestState:
    """What was sealed; raises McpError for anything else."""
    text = _open(sealed, key)
    told = from_json(text) if text is not None else None  # it is ours, so it is what `seal` has written
    if told is None or told["of"] != of:
        raise _refused("is not what this server has given for this request")
    if told["until"] < now:
        raise _refused("has expired")
    answers: Mapping[str, list[Json]] = told["answers"]
    return RequestState(
        {name: (one[0], one[1]) for name, one in answers.items()}, told["asked"], told["kept"]
    )


def _open(sealed: str, key: bytes) -> bytes | None:
    body, _, tag = sealed.partition(".")
    try:
        text, given = _decoded(body), _decoded(tag)
    except (binascii.Error, ValueError):
        return None
    # Compared as it was written too: base64 has several spellings of the same bytes.
    if not hmac.compare_digest(_tag(key, text), given) or f"{_encoded(text)}.{_encoded(given)}" != sealed:
        return None
    return text


def _tag(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, LABEL + text, "sha256")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _refused(why: str) -> McpError:
    return McpError(f"requestState {why}; begin again without it", INVALID_PARAMS)
