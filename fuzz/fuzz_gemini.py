"""Fuzz the decoder of Gemini, in all three of its framings; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_gemini.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.gemini.decode import GeminiDecoder

PARTS = [
    '{"text":"na\u00efve \U0001f419"}',
    '{"text":""}',
    '{"text":"a","thoughtSignature":"c2ln"}',
    '{"text":"hm","thought":true}',
    '{"text":"","thoughtSignature":"c2ln"}',
    '{"functionCall":{"name":"f","args":{"x":1}},"thoughtSignature":"c2ln"}',
    '{"functionCall":{"id":"a","name":"g"}}',
    '{"functionCall":{"name":"h","willContinue":true}}',
    '{"functionCall":{"willContinue":true,"partialArgs":[{"jsonPath":"$.a","stringValue":"b","willContinue":true}]}}',
    '{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"c"}]}}',
    '{"functionCall":{}}',
    '{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}',
    '{"inlineData":{"mimeType":"audio/L16;rate=24000","data":"QUJD"}}',
    '{"executableCode":{"code":"1"}}',
    '{"news":null}',
    "{}",
]
GROUNDING = (
    '"groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://x"}}],'
    '"groundingSupports":[{"segment":{"endIndex":1},"groundingChunkIndices":[0]}]}'
)
LOGPROBS = '"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-1}]}'
CANDIDATES = [f'{{"index":0,"content":{{"parts":[{part}]}}}}' for part in PARTS]
CANDIDATES += [f'{{"content":{{"parts":[{PARTS[0]},{part}]}},{GROUNDING}}}' for part in PARTS[:3]]
CANDIDATES += [f'{{"index":1,"content":{{"parts":[{part}]}},{LOGPROBS}}}' for part in PARTS[:6]]
CANDIDATES += [
    f'{{"finishReason":"{reason}"}}'
    for reason in ("STOP", "STOP", "MAX_TOKENS", "SAFETY", "ODD", "MALFORMED_FUNCTION_CALL")
]
SAME = '"responseId":"r","modelVersion":"m","usageMetadata":{"promptTokenCount":1}'
EVENTS = [f'{{"candidates":[{candidate}],{SAME}}}' for candidate in CANDIDATES]
EVENTS += [f'{{"candidates":[{candidate}]}}' for candidate in CANDIDATES[:3]]
EVENTS += ['{"promptFeedback":{"blockReason":"SAFETY"}}', '{"error":{"code":503,"status":"UNAVAILABLE"}}']

WORDS = [f"data: {event}\r\n\r\n".encode() for event in EVENTS] + [b"[", b"\n", b"]", b": ping\n"]
WORDS += [f"{event},".encode() for event in EVENTS[:4]] + [event.encode() for event in EVENTS[-12:]]

if __name__ == "__main__":
    main(Target(GeminiDecoder, WORDS), __doc__ or "")
