"""A tree drawn: as nested data, as lines of text, and in the language of Graphviz.

What users and models say is in the labels, so a label is one line of bounded length without control
characters, and is quoted as the language wants it. The way from the root to the best node is marked.
No drawing calls itself: a tree may be deeper than Python likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.orchestrators.tree_search.node import Node

__all__ = [
    "Label",
    "best_path",
    "color_of",
    "data_of",
    "dot_of",
    "label_of",
    "one_line",
    "text_of",
    "title_of",
    "walk",
]

Label: TypeAlias = Callable[[Node], str]

LONGEST_LABEL: Final = 60
LOW, HIGH = (0xF4, 0xE3, 0xC8), (0x5F, 0xB4, 0x8C)
"""The colours of the scores 0 and 1: light on dark for those too who do not tell red from green."""
NEUTRAL, FAILED = "#eceff1", "#d5d5d5"


def best_path(nodes: Sequence[Node]) -> tuple[int, ...]:
    """The numbers from the root to the best node; none where nothing has a score."""
    scored = [node for node in nodes if node.score is not None]
    if not scored:
        return ()
    at: int | None = min(scored, key=lambda node: (-(node.score or 0.0), node.number)).number
    path: list[int] = []
    while at is not None:
        path.append(at)
        at = nodes[at].parent
    return tuple(reversed(path))


def data_of(nodes: Sequence[Node]) -> dict[str, Any]:
    """The root as JSON, with its children in it, and so on."""
    best = best_path(nodes)
    made: list[dict[str, Any]] = []
    for node in nodes:
        made.append(
            {
                "number": node.number,
                "action": node.action,
                "score": node.score,
                "state": node.state,
                "error": node.error,
                "is_best": node.number in best[-1:],
                "children": [],
            }
        )
        if node.parent is not None:
            made[node.parent]["children"].append(made[-1])
    return made[0]


def text_of(nodes: Sequence[Node], label: Label | None) -> str:
    """A line for each node, below its parent; a star for those on the way to the best one."""
    best = best_path(nodes)
    lines: list[str] = []
    for node, is_last in walk(nodes):
        stem = "".join("   " if last else "│  " for last in is_last[:-1])
        branch = "" if not is_last else "└─ " if is_last[-1] else "├─ "
        words = [title_of(node), label_of(node, label)]
        if node.number in best:
            words.append("* best" if node.number == best[-1] else "*")
        lines.append(stem + branch + " ".join(word for word in words if word))
    return "\n".join(lines)


def dot_of(nodes: Sequence[Node], label: Label | None) -> str:
    """A digraph from left to right; the way to the best node is bold."""
    best = best_path(nodes)
    lines = ["digraph search {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled"];']
    for node in nodes:
        words = [title_of(node), label_of(node, label)]
        shown = "\\n".join(_quotable(word) for word in words if word)
        bold = ", penwidth=3" if node.number in best else ""
        lines.append(f'  n{node.number} [label="{shown}", fillcolor="{color_of(node)}"{bold}];')
    for node in nodes[1:]:
        bold = " [penwidth=3]" if node.number in best else ""
        lines.append(f"  n{node.parent} -> n{node.number}{bold};")
    return "\n".join([*lines, "}"])


def walk(nodes: Sequence[Node]) -> Iterator[tuple[Node, tuple[bool, ...]]]:
    """Each node before its children, and whether it and each of its ancestors is a last child."""
    waiting: list[tuple[int, tuple[bool, ...]]] = [(0, ())]
    while waiting:
        number, is_last = waiting.pop()
        yield nodes[number], is_last
        children = nodes[number].children
        waiting.extend((child, (*is_last, child == children[-1])) for child in reversed(children))


def title_of(node: Node) -> str:
    """What is said of any node: its number, who made it, and its score, or why it has none."""
    if node.action is None:
        return "root"
    outcome = f"failed: {node.error}" if node.score is None else f"{node.score:.3f}"
    return one_line(f"#{node.number} {one_line(node.action, 24)} {outcome}")


def one_line(text: str, longest: int = LONGEST_LABEL) -> str:
    """The text in one line, without what cannot be printed, cut to a length."""
    # Four times as much is looked at as is shown: spaces in a row count for one.
    shown = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    is_cut = len(shown) > longest or len(text) > 4 * longest
    return shown[: longest - 1].rstrip() + "…" if is_cut else shown


def color_of(node: Node) -> str:
    """Of the box of a node."""
    if node.score is None:
        return NEUTRAL if node.error is None else FAILED
    channels = [round(low + (high - low) * node.score) for low, high in zip(LOW, HIGH, strict=True)]
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def label_of(node: Node, label: Label | None) -> str:
    if label is None:
        return ""
    text = label(node)
    if not isinstance(text, str):
        raise InvalidInput(f"label should give text for each node, not {type(text).__name__}")
    return one_line(text)


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
