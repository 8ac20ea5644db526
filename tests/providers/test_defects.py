"""The defects of this library's predecessors that concern providers: each has a test that would catch it.

ELSEWHERE says where, for those that belong to one vendor and stand among that vendor's tests; the others
are here, and are asked of every vendor at once. Numbers are those of the lists of what was found: 46 to
61 in the original of this library, B1 to B21 in the other one.

| number | what went wrong                                                                            |
|--------|--------------------------------------------------------------------------------------------|
| 46     | a block or an event that nobody knows ended the answer                                     |
| 47     | `"tool_calls": null` was a failure                                                         |
| 48     | calls were taken from Ollama's last line only                                              |
| 49     | how long to wait, and that another try may help, was not told                              |
| 50     | an error inside a stream was an empty answer                                               |
| 51     | the timeout was for the whole stream, and ended long answers                               |
| 52     | `/v1` was doubled                                                                          |
| 53     | of several system messages the last was sent                                               |
| 54     | errors of Bedrock had neither a status nor a code                                          |
| 55     | images by address, and of types that nobody takes, were dropped                            |
| 56     | Vertex: equal calls had one id, results were no objects, empty turns were sent              |
| 57     | Ollama: ids of calls came again with each turn                                             |
| 58     | capabilities said no where it was yes                                                      |
| 59     | templates knew whole strings, names in capitals and no tools; 429 and usage were lost      |
| 60     | settings of newer models had no place                                                      |
| 61     | tokens could not be renewed                                                                |
| B1     | calls with an odd reason to stop were not run                                              |
| B2     | a stream that broke off looked whole                                                       |
| B3     | an overload in the midst of a stream, or a socket's failure, was nothing to try again for  |
| B4     | thinking that was redacted was lost, or broke the answer                                   |
| B14    | arguments that are no JSON became a string or {}                                           |
| B15    | pieces of a call without an index became calls of their own                                |
| B16    | a call that was cut off was run                                                            |
| B21    | pages of batches lost their cursors                                                        |
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tako import SingleAgent, tool
from tako.effects import Failed, Succeeded
from tako.errors import InvalidInput, ProviderError, TakoError, TimedOut, TransportError
from tako.models import (
    ChatRequest,
    ContentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.providers import (
    Anthropic,
    Gemini,
    HttpGeneric,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICodex,
    OpenAICompatible,
    OpenAIResponses,
)
from tako.providers.http import HttpProvider
from tako.providers.openai.codex import CodexCredentials
from tako.testing import Answer, Observed, Pause, Reset, ScriptedVendor
from tako.testing.vendor import Piece
from tako.wire.eventstream import encode_frame
from tests.contracts.drivers import SIMULATOR
from tests.contracts.subjects import OPENAI, VENDORS, Subject
from tests.contracts.wires.framing import EVENT_STREAM, LINES, SSE, event_frame
from tests.contracts.wires.reply import Reply

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "46": (
        "providers/test_anthropic_decode.py::test_unknown_blocks_are_kept_and_go_back_as_they_came",
        "providers/test_anthropic_decode.py::test_what_is_unknown_or_null_is_skipped",
        "providers/test_bedrock_decode.py::test_unknown_blocks_events_and_fields_are_kept_or_skipped",
        "providers/test_mistral_decode.py::test_a_block_that_nobody_knows_is_kept",
    ),
    "48": ("providers/test_ollama_decode.py::test_calls_are_taken_from_any_line_and_announced_at_the_end",),
    "49": (
        "contracts/test_bad_input.py::test_429",
        "providers/test_refusals.py::test_hints_in_headers",
        "providers/test_refusals.py::test_hints_in_bodies",
    ),
    "50": (
        "providers/test_openai_decode.py::test_an_error_inside_an_answer",
        "providers/test_ollama_decode.py::test_an_error_inside_an_answer",
        "providers/test_gemini_decode.py::test_an_error_inside_a_stream",
    ),
    "54": (
        "contracts/test_bad_input.py::test_429",
        "providers/test_bedrock_decode.py::test_refusals",
        "providers/test_bedrock_decode.py::test_exceptions_in_a_stream",
    ),
    "56": (
        "providers/test_gemini_decode.py::test_calls_have_their_own_ids_also_where_they_are_the_same",
        "providers/test_gemini.py::test_calls_and_their_results",
        "providers/test_gemini.py::test_what_has_no_place_is_refused",
    ),
    "57": ("providers/test_ollama_decode.py::test_ids_that_are_made_up_are_different_in_each_answer",),
    "59": (
        "providers/test_http_generic.py::test_a_value_takes_the_place_of_its_placeholder",
        "providers/test_http_generic.py::test_variables_of_any_name_anywhere_in_a_header",
        "providers/test_http_generic.py::test_the_openai_format_is_what_openai_is_sent",
        "providers/test_http_generic_decode.py::test_a_429_is_rate_limited",
        "providers/test_http_generic_decode.py::test_counts_go_by_their_usual_names",
        "interop/test_three_turns.py::test_three_turns_with_two_tools_each",
    ),
    "60": (
        "providers/test_openai.py::test_the_limit_has_two_names",
        "providers/test_openai.py::test_every_setting_has_its_field",
        "providers/test_openai_parts.py::test_what_else_is_said_of_an_answer_is_in_its_details",
    ),
    "61": (
        "providers/test_credentials.py::test_a_fresh_key_for_each_request_and_a_header_of_the_caller_wins",
        "providers/test_gemini.py::test_a_token_that_is_a_function_is_asked_before_each_request",
        "providers/test_azure.py::test_a_function_is_asked_before_each_request",
    ),
    "B2": ("contracts/test_streams.py::test_2_a_stream_that_breaks_off_ends_in_an_error",),
    "B4": (
        "providers/test_anthropic_decode.py::test_unknown_blocks_are_kept_and_go_back_as_they_came",
        "providers/test_anthropic_decode.py::test_thinking_is_shown_live_and_kept_with_its_signature",
        "providers/test_bedrock_decode.py::test_thinking_keeps_its_signature_and_what_was_redacted",
    ),
    "B15": ("providers/test_openai_decode.py::test_calls_as_compatible_servers_send_them",),
    "B16": (
        "providers/test_openai_decode.py::test_a_call_that_was_cut_off_is_an_error",
        "providers/test_anthropic_decode.py::test_a_call_that_was_cut_off_is_an_error",
        "providers/test_bedrock_decode.py::test_a_call_that_was_cut_off_is_an_error",
        "providers/test_gemini_decode.py::test_a_call_whose_arguments_were_cut_is_an_error",
        "providers/test_mistral_decode.py::test_a_call_that_was_cut_off_is_an_error_that_keeps_the_rest",
        "providers/test_ollama_decode.py::test_a_call_that_was_cut_off_is_an_error",
        "providers/test_responses_decode.py::test_a_call_that_was_cut_off_is_an_error",
        "providers/test_http_generic_decode.py::test_a_call_that_was_cut_off_is_an_error",
    ),
    "B21": (
        "providers/test_anthropic_batches.py::test_a_page_keeps_its_cursors",
        "providers/test_anthropic_batches.py::test_all_pages_follow_each_other",
    ),
}
NUMBERS = [*(str(number) for number in range(46, 62)), *(f"B{n}" for n in (1, 2, 3, 4, 14, 15, 16, 21))]
TESTS = Path(__file__).parents[1]


@functools.cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("number", NUMBERS)
def test_each_defect_has_a_test(number: str) -> None:
    for place in ELSEWHERE.get(number, ()):
        name, _, function = place.partition("::")
        assert function in functions_of(TESTS / name), f"{place} is not there"
    here = any(name.startswith(f"test_{number.lower()}_") for name in functions_of(Path(__file__)))
    assert here or number in ELSEWHERE


# Every vendor at once.

vendors = pytest.mark.parametrize("subject", VENDORS, ids=lambda subject: subject.name)
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
URL = "http://vendor.test"
PNG = b"\x89PNG\r\n\x1a\n"
USER = Message.user("hello")
CALL = ToolCallPart(id="call_0", name="look", args={"at": "it"})


def provider_of(subject: Subject) -> HttpProvider:
    provider = subject.provider(URL, [])
    assert isinstance(provider, HttpProvider)
    return provider


def body_of(subject: Subject, *parts: Message, **options: Any) -> str:
    request = ChatRequest(messages=parts or (USER,), **options)
    return provider_of(subject).http_request(request, stream=True).body.decode()


def streamed(subject: Subject, *pieces: Piece) -> Answer:
    return Answer(pieces, headers=(("content-type", subject.framing.content_type),))


def bytes_of(subject: Subject, reply: Reply) -> bytes:
    """The vendor's stream for a reply."""
    assert subject.answer is not None
    return subject.answer(reply)[1].body


class Looker:
    """A tool that notes what it was called with."""

    def __init__(self) -> None:
        self.seen: list[str] = []

        @tool
        def look(at: str) -> str:
            """Look at something."""
            self.seen.append(at)
            return f"saw {at}"

        self.tool = look


def run(
    subject: Subject, answers: list[Answer], looker: Looker | None = None, *, streaming: bool = True
) -> Observed:
    """What an agent makes of these answers, one after the other."""
    agent = SingleAgent(provider_of(subject), tools=[looker.tool] if looker else [])
    return SIMULATOR.observe(ScriptedVendor(answers), lambda url: agent.flow("go", streaming=streaming))


def error_of(subject: Subject, *pieces: Piece) -> TakoError:
    outcome = run(subject, [streamed(subject, *pieces)]).outcome
    assert isinstance(outcome, Failed) and isinstance(outcome.error, TakoError), outcome
    return outcome.error


def with_events(subject: Subject, body: bytes, change: Callable[[Any], Any]) -> bytes:
    """A stream in which `change` was made to each JSON event."""
    parts = subject.framing.parts(body)
    return subject.framing.joined([(head, None if event is None else change(event)) for head, event in parts])


def with_strings(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value in which `change` was made to each string."""
    if isinstance(value, dict):
        return {name: with_strings(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [with_strings(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def event_of(subject: Subject, payload: dict[str, Any], name: str) -> bytes:
    """One event by itself; `name` is what Amazon puts into a header."""
    if subject.framing is EVENT_STREAM:
        return event_frame(name, payload)
    return json.dumps(payload).encode() + b"\n" if subject.framing is LINES else sse(payload)


def sse(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


@vendors
def test_46_an_event_that_nobody_knows_is_skipped(subject: Subject) -> None:
    body = bytes_of(subject, Reply("fine"))
    start, rest = first_event(subject, body)
    new = event_of(subject, {"type": "something_new", "something": {"x": [1, None]}}, "somethingNew")
    outcome = run(subject, [streamed(subject, start, new, rest)]).outcome
    assert isinstance(outcome, Succeeded) and outcome.value.text == "fine"


def first_event(subject: Subject, body: bytes) -> tuple[bytes, bytes]:
    parts = subject.framing.parts(body)
    rest = subject.framing.joined(parts[1:])
    assert body.endswith(rest) or subject.framing is not SSE
    return subject.framing.joined(parts[:1]) + (b"\n\n" if subject.framing is SSE else b""), rest


CHAT = tuple(subject for subject in VENDORS if b'"choices"' in bytes_of(subject, Reply("x")))
of_chat = pytest.mark.parametrize("subject", CHAT, ids=lambda subject: subject.name)


@of_chat
def test_47_null_is_nothing(subject: Subject) -> None:
    def nulled(event: Any) -> Any:
        for choice in event["choices"]:
            choice["delta"] = {"tool_calls": None, "content": None, "role": None, **choice["delta"]}
        return event

    assert subject.answer is not None
    whole, stream = subject.answer(Reply("fine"))
    assert b'"tool_calls": null' in whole.body
    spoiled = streamed(subject, with_events(subject, stream.body, nulled))
    for answer, streaming in ((whole, False), (spoiled, True)):
        outcome = run(subject, [answer], streaming=streaming).outcome
        assert isinstance(outcome, Succeeded) and outcome.value.text == "fine"


def trouble(subject: Subject) -> bytes:
    """What a vendor says where it cannot go on."""
    if subject.framing is EVENT_STREAM:
        headers = {":message-type": "exception", ":exception-type": "internalServerException"}
        return encode_frame(headers, b'{"message": "no luck"}')
    if subject.framing is LINES:
        return b'{"error": "no luck"}\n'
    error = {"type": "api_error", "code": 500, "message": "no luck", "status": "INTERNAL"}
    return sse({"type": "error", "code": "server_error", "message": "no luck", "error": error})


@vendors
def test_50_an_error_inside_a_stream_is_one(subject: Subject) -> None:
    start, _ = first_event(subject, bytes_of(subject, Reply("fine")))
    error = error_of(subject, start, trouble(subject))
    assert isinstance(error, ProviderError) and "no luck" in error.message


@vendors
def test_51_an_answer_may_take_longer_than_the_timeout_but_no_piece_of_it(subject: Subject) -> None:
    timeout = provider_of(subject).http_request(ChatRequest(messages=(USER,)), stream=True).read_timeout
    assert timeout is not None
    body = bytes_of(subject, Reply("a fine long answer"))
    size = len(body) // 5 + 1
    pieces: list[Piece] = []
    for place in range(0, len(body), size):
        pieces += [Pause(0.9 * timeout), body[place : place + size]]
    outcome = run(subject, [streamed(subject, *pieces)]).outcome
    assert isinstance(outcome, Succeeded) and outcome.value.text == "a fine long answer"
    pieces[4] = Pause(1.1 * timeout)
    error = error_of(subject, *pieces)
    assert type(error) is TimedOut and error.retryable


ADDRESSES: list[tuple[Callable[[str], HttpProvider], tuple[str, ...]]] = [
    (lambda url: OpenAI("m", "k", base_url=url), ("", "/", "/v1", "/v1/", "/v1/chat/completions")),
    (lambda url: OpenAICompatible("m", "k", base_url=url), ("/v1", "/v1/", "/v1/chat/completions")),
    (lambda url: OpenAIResponses("m", "k", base_url=url), ("", "/v1", "/v1/", "/v1/responses")),
    (lambda url: OpenAICodex("m", CodexCredentials("t", "a"), base_url=url), ("", "/", "/codex/responses")),
    (lambda url: Anthropic("m", "k", base_url=url), ("", "/v1", "/v1/", "/v1/messages")),
    (lambda url: Gemini("m", "k", base_url=url), ("", "/", "/v1beta", "/v1beta/")),
    (lambda url: Mistral("m", "k", base_url=url), ("", "/v1", "/v1/", "/v1/chat/completions")),
    (lambda url: Ollama("m", base_url=url), ("", "/", "/api", "/api/", "/api/chat")),
]


@pytest.mark.parametrize(("make", "endings"), ADDRESSES)
def test_52_an_address_says_its_version_once(
    make: Callable[[str], HttpProvider], endings: tuple[str, ...]
) -> None:
    request = ChatRequest(messages=(USER,))
    urls = {make(f"https://host.test{end}").http_request(request, stream=False).url for end in endings}
    assert len(urls) == 1


@vendors
def test_53_all_system_messages_are_sent_in_order(subject: Subject) -> None:
    body = body_of(subject, Message.system("first rule"), USER, Message.system("second rule"))
    assert 0 < body.index("first rule") < body.index("second rule")


FAR = "https://far.test/cat.png"


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (ImageUrlPart(url=FAR), FAR),
        (ImageUrlPart(url="https://far.test/cat"), "https://far.test/cat"),
        (ImageUrlPart(url="data:image/tiff;base64,SUkqAA=="), "SUkqAA=="),
        (ImagePart(mime="image/heic", data_b64="SUkqAA=="), "SUkqAA=="),
        (ImagePart(mime="image/png", data_b64="iVBORw0KGgo="), "iVBORw0KGgo="),
    ],
)
@vendors
def test_55_an_image_is_sent_or_refused_but_never_dropped(subject: Subject, part: Any, shown: str) -> None:
    shows = ToolResultPart(id="call_0", name="look", content=(TextPart(text="see"), part))
    for messages in (
        (Message.user([TextPart(text="see"), part]),),
        (USER, Message.assistant([CALL]), Message.tool([shows])),
    ):
        try:
            body = body_of(subject, *messages)
        except InvalidInput as error:
            said = error.message
            assert "image" in said
        else:
            assert shown in body


@vendors
@both_ways
def test_56_equal_calls_are_both_run_and_both_answered(subject: Subject, streaming: bool) -> None:
    assert subject.answer is not None
    twice = Reply("", (CALL, CALL.model_copy(update={"id": "call_1"})))
    answers = [subject.answer(reply)[streaming] for reply in (twice, Reply("fine"))]
    looker = Looker()
    outcome = run(subject, answers, looker, streaming=streaming).outcome
    assert isinstance(outcome, Succeeded) and outcome.value.text == "fine"
    assert looker.seen == ["it", "it"]
    results = outcome.value.new_messages[2].content
    assert len({result.id for result in results}) == 2


LOOK = ToolSchema(name="look", description="Look", input_schema={"type": "object", "properties": {}})
ASKED: dict[str, Callable[[Subject], str]] = {
    "supports_vision": lambda subject: body_of(subject, Message.user([ContentPart.image(PNG)])),
    "supports_tools": lambda subject: body_of(subject, tools=(LOOK,)),
}


@vendors
@pytest.mark.parametrize("capability", ASKED)
def test_58_capabilities_say_what_can_be_asked(subject: Subject, capability: str) -> None:
    try:
        ASKED[capability](subject)
        can = True
    except InvalidInput:
        can = False
    assert getattr(provider_of(subject).capabilities, capability) is can
    assert provider_of(subject).capabilities.supports_streaming


def test_58_a_template_says_what_it_has_a_place_for() -> None:
    plain = HttpGeneric("x", "m", URL, {"p": "{{ prompt }}"}, "/text")
    assert not plain.capabilities.supports_vision and not plain.capabilities.supports_tools


@of_chat
@pytest.mark.parametrize("reason", ["stop", "odd", None, ...])
@both_ways
def test_b1_calls_are_run_whatever_the_reason_to_stop(subject: Subject, reason: Any, streaming: bool) -> None:
    def changed(event: Any) -> Any:
        for choice in event["choices"]:
            if choice.get("finish_reason") is not None:
                del choice["finish_reason"]
                choice |= {} if reason is ... else {"finish_reason": reason}
        return event

    assert subject.answer is not None
    whole, stream = subject.answer(Reply("", (CALL,)))
    answer = (
        streamed(subject, with_events(subject, stream.body, changed))
        if streaming
        else Answer.json(json.dumps(changed(json.loads(whole.body))))
    )
    provider, request = provider_of(subject), ChatRequest(messages=(USER,))
    ask = provider.stream_flow if streaming else provider.chat_flow
    told = SIMULATOR.observe(ScriptedVendor(answer), lambda url: ask(request)).outcome
    assert isinstance(told, Succeeded) and told.value.finish_reason == "tool_calls"
    looker = Looker()
    outcome = run(
        subject, [answer, subject.answer(Reply("fine"))[streaming]], looker, streaming=streaming
    ).outcome
    assert isinstance(outcome, Succeeded) and outcome.value.text == "fine"
    assert looker.seen == ["it"]


@vendors
def test_b3_a_socket_that_breaks_is_worth_another_try_and_what_was_said_is_kept(subject: Subject) -> None:
    body = bytes_of(subject, Reply("a fine long answer"))
    error = error_of(subject, body[: len(body) // 2], Reset())
    assert isinstance(error, TransportError) and error.retryable
    assert error.partial.text and "a fine long answer".startswith(error.partial.text)


def test_b3_an_overload_in_the_midst_of_a_stream_is_worth_another_try() -> None:
    overload = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    subject = next(subject for subject in VENDORS if subject.name == "anthropic")
    start, _ = first_event(subject, bytes_of(subject, Reply("fine")))
    error = error_of(subject, start, b"event: error\n" + sse(overload))
    assert isinstance(error, ProviderError) and error.retryable
    assert (error.status, error.code) == (529, "overloaded_error")


BROKEN = {'"}': '"', '{"at": "it"}': '{"at": "it"'}
"""The text of the arguments, whole and its last piece, without the brace that ends it."""
TEXTUAL = tuple(
    subject
    for subject in VENDORS
    if subject.framing is not LINES and b"functionCall" not in bytes_of(subject, Reply("", (CALL,)))
)
"""Vendors that send arguments as text. The others send an object, which cannot be broken in itself."""


@pytest.mark.parametrize(
    "subject", [s for s in TEXTUAL if s.name != "anthropic-bedrock"], ids=lambda s: s.name
)
def test_b14_arguments_that_are_no_json_reach_no_tool(subject: Subject) -> None:
    """The model is told, or the answer is an error; a tool never sees a string, or {}, in their place."""
    body = bytes_of(subject, Reply("", (CALL,)))
    spoiled = with_events(subject, body, lambda e: with_strings(e, lambda text: BROKEN.get(text, text)))
    assert spoiled != body
    looker = Looker()
    outcome = run(
        subject, [streamed(subject, spoiled), streamed(subject, bytes_of(subject, Reply("fine")))], looker
    ).outcome
    assert looker.seen == []
    assert isinstance(outcome, Succeeded) and outcome.value.text == "fine"
    (result,) = outcome.value.new_messages[2].content
    assert result.is_error and "JSON" in result.result


def test_the_vendors_of_these_tests_are_all_there_are() -> None:
    """So that a new one is not forgotten: it belongs into the subjects of the contracts."""
    assert OPENAI in CHAT and len(CHAT) == 4
    assert len(VENDORS) == 12
