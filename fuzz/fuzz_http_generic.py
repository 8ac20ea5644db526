"""Fuzz the decoder of templates, with a pointer to every fact; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_http_generic.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.answer import AnswerDecoder
from tako.providers.http_generic import HttpGeneric

FACTS = {
    "thinking_pointer": "/thinking",
    "finish_reason_pointer": "/reason",
    "usage_pointer": "/usage",
    "tool_calls_pointer": "/calls",
    "id_pointer": "/id",
    "model_pointer": "/model",
}
PROVIDER = HttpGeneric(
    "fuzz",
    "m",
    "https://fuzz.test",
    {"prompt": "{{ prompt }}", "stream": "{{ stream }}"},
    "/text",
    response_config=FACTS,
    stream_config={"kind": "ndjson", "content_pointer": "/text", **FACTS},
    error_message_pointer="/error/0",
)
OBJECTS = [
    '{"text":"na\u00efve \U0001f419"}',
    '{"thinking":"hm"}',
    '{"calls":[{"id":"a","index":0,"function":{"name":"f","arguments":"{\\"x\\":"}}]}',
    '{"calls":[{"index":0,"function":{"arguments":"1}"}}]}',
    '{"calls":[{"function":{"name":"g","arguments":{"x":1}}}]}',
    '{"text":"a","usage":{"input":1,"output":2},"id":"i","model":"m"}',
    '{"text":null,"news":[]}',
    '{"error":["no"]}',
]
OBJECTS += [f'{{"reason":"{reason}","text":"."}}' for reason in ("stop", "length", "tool_use", "odd")] * 2


def decoder() -> AnswerDecoder:
    return PROVIDER.decoder()


WORDS = [f"{entry}\n".encode() for entry in OBJECTS] + [b"\r\n", b" "]

if __name__ == "__main__":
    main(Target(decoder, WORDS), __doc__ or "")
