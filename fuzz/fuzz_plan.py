"""Fuzz what a coordinator says: a text leads to an answer, or to OutputInvalid, and to nothing else.

What is told of an answer while it comes is the answer, wherever the text is cut; and what a Conductor
gives back is valid input for its next run, however it ended.

`python fuzz/fuzz_plan.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.errors import OutputInvalid
from tako.events import AssistantText, StepStart
from tako.orchestrators.conductor import Conductor
from tako.orchestrators.conductor.answer_reader import AnswerReader
from tako.providers.fake import Fake
from tako.testing import Simulator, check_history

WORDS = ["{", "}", "[", "]", ",", ":", '"', "\\", "```json\n", "```", "\n", " ", "null", "true", "false", "1"]
WORDS += ['"thought":', '"dispatch":', '"workers":', '"halt":', '"final_answer":', '"join":', '"next_step":']
WORDS += [
    '{"worker":"one","task":"t"}',
    '{"worker":"nobody","task":"t","sees":[1]}',
    '"sees":"all"',
    '"first"',
]
WORDS += [
    '{"dispatch":[{"worker":"one","task":"t"}]}',
    '{"halt":true,"final_answer":"Yes \\u00e9\\n"}',
    '{"quorum":1}',
]
WORDS += ["Here is my plan: ", "\\ud83d", "\\ude00", "\\u0000", "\ud800", "\u2028", "é", '{"a":', "[" * 200]
WORKERS = {"one": Fake("done"), "two": Fake("done too")}


def check(text: str) -> None:
    check_reader(text)
    said = text.encode("utf-8", "replace").decode()
    conductor = Conductor(Fake(script=[said, '{"halt": true, "final_answer": "over"}']), WORKERS, max_steps=4)
    told = ""
    run = Simulator().stream(conductor, "go")
    try:
        for event in run:
            if type(event) is StepStart:
                told = ""
            elif type(event) is AssistantText:
                told += event.delta
        result: Any = run.result
        assert told == result.text or result.stop_reason == "max_steps", (text, told, result.text)
    except OutputInvalid as error:
        result = error.partial
    check_history(result.new_messages)


def check_reader(text: str) -> None:
    """The same answer for any cut."""
    whole, single = AnswerReader(), AnswerReader()
    once = whole.feed(text)
    assert once == "".join([single.feed(letter) for letter in text]), text
    assert whole.text == single.text, text


if __name__ == "__main__":
    main(Target(check, WORDS), __doc__ or "")
