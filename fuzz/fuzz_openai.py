"""Fuzz the decoder of OpenAI's chat completions; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_openai.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.chat_completions.decode import ChatDecoder

DELTAS = [
    '{"role":"assistant","content":""}',
    '{"content":"na\u00efve \U0001f419"}',
    '{"content":null,"refusal":"no"}',
    '{"reasoning_content":"hm"}',
    '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}',
    '{"tool_calls":[{"index":0,"function":{"arguments":"{\\"x\\":1}"}}]}',
    '{"tool_calls":[{"index":1,"id":"a","function":{"name":"g","arguments":null}}]}',
    '{"tool_calls":[{"id":"b","type":"custom","custom":{"name":"h","input":"4"}}]}',
    '{"function_call":{"name":"f","arguments":"{}"}}',
    '{"audio":{"id":"u","data":"QUJD"}}',
    "{}",
]
EVENTS = [f'{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}' for delta in DELTAS]
EVENTS += [
    f'{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}'
    for reason in ("stop", "length", "tool_calls", "odd")
]
EVENTS += [
    '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    '{"error":{"message":"m"}}',
    "[DONE]",
]
WHOLE = '{"choices":[{"message":{"content":"a","tool_calls":[{"id":"a","function":{"name":"f"}}]}}]}'

WORDS = [f"data: {event}\n\n".encode() for event in EVENTS] + [b"\n", b": ping\r\n", b"data:", WHOLE.encode()]

if __name__ == "__main__":
    main(Target(ChatDecoder, WORDS), __doc__ or "")
