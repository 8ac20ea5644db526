"""A tree drawn: as data, as text, as DOT, as SVG; whatever the names and the labels are."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.orchestrators.tree_search import Node, TreeSearch
from tako.orchestrators.tree_search.drawing import best_path
from tests.effort import examples
from tests.orchestrators.tree_search.kit import operations, perform, searches, told

SVG = "{http://www.w3.org/2000/svg}"
NASTY = [
    "]]>&<b a='\"'>",
    'quo"te\\',
    "a\nb\u2028c\r",
    "\x00\x1b[31m\ud800\ufffe\uffff",
    "x" * 500,
    "",
    "\\",
    " \t",
]


def small() -> TreeSearch:
    """1 and 2 below the root, 3 and a failure below 1."""
    tells = [(0, "haiku", 0.5), (0, "opus", 0.25), (1, "opus", 1.0), (1, "haiku", None)]
    return told(TreeSearch(("haiku", "opus"), seed=5, max_depth=3), *tells)


def of_text(node: Node) -> str:
    return "" if node.state is None else str(node.state["text"])


def test_the_tree_as_text():
    assert small().as_text(of_text).splitlines() == [
        "root *",
        "├─ #1 haiku 0.500 by haiku *",
        "│  ├─ #3 opus 1.000 by opus * best",
        "│  └─ #4 haiku failed: timed out",
        "└─ #2 opus 0.250 by opus",
    ]
    assert TreeSearch(seed=1).as_text() == "root"


def test_the_tree_as_data_is_json():
    data = small().as_data()
    assert json.loads(json.dumps(data)) == data
    assert [child["number"] for child in data["children"]] == [1, 2]
    assert data["children"][0]["children"] == [
        {"number": 3, "action": "opus", "score": 1.0, "state": {"text": "by opus"}, "error": None}
        | {"is_best": True, "children": []},
        {"number": 4, "action": "haiku", "score": None, "state": None, "error": "timed\nout"}
        | {"is_best": False, "children": []},
    ]


def test_the_tree_as_dot():
    text = small().as_dot(of_text)
    nodes, edges = parsed_dot(text)
    assert nodes["n3"]["label"] == "#3 opus 1.000\\nby opus"
    assert set(edges) == {("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n1", "n4")}
    assert [name for name, attributes in nodes.items() if "penwidth" in attributes] == ["n0", "n1", "n3"]
    assert [edge for edge, attributes in edges.items() if "penwidth" in attributes] == [
        ("n0", "n1"),
        ("n1", "n3"),
    ]


def parsed_dot(text: str) -> tuple[dict[str, dict[str, str]], dict[tuple[str, str], dict[str, str]]]:
    """By the grammar of Graphviz, as far as it is needed: statements of nodes and of edges."""
    value = r'(?:"(?:[^"\\\n]|\\.)*"|\#?[\w.]+)'
    attributes = rf"\[(\w+={value}(?:, \w+={value})*)\]"
    first, *lines, last = text.split("\n")
    assert (first, last) == ("digraph search {", "}")
    nodes, edges = {}, {}
    for line in lines:
        assert re.fullmatch(rf"  (?:\w+(?: -> \w+)?(?: {attributes})?|\w+={value});", line), line
        found = {name: given.strip('"') for name, given in re.findall(rf"(\w+)=({value})", line)}
        if match := re.match(r"  (n\d+) -> (n\d+)", line):
            edges[match[1], match[2]] = found
        elif match := re.match(r"  (n\d+) ", line):
            nodes[match[1]] = found
    return nodes, edges


def test_the_tree_as_svg():
    root = ET.fromstring(small().as_svg(of_text))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:3] == ["root", "#1 haiku 0.500", "by haiku"]
    boxes = [box.attrib for box in root.iter(f"{SVG}rect")]
    assert [box["stroke-width"] for box in boxes] == ["3", "3", "1", "3", "1"]
    assert [number for number, box in enumerate(boxes) if "stroke-dasharray" in box] == [4]
    assert boxes[3]["fill"] == "#5fb48c"  # the score 1
    assert len({box["fill"] for box in boxes}) == 5
    assert len(list(root.iter(f"{SVG}path"))) == 4
    assert not re.search("href|script|style=|@import", small().as_svg())  # it needs nothing else


@given(search=searches(), script=operations(), label=st.sampled_from(NASTY) | st.text())
@settings(max_examples=examples(1))
def test_any_tree_with_any_label_is_well_formed_and_nothing_overlaps(
    search: TreeSearch, script: list[Any], label: str
):
    for operation in script:
        perform(search, operation)
    nodes = search.nodes
    lines = search.as_text(lambda node: label).split("\n")
    assert len(lines) == len(nodes)
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert sum(line.endswith("* best") for line in lines) >= bool(search.best())
    drawn, edges = parsed_dot(search.as_dot(lambda node: label))
    assert len(drawn) == len(nodes) and len(edges) == len(nodes) - 1
    root = ET.fromstring(search.as_svg(lambda node: label).encode())
    boxes = [
        {name: float(box.attrib[name]) for name in ("x", "y", "height")} for box in root.iter(f"{SVG}rect")
    ]
    columns: dict[float, list[float]] = defaultdict(list)
    for node, box in zip(nodes, boxes, strict=True):
        assert box["x"] == boxes[0]["x"] + node.depth * 270
        columns[box["x"]].append(box["y"])
    for rows in columns.values():
        rows.sort()
        assert all(below - above >= 40 for above, below in pairwise(rows))
    for node, box in zip(nodes, boxes, strict=True):
        if node.children:
            ends = boxes[node.children[0]]["y"], boxes[node.children[-1]]["y"]
            assert box["y"] == pytest.approx(sum(ends) / 2, abs=1)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(box["x"] + 220 < width and box["y"] + 40 < height for box in boxes)
    path = best_path(nodes)
    assert path[-1:] == tuple(node.number for node in search.best())


def test_names_and_errors_are_quoted_and_cut():
    search = TreeSearch(["<&>\"'\\", "y" * 500], seed=1)
    for trial in search.ask(6):
        search.fail(trial.id, "<" * 900 + "\n\x07")
    root = ET.fromstring(search.as_svg())
    assert all(len(text.text or "") <= 32 for text in root.iter(f"{SVG}text"))
    assert len(parsed_dot(search.as_dot())[0]) == 7
    assert max(map(len, search.as_text().split("\n"))) < 80


def test_the_deepest_tree_can_be_drawn():
    search = TreeSearch(seed=1, branching_factor=1)
    for _ in range(100):
        search.tell(search.ask()[0].id, 0.5)
    json.dumps(search.as_data())
    assert search.as_text().count("\n") == 100
    assert ET.fromstring(search.as_svg()).tag == f"{SVG}svg"


def test_a_label_that_is_no_text_is_refused():
    def label(node: Node) -> Any:
        return node.state

    for draw in (small().as_text, small().as_dot, small().as_svg):
        with pytest.raises(InvalidInput, match="label should give text for each node, not "):
            draw(label)
