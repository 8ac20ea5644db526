"""write: a file as a whole, new or in the place of the old one, with the directories that it needs.

See replacing.py for what happens to the old file. A link is followed inside the workspace: the file that
it leads to is replaced, and the link stays.
"""

from __future__ import annotations

from tako.errors import ToolError
from tako.tools.builtin.directory import size_in_words
from tako.tools.builtin.replacing import replace_file
from tako.tools.builtin.workspace import Workspace
from tako.tools.context import ToolContext
from tako.tools.tool import Tool

__all__ = ["write_tool"]

CONTENT_LIMIT = 16 * 1024 * 1024
"""Bytes that are written in one call."""


def write_tool(workspace: Workspace) -> Tool:
    """The tool that writes files of the workspace."""

    def write(file_path: str, content: str, *, context: ToolContext) -> str:
        """Write a file, and the directories it needs. A file that is there is replaced.

        Args:
            file_path: The file, absolute or relative to the workspace
            content: The whole new content
        """
        path = workspace.shown(file_path)
        data = as_bytes(content, "content")
        with workspace.place(file_path, parents=True) as place:
            old = replace_file(place, data, context.cancel)
        lines = content.count("\n") + (not content.endswith("\n") and content != "")
        told = f"{path}: {lines} {'line' if lines == 1 else 'lines'}, {size_in_words(len(data))}"
        return f"Created {told}" if old is None else f"Replaced {told} (before: {size_in_words(old.st_size)})"

    return Tool(write)


def as_bytes(text: str, name: str) -> bytes:
    """Text as it stands in a file; raises ToolError for what UTF-8 cannot hold, or is too much."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"{name} holds half a character at {error.start}; send whole characters") from error
    if len(data) > CONTENT_LIMIT:
        raise ToolError(
            f"{name} has {size_in_words(len(data))}; at most {size_in_words(CONTENT_LIMIT)} are taken"
        )
    return data
