"""What a docstring says of a function and of its parameters.

Three styles are read: Google (`Args:` with an indented list), Sphinx (`:param name: ...`) and NumPy
(`Parameters` underlined). The description is what stands before the first section.
"""

from __future__ import annotations

import inspect
import re

__all__ = ["read_docstring"]

SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises|yields?|examples?|notes?|attributes)\s*:?\s*$",
    re.IGNORECASE,
)
SPHINX = re.compile(r"^:(?:param|parameter|arg)\s+(?:[^:]*\s)?\**(\w+)\s*:\s*(.*)$")
SPHINX_OTHER = re.compile(r"^:(?:type|returns?|rtype|raises?|yields?|ytype|var|ivar)\b[^:]*:")
GOOGLE_ITEM = re.compile(r"^\**(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
NUMPY_ITEM = re.compile(r"^\**(\w+)\s*(?::.*)?$")
UNDERLINE = re.compile(r"^-{3,}\s*$")


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The description, and for each documented parameter its own."""
    if not text:
        return "", {}
    lines = inspect.cleandoc(text).split("\n")
    description: list[str] = []
    parameters: dict[str, str] = {}
    index = 0
    while index < len(lines):
        line = lines[index]
        if SPHINX.match(line) or SPHINX_OTHER.match(line):
            index = _read_sphinx(lines, index, parameters)
        elif SECTION.match(line) and index + 1 < len(lines):
            index = _read_section(lines, index, parameters)
        else:
            if not parameters:
                description.append(line)
            index += 1
    return "\n".join(description).strip(), parameters


def _read_sphinx(lines: list[str], index: int, parameters: dict[str, str]) -> int:
    match = SPHINX.match(lines[index])
    words = [match.group(2).strip()] if match else []
    index += 1
    while index < len(lines) and lines[index].startswith((" ", "\t")):
        words.append(lines[index].strip())
        index += 1
    if match:
        parameters[match.group(1)] = " ".join(filter(None, words))
    return index


def _read_section(lines: list[str], index: int, parameters: dict[str, str]) -> int:
    title = lines[index].strip().rstrip(":").lower()
    wanted = title in ("args", "arguments", "parameters", "params")
    index += 1
    numpy = bool(UNDERLINE.match(lines[index]))
    if numpy:
        index += 1
    item, name, indent = (NUMPY_ITEM if numpy else GOOGLE_ITEM), "", None
    while index < len(lines):
        line = lines[index]
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth == 0 and (not numpy or SECTION.match(line)):
            break
        if line.strip():
            indent = depth if indent is None else indent
            match = item.match(line.strip()) if depth == indent else None
            if match and wanted:
                name = match.group(1)
                parameters[name] = "" if numpy else match.group(2).strip()
            elif name:
                parameters[name] = f"{parameters[name]} {line.strip()}".strip()
        index += 1
    return index
