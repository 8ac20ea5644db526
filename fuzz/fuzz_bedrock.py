"""Fuzz the decoder of Converse; see fuzz/decoding.py for what is checked.

`python fuzz/fuzz_bedrock.py --runs 10000 --seed 1` is a plain loop of random inputs. An input
is lines, which are framed with right checksums, or a fuzzer would never get past those.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.decoding import Target, main
from tako.providers.bedrock.decode import ConverseDecoder
from tako.wire.eventstream import encode_frame

STARTS = ['{"toolUse":{"toolUseId":"a","name":"f"}}', '{"toolUse":{"toolUseId":"s","name":"n","type":"x"}}']
STARTS += ['{"toolResult":{"toolUseId":"s"}}', '{"image":{"format":"png"}}', '{"new":{}}']
DELTAS = [
    '{"text":"na\u00efve \U0001f419"}',
    '{"toolUse":{"input":"{\\"x\\":"}}',
    '{"toolUse":{"input":"1}"}}',
    '{"reasoningContent":{"text":"hm"}}',
    '{"reasoningContent":{"signature":"s"}}',
    '{"reasoningContent":{"redactedContent":"QUJD"}}',
    '{"citation":{"title":"t","location":{"web":{"url":"https://x"}}}}',
    '{"toolResult":[{"text":"r"}]}',
    '{"image":{"source":{"bytes":"QUJD"}}}',
    '{"new":1}',
]
LINES = ['messageStart {"role":"assistant"}', "new {}", *['metadata {"usage":{"inputTokens":1}}'] * 4]
for index in (0, 1):
    place = f'"contentBlockIndex":{index}'
    LINES += [f'contentBlockStart {{{place},"start":{start}}}' for start in STARTS]
    LINES += [f'contentBlockDelta {{{place},"delta":{delta}}}' for delta in DELTAS]
    LINES += [f"contentBlockStop {{{place}}}"] * 4
LINES += [
    f'messageStop {{"stopReason":"{reason}"}}'
    for reason in ("end_turn", "end_turn", "tool_use", "max_tokens", "malformed_tool_use", "odd")
]
LINES += ['!throttlingException {"message":"m"}']
WHOLE = '{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"name":"f"}}]}},"stopReason":"tool_use"}'


def framed(lines: bytes) -> bytes:
    """Each line as a frame: its first word is the type, or after a mark of exclamation an exception's."""
    frames = []
    for line in lines.split(b"\n"):
        name, _, payload = line.partition(b" ")
        kind = "exception" if name.startswith(b"!") else "event"
        word = name.removeprefix(b"!").decode("latin-1")
        frames.append(encode_frame({":message-type": kind, f":{kind}-type": word}, payload))
    return b"".join(frames)


WORDS = [f"{line}\n".encode() for line in LINES] + [WHOLE.encode()]

if __name__ == "__main__":
    main(Target(ConverseDecoder, WORDS, framed), __doc__ or "")
