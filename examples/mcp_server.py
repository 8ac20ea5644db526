"""A MCP server in plain blocking Python: tools, a resource, a prompt, and a tool that asks before it acts.

    python examples/mcp_server.py                     over stdio, for a client that starts it
    python examples/mcp_server.py 127.0.0.1:8000      over HTTP, at http://127.0.0.1:8000/mcp

No event loop runs here. Tools are functions; those that annotate a parameter with Client can speak with
the client, and may ask its user.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tako.mcp.server import Client, McpServer, Resource, Template, serve
from tako.tools import tool

BOOKS = {"1": "The Octopus", "2": "The Sea Around Us"}


@dataclass
class Book:
    id: str
    title: str


@tool(read_only=True)
def find_book(title: str) -> Book:
    """Find a book by a part of its title.

    Args:
        title: what its title should contain
    """
    for id, known in BOOKS.items():
        if title.casefold() in known.casefold():
            return Book(id, known)
    raise ValueError(f"no book is called anything like {title!r}")


def read_aloud(id: str) -> Iterator[str]:
    """Read a title, word by word: what is yielded is progress for the client."""
    yield from BOOKS[id].split()


def lend(id: str, client: Client) -> str:
    """Lend a book, if the user wants that."""
    answer = client.elicit(f"Lend {BOOKS[id]!r}?")  # ask before you act: with the answer, it is called again
    if not answer.accepted:
        return "Nothing was lent."
    client.log("info", f"book {id} is lent")
    return f"{BOOKS[id]} is yours."


def recommend(mood: str = "curious") -> str:
    """Ask for a book."""
    return f"I feel {mood}. Which of these books should I read? {', '.join(BOOKS.values())}"


SERVER = McpServer(
    [find_book, read_aloud, lend],
    name="library",
    instructions="A small library.",
    resources=[Resource("library://rules", "Be quiet.", description="The rules of the house")],
    templates=[Template("library://books/{id}", lambda id: BOOKS[id], name="book", mime="text/plain")],
    prompts=[recommend],
    completions={
        "recommend": {"mood": ["curious", "sad", "tired"]},
        "library://books/{id}": {"id": list(BOOKS)},
    },
)


def main() -> None:
    serve(SERVER, http=sys.argv[1] if len(sys.argv) > 1 else None)


if __name__ == "__main__":
    main()
