"""Fuzz the decoder of Mistral; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_mistral.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.mistral.decode import MistralDecoder

BLOCKS = [
    '{"type":"text","text":"na\u00efve \U0001f419"}',
    '{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}',
    '{"type":"thinking","thinking":[{"type":"reference","reference_ids":[1]}],"signature":"s","closed":true}',
    '{"type":"thinking","thinking":"hm"}',
    '{"type":"reference","reference_ids":[0,"a"]}',
    '{"type":"image_url","image_url":"https://x"}',
    '{"type":"new","field":null}',
]
CALL = '{"id":"a","function":{"name":"f","arguments":"{\\"x\\":1}"},"index":0}'
DELTAS = [f'{{"content":[{block}]}}' for block in BLOCKS]
DELTAS += [f'{{"content":[{BLOCKS[0]},{block}]}}' for block in BLOCKS]
DELTAS += ['{"role":"assistant","content":""}', '{"content":"a"}', "{}", f'{{"tool_calls":[{CALL}]}}']
EVENTS = [f'{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}' for delta in DELTAS]
EVENTS += [
    f'{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}],"usage":{{"prompt_tokens":1}}}}'
    for reason in ("stop", "length", "model_length", "tool_calls", "error", "odd")
]
EVENTS += ['{"object":"error","message":{"detail":[{"loc":["a"],"msg":"m"}]},"raw_status_code":429}']
EVENTS += ["[DONE]"] * 4
WHOLE = f'{{"choices":[{{"message":{{"content":[{",".join(BLOCKS)}],"tool_calls":[{CALL}]}}}}]}}'

WORDS = [f"data: {event}\n\n".encode() for event in EVENTS] + [b"\n", b"data: [DONE]", WHOLE.encode()]

if __name__ == "__main__":
    main(Target(MistralDecoder, WORDS), __doc__ or "")
