"""Several roles in one conversation, and a router that says at each step who speaks.

    python -m examples.trinity

The models are a few lines of Python, so this needs no key; `tako.provider("openai:gpt-5")` may stand there.

| here                | is                                                                                 |
|---------------------|------------------------------------------------------------------------------------|
| in three roles      | those of the paper: a thinker advises, a worker answers, a verifier accepts the    |
|                     | answer or says what is wrong with it; they take turns                              |
| routed              | two workers, and a router that knows from the question whose it is                 |
| judged              | a verifier with a number instead of a role: what gets too little is done again     |
"""

from __future__ import annotations

from tako import ChatRequest, Message
from tako.events import AssistantText, OrchEvent, RoleChosen, SubAgentEvent, VerifierScore
from tako.orchestrators.trinity import Role, Trinity
from tako.providers import Fake
from tako.routers import RegexRouter

__all__ = ["answer_in_three_roles", "answer_judged", "answer_routed", "main"]

QUESTION = "How many legs do three octopuses and two crabs have?"


def thinker(request: ChatRequest) -> str:
    return "Count for each animal first: an octopus has 8 arms and no legs at all, a crab has 10 legs."


def worker(request: ChatRequest) -> str:
    was_criticised = any("REVISE" in message.text for message in request.messages)
    return "20 legs: the octopuses have arms." if was_criticised else "3 * 8 + 2 * 10 = 44 legs."


def verifier(request: ChatRequest) -> str:
    answer = _answers(request)[-1]
    return "ACCEPT" if answer.startswith("20") else "REVISE\nThe arms of an octopus are not legs."


def _answers(request: ChatRequest) -> list[str]:
    return [
        message.text for message in request.messages if " legs" in message.text and message.text[0].isdigit()
    ]


def told(event: OrchEvent) -> str:
    """What is worth a line on the screen."""
    match event:
        case RoleChosen(step, role):
            return f"\n{step}. {role}: "
        case AssistantText(_, text) | SubAgentEvent(_, AssistantText(_, text)):
            return text.replace("\n", " ")
        case VerifierScore(_, _, score, False, reason):
            return f"  [{score:.2f}: {reason}]"
    return ""


def play(trinity: Trinity, prompt: str | Message) -> str:
    """Show the run as it goes, and give its answer."""
    with trinity.stream_sync(prompt) as events:
        for event in events:
            print(told(event), end="", flush=True)
    result = events.result
    print(f"\n-> {result.text} ({result.stop_reason} after {result.steps} steps)")
    return result.text


def answer_in_three_roles() -> str:
    models = {
        "thinker": Fake(script=thinker, id="fake:thinker"),
        "worker": Fake(script=worker, id="fake:worker"),
        "verifier": Fake(script=verifier, id="fake:verifier"),
    }
    return play(Trinity.classic(models), QUESTION)


def answer_routed() -> str:
    roles = {
        "sums": Role(Fake("It is 20."), "Calculate, and give the number alone."),
        "words": Role(Fake("An octopus is a mollusc with eight arms."), "Explain it to a child."),
    }
    router = RegexRouter([(r"[Hh]ow many|\d", "sums")], default="words")
    play(Trinity(roles, router), QUESTION)
    return play(Trinity(roles, router), "What is an octopus?")


def answer_judged() -> str:
    def shows_its_work(text: str) -> tuple[float, str]:
        return (0.9, "it can be followed") if "=" in text else (0.2, "show how you got there")

    writer = Fake(script=["20.", "2 * 10 = 20, because octopuses have no legs."])
    trinity = Trinity({"writer": writer}, lambda task: "writer", verifier=shows_its_work, min_confidence=0.7)
    return play(trinity, QUESTION)


def main() -> None:
    for show in (answer_in_three_roles, answer_routed, answer_judged):
        print(f"\n# {show.__name__.replace('_', ' ')}")
        show()


if __name__ == "__main__":
    main()
