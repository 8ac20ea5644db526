"""Calls: functions that are not ours, and how an async arm performs them, whichever library it runs on.

| function    | runs                 | when it has to stop                                                 |
|-------------|----------------------|---------------------------------------------------------------------|
| async def   | in the caller's task | it is cancelled, as its library cancels, and waited for             |
| plain       | on a thread          | its token is cancelled; it has GRACE to end; then it is left behind |

Invariants. Whatever cuts a call short cancels its token. StopIteration never leaves here, for in a
generator it would look like an end.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Call

__all__ = ["GRACE", "OnThread", "perform_call"]

GRACE = 0.05
"""Seconds that a plain function has to stop before it is left behind, under any driver."""

OnThread: TypeAlias = Callable[[Callable[[], Any], CancellationToken], Awaitable[Any]]
"""Runs a plain function on a thread, with the context variables of the caller.

Cut short, it cancels the token and waits for GRACE. What the function returns by then is the reply;
otherwise it raises Cancelled with `abandoned`.
"""


async def perform_call(effect: Call, parent: CancellationToken | None, on_thread: OnThread) -> Any:
    """The function's value, awaited if need be. Raises what it raises, and what `on_thread` does."""
    token = parent.child() if parent is not None else CancellationToken()
    keywords = dict(effect.keywords)
    if effect.token_argument is not None:
        keywords[effect.token_argument] = token
    function = partial(effect.function, *effect.arguments, **keywords)
    try:
        if _is_coroutine_function(effect.function):
            value = function()
        else:
            value = await on_thread(function, token)
        return await value if inspect.isawaitable(value) else value
    except (StopIteration, StopAsyncIteration) as error:
        raise RuntimeError(f"the function that was called raised {type(error).__name__}") from error
    except Exception:
        raise
    except BaseException:  # the library's own cancellation, or Ctrl-C
        token.cancel()
        raise
    finally:
        token.detach()


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
