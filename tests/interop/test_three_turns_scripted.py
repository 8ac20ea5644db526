"""Claude on Google's and Amazon's clouds through three turns with two tools, on all three arms.

The mock of the other tests does not know Vertex's addresses for Claude, and puts the events of a
stream from Amazon into frames bare, where Amazon sends base64 in JSON. So we play the vendor here, and
Anthropic's own library is the judge of the requests: what it does not know would be a mistake.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tako import SingleAgent
from tako.models import ToolCallPart
from tako_io_sync.loopback import LoopbackServer
from tests.contracts.subjects import VENDORS, Subject
from tests.contracts.wires.reply import Reply
from tests.interop.test_three_turns import ANSWER, QUESTION, RESULTS, WAYS, clock, weather
from tests.support.vendor_types import check, library

SUBJECTS = {subject.name: subject for subject in VENDORS if subject.name.startswith("anthropic-")}


def calls(name: str) -> Reply:
    """What the model asks for: the same of two cities at once."""
    asked = [ToolCallPart(id=f"{name}_{city}", name=name, args={"city": city}) for city in ("Paris", "Oslo")]
    return Reply("Let me see.", tuple(asked))


TURNS = [calls("weather"), calls("clock"), Reply(ANSWER)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
def test_three_turns_with_two_tools_each(name: str, way: Any) -> None:
    subject: Subject = SUBJECTS[name]
    vendor = subject.vendor(TURNS)
    with LoopbackServer(vendor) as server:
        agent = SingleAgent(subject.provider(server.url, TURNS), tools=[weather, clock])
        text, results = way(agent)
    assert results == RESULTS
    assert text.endswith(ANSWER)
    bodies = [json.loads(request.body) for request in vendor.requests]
    assert [len(body["messages"]) for body in bodies] == [1, 3, 5]
    assert [results_in(body) for body in bodies] == [{}, answered(2), answered(4)]
    for request, body in zip(vendor.requests, bodies, strict=True):
        assert "/m" in request.target and "model" not in body  # it stands in the address
        assert body.pop("anthropic_version").startswith(name.removeprefix("anthropic-"))
    params = library("anthropic.types.message_create_params")
    streams = bodies[-1].get("stream")
    kind = params.MessageCreateParamsStreaming if streams else params.MessageCreateParamsNonStreaming
    check(kind, {"model": "m", **bodies[-1]})  # the last one holds all that was said


def answered(count: int) -> dict[str, str]:
    ids = [call.id for turn in TURNS for call in turn.calls]
    return dict(zip(ids[:count], RESULTS, strict=False))


def results_in(body: dict[str, Any]) -> dict[str, str]:
    """The results in a request by the ids of their calls, each of which was asked just before."""
    found: dict[str, str] = {}
    for asking, answering in zip(body["messages"][1::2], body["messages"][2::2], strict=False):
        ids = [block["id"] for block in asking["content"] if block["type"] == "tool_use"]
        blocks = [block for block in answering["content"] if block["type"] == "tool_result"]
        assert [block["tool_use_id"] for block in blocks] == ids
        found |= {block["tool_use_id"]: told(block["content"]) for block in blocks}
    assert body["messages"][0] == {"role": "user", "content": QUESTION} or QUESTION in str(
        body["messages"][0]
    )
    return found


def told(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)
