"""Fuzz the decoder of OpenAI's responses; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_responses.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.responses.decode import ResponsesDecoder
from tako.providers.responses.dialect import OPENAI

NOTE = '{"type":"url_citation","url":"https://x","start_index":0,"end_index":1}'
TEXT = '{"type":"output_text","text":"na\u00efve \U0001f419","annotations":[' + NOTE + "]}"
ITEMS = [
    '"type":"message","id":"m","content":[' + TEXT + "]",
    '"type":"message","content":[{"type":"refusal","refusal":"no"}]',
    '"type":"message","id":"m","content":[]',
    '"type":"reasoning","id":"r","encrypted_content":"x","summary":[{"text":"hm"}]',
    '"type":"reasoning","id":"r","summary":[]',
    '"type":"function_call","id":"f","call_id":"c","name":"f","arguments":"{\\"x\\":1}"',
    '"type":"function_call","id":"f","call_id":"c","name":"f","arguments":""',
    '"type":"custom_tool_call","id":"t","name":"h","input":"4"',
    '"type":"web_search_call","id":"w"',
]
WHOLE_ITEMS = [f'{{{item},"status":"completed"}}' for item in ITEMS]
EVENTS = ['{"type":"response.created","response":{"id":"resp","model":"m"}}', "{}"]
for index in (0, 1):
    place = f'"output_index":{index}'
    for kind in ("added", "done"):
        EVENTS += [f'{{"type":"response.output_item.{kind}",{place},"item":{item}}}' for item in WHOLE_ITEMS]
        part = f'{place},"content_index":0,"part":{TEXT}'
        EVENTS += [f'{{"type":"response.content_part.{kind}",{part}}}'] * 2
    for kind, delta in (
        ("output_text", "na\u00efve "),
        ("output_text", "\U0001f419"),
        ("refusal", "no"),
        ("reasoning_summary_text", "hm"),
        ("reasoning_text", "well"),
        ("function_call_arguments", '{\\"x\\":1}'),
        ("custom_tool_call_input", "4"),
    ):
        EVENTS += [f'{{"type":"response.{kind}.delta",{place},"content_index":0,"delta":"{delta}"}}'] * 3
    EVENTS += [f'{{"type":"response.output_text.annotation.added",{place},"annotation":{NOTE}}}']
EVENTS += ['{"type":"response.output_text.delta","item_id":"m","delta":"a"}', '{"type":"error","code":"x"}']
OUTPUT = f'"usage":{{"input_tokens":1}},"output":[{",".join(WHOLE_ITEMS)}]'
ENDS = ['"status":"completed",' + OUTPUT, '"status":"completed","output":[]', '"status":"failed"']
ENDS += ['"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]']
EVENTS += [f'{{"type":"response.completed","response":{{{end}}}}}' for end in ENDS] * 2

WORDS = [f"event: x\ndata: {event}\n\n".encode() for event in EVENTS]
WORDS += [b"\n", b"data:\r", *[f"{{{end}}}".encode() for end in ENDS]]

if __name__ == "__main__":
    main(Target(lambda: ResponsesDecoder(OPENAI), WORDS), __doc__ or "")
