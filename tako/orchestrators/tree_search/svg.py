"""A tree as a picture: one SVG, which needs no font, script or style from elsewhere.

The root is at the left and each level is a column. A leaf takes a row of its own, and a node stands in the
middle between its first and its last child: so the rows of two subtrees do not meet, and no two boxes of a
column overlap. Colours say the score, bold lines the way to the best node, dashed boxes what failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tako.orchestrators.tree_search.drawing import (
    Label,
    best_path,
    color_of,
    label_of,
    one_line,
    title_of,
    walk,
)
from tako.orchestrators.tree_search.node import Node

__all__ = ["svg_of"]

WIDTH, HEIGHT = 220, 40
"""Of a box."""
GAP_ACROSS, GAP_DOWN, MARGIN = 50, 12, 10
LONGEST: Final = 32
"""So many characters fit into a box."""


def svg_of(nodes: Sequence[Node], label: Label | None) -> str:
    """The picture, as the text of a file."""
    best = frozenset(best_path(nodes))
    rows = rows_of(nodes)
    places = [_place(node, rows[node.number]) for node in nodes]
    width = max(x for x, _ in places) + WIDTH + MARGIN
    height = max(y for _, y in places) + HEIGHT + MARGIN
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    for node in nodes[1:]:
        assert node.parent is not None  # only the root has none
        lines.append(_line(places[node.parent], places[node.number], is_best=node.number in best))
    for node in nodes:
        lines += _box(node, places[node.number], label_of(node, label), is_best=node.number in best)
    return "\n".join([*lines, "</svg>"])


def rows_of(nodes: Sequence[Node]) -> list[float]:
    """The row of each node, by its number: leaves one below the other, parents amid their children."""
    rows = [0.0] * len(nodes)
    leaves = 0
    for node, _ in walk(nodes):
        if not node.children:
            rows[node.number] = float(leaves)
            leaves += 1
    for node in reversed(nodes):  # children come after their parents, so now before them
        if node.children:
            rows[node.number] = (rows[node.children[0]] + rows[node.children[-1]]) / 2
    return rows


def _place(node: Node, row: float) -> tuple[float, float]:
    return MARGIN + node.depth * (WIDTH + GAP_ACROSS), MARGIN + row * (HEIGHT + GAP_DOWN)


def _line(start: tuple[float, float], end: tuple[float, float], *, is_best: bool) -> str:
    x, y = start[0] + WIDTH, start[1] + HEIGHT / 2
    middle, bottom = x + GAP_ACROSS / 2, end[1] + HEIGHT / 2
    path = f"M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {bottom:g} {end[0]:g} {bottom:g}"
    return f'<path d="{path}" fill="none" stroke="#78909c" stroke-width="{3 if is_best else 1}"/>'


def _box(node: Node, place: tuple[float, float], label: str, *, is_best: bool) -> list[str]:
    x, y = place
    dashes = ' stroke-dasharray="4 3"' if node.error is not None else ""
    texts = [one_line(text, LONGEST) for text in (title_of(node), label) if text]
    first = y + HEIGHT / 2 + 4 - 8 * (len(texts) - 1)
    style = f'fill="{color_of(node)}" stroke="#455a64" stroke-width="{3 if is_best else 1}"{dashes}'
    hint = " ".join(text for text in (title_of(node), label) if text)
    lines = [
        f"<g><title>{_escaped(hint)}</title>",
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" {style}/>',
    ]
    for line, text in enumerate(texts):
        lines.append(f'<text x="{x + 8:g}" y="{first + 16 * line:g}">{_escaped(text)}</text>')
    return [*lines, "</g>"]


def _escaped(text: str) -> str:
    """Text that XML can hold; what it cannot, even quoted, is not printable and was left out before."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
