"""Fuzz the decoder of Anthropic's Messages; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_anthropic.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.anthropic.decode import MessagesDecoder

BLOCKS = [
    '{"type":"text","text":"seed"}',
    '{"type":"thinking","thinking":"","signature":""}',
    '{"type":"redacted_thinking","data":"x"}',
    '{"type":"tool_use","id":"t","name":"f","input":{}}',
    '{"type":"server_tool_use","id":"s","name":"n","input":{}}',
    '{"type":"new","field":null}',
]
DELTAS = [
    '{"type":"text_delta","text":"na\u00efve \U0001f419"}',
    '{"type":"thinking_delta","thinking":"hm"}',
    '{"type":"signature_delta","signature":"s="}',
    '{"type":"input_json_delta","partial_json":"{\\"x\\":"}',
    '{"type":"input_json_delta","partial_json":"1}"}',
    '{"type":"new_delta","field":"more"}',
]
EVENTS = ['{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}', '{"type":"ping"}']
for index in (0, 1):
    place = f'"index":{index}'
    EVENTS += [f'{{"type":"content_block_start",{place},"content_block":{block}}}' for block in BLOCKS]
    EVENTS += [f'{{"type":"content_block_delta",{place},"delta":{delta}}}' for delta in DELTAS]
    EVENTS += [f'{{"type":"content_block_stop",{place}}}'] * 3
EVENTS += [
    f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":2}}}}'
    for reason in ("end_turn", "max_tokens", "tool_use", "odd")
]
EVENTS += ['{"type":"error","error":{"type":"overloaded_error"}}', *['{"type":"message_stop"}'] * 3]
WHOLE = '{"type":"message","content":[' + ",".join(BLOCKS) + '],"stop_reason":"tool_use"}'

WORDS = [f"event: x\ndata: {event}\n\n".encode() for event in EVENTS] + [b"\n", b"data:\r", WHOLE.encode()]

if __name__ == "__main__":
    main(Target(MessagesDecoder, WORDS), __doc__ or "")
