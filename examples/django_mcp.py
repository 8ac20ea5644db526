"""A Django project in one file, with a view that calls a tool of an MCP server in plain blocking code.

    pip install tako-sansio django
    python examples/django_mcp.py runserver
    curl "http://127.0.0.1:8000/books?title=sea"

No view is async, and nothing runs an event loop. The server, examples/mcp_server.py, is a child of the web
process: it is started for the first request that needs it, used by all threads at once, started again if
it dies, and ended with its parent.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from threading import Lock

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET

from tako import TakoError
from tako.mcp import BlockingSession, Stdio, connect

LIBRARY = Stdio(sys.executable, [str(Path(__file__).with_name("mcp_server.py"))], timeout=10.0)

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEBUG=False,
    ROOT_URLCONF=__name__,
    SECRET_KEY="nothing is signed here",
)

_connecting = Lock()
_connections = ExitStack()
atexit.register(_connections.close)


@cache
def _connected() -> BlockingSession:
    return _connections.enter_context(connect(LIBRARY))


def open_library() -> BlockingSession:
    """The one connection of this process. Made at first use, because what is made before a fork (gunicorn's
    `--preload`) belongs to the parent."""
    with _connecting:
        return _connected()


def books(request: HttpRequest) -> JsonResponse:
    title = request.GET.get("title", "")
    try:
        found = open_library().call("find_book", {"title": title})
    except TakoError as error:  # the server is gone, silent, or has refused the call
        return JsonResponse({"error": error.message}, status=502)
    if found.is_error:  # the tool itself has failed, and says why
        return JsonResponse({"error": found.text}, status=404)
    return JsonResponse(found.structured)


urlpatterns = [path("books", require_GET(books))]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
