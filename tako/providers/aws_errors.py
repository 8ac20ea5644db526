"""How AWS says no: before an answer, by status and header, and inside one, by an exception.

| where             | code                                            | message                      |
|-------------------|-------------------------------------------------|------------------------------|
| refusal           | x-amzn-errortype, else `code`, `Code` or        | `message`, `Message`         |
|                   | `__type` in the body, else the status, as AWS's |                              |
|                   | own library has it; what a gateway says in      |                              |
|                   | `error` as other vendors do is read too         |                              |
| `exception` frame | :exception-type                                 | `message`, `Message`         |
| `error` frame     | :error-code                                     | :error-message               |

A code may have the name of a package before it ("#") and an address after it (":"): both are cut off.
An exception has the status that the same error has as a refusal, or the status of the model that it
passes on.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

from tako.effects import HttpHead
from tako.errors import ProviderError, RateLimited
from tako.providers.answer import known_text
from tako.wire.eventstream import Frame

__all__ = ["exception_in", "refusal_in"]

STATUS_OF: Final = {
    "accessdeniedexception": 403,
    "internalfailure": 500,
    "internalserverexception": 500,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 400,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "validationexception": 400,
}
"""The status that AWS's model of the service gives to each error, whose name is written in two ways."""

MAX_KEPT_BODY: Final = 64 * 1024


def refusal_in(payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
    """The message and the code of a refusal; `payload` is None where it is no JSON."""
    fields = payload if isinstance(payload, dict) else {}
    if isinstance(inner := fields.get("error"), dict):
        fields = inner  # a gateway before AWS that speaks as other vendors do
    message = known_text(fields.get("message")) or known_text(fields.get("Message"))
    codes = [fields.get(name) for name in ("code", "Code", "__type", "type")]
    names = (head.header("x-amzn-errortype"), *codes)
    code = next((name for name in names if name and type(name) is str), str(head.status))
    return message, code.partition(":")[0].rpartition("#")[2]


def exception_in(frame: Frame) -> ProviderError:
    """The error that an `exception` or `error` frame stands for."""
    headers = frame.headers
    code = known_text(headers.get(":exception-type")) or known_text(headers.get(":error-code"))
    try:
        payload = from_json(frame.payload)
    except ValueError:
        payload = None
    fields = payload if isinstance(payload, dict) else {}
    message = (
        known_text(fields.get("message"))
        or known_text(fields.get("Message"))
        or known_text(headers.get(":error-message"))
    )
    original = known_text(fields.get("originalMessage"))
    status = fields.get("originalStatusCode")
    if type(status) is not int or not 400 <= status < 600:
        status = STATUS_OF.get((code or "").lower())
    kind = RateLimited if status == 429 else ProviderError
    said = " ".join([text for text in (message, original and f"({original})") if text])
    return kind(
        f"the vendor broke the answer off: {said or code or 'no explanation given'}",
        status=status,
        code=code,
        phase="body",
        body=frame.payload.decode("utf-8", "replace")[:MAX_KEPT_BODY],
    )
