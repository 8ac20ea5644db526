"""Fuzz the decoder of Ollama; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_ollama.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.ollama.decode import OllamaDecoder

MESSAGES = [
    '{"role":"assistant","content":"na\u00efve \U0001f419"}',
    '{"content":"","thinking":"hm"}',
    '{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]}',
    '{"tool_calls":[{"id":"a","function":{"index":0,"name":"g"}}]}',
    '{"images":["QUJD"]}',
    "{}",
]
SAME = '"model":"m","created_at":"2026-01-01T00:00:00Z"'
LOGPROBS = '"logprobs":[{"token":"a","logprob":-1,"top_logprobs":[{"token":"b","logprob":-2}]}]'
EVENTS = [f'{{{SAME},"message":{message},"done":false}}' for message in MESSAGES]
EVENTS += [f'{{{SAME},"message":{MESSAGES[0]},{LOGPROBS},"done":false}}']
EVENTS += [f'{{{SAME},"response":"a","thinking":"b"}}', '{"error":"no"}', '{"error":{"message":"m"}}']
EVENTS += [
    f'{{{SAME},"message":{MESSAGES[2]},"done":true,"done_reason":"{reason}","prompt_eval_count":1}}'
    for reason in ("stop", "length", "load", "odd")
] * 2

WORDS = [f"{event}\n".encode() for event in EVENTS] + [b"\r\n", b" "]

if __name__ == "__main__":
    main(Target(OllamaDecoder, WORDS), __doc__ or "")
