"""A synthetic set of tasks, made of templates by a seed, whose right role is not what the default rules say.

Roles: 0 writes programs, 1 calculates, 2 talks. The default rules look for backticks, words of programs and
the word "code", and for operators between numbers: here people show a snippet and want it explained,
calculate without an operator, paste a traceback, and ask for the dress code.
"""

from __future__ import annotations

from tako.chance import Chance
from tako.training import Rollout

WORDS = ("boxes", "tickets", "apples", "books", "tiles", "bottles", "stamps", "chairs", "shirts", "coins")
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hugo", "Iris", "Jan")
VERBS = ("load", "parse", "merge", "sort", "count", "split", "clean", "join", "read", "send")
PLACES = ("theatre", "office", "library", "museum", "school", "airport", "hotel", "club")

TRACEBACK = """\
Traceback (most recent call last):
  File "{verb}.py", line {a}, in main
  File "{word}.py", line {b}
KeyError: '{name}'

It fails at every start."""

TEMPLATES = (
    (0, "Write a function `{verb}_{word}` that takes a list of {word} and gives it back in order."),
    (0, "import {verb}\n\ndef {verb}_all({word}):\n    return None\n\nMake this faster, please."),
    (0, TRACEBACK),
    (1, "What is {a} + {b} * {c}?"),
    (1, "{name} has {a} {word}, gives {b} of them to {other} and buys {c} more. How many are there now?"),
    (1, "A {place} sells {a} {word} a day at {b} euros. What does it earn in {c} days?"),
    (1, "Verify that {a} {word} shared among {b} people leave {c} over."),
    (2, "Good morning! {name} went to the {place} with {other}. What should they look at first?"),
    (2, "Explain to {name} what `{verb}_{word}` is for, in words that a child understands."),
    (2, "What is the dress code of the {place}, and would {name} need a tie?"),
    (2, "Describe the {place} in the style of a letter from {name} to {other}"),
)


def tasks(count: int, seed: int, *, wrong_in: int = 0) -> list[Rollout]:
    """So many of them, with the right role as the label; one of `wrong_in` has another, as in real life."""
    chance = Chance(seed)

    def one_of(items: tuple[str, ...]) -> str:
        return items[chance.below(len(items))]

    found = []
    for _ in range(count):
        role, template = TEMPLATES[chance.below(len(TEMPLATES))]
        prompt = template.format(
            word=one_of(WORDS),
            name=one_of(NAMES),
            other=one_of(NAMES),
            verb=one_of(VERBS),
            place=one_of(PLACES),
            **{letter: str(2 + chance.below(900)) for letter in "abc"},
        )
        if chance.below(3) == 0:
            prompt += f" It is for {one_of(NAMES)}, who is in a hurry."
        if wrong_in and chance.below(wrong_in) == 0:
            role = (role + 1 + chance.below(2)) % 3
        found.append(Rollout.from_prompt(prompt, role))
    return found
