"""What every run begins with is read alike in all orchestrators, and refused alike."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.models import ImagePart, Message, Principal, Role, TextPart
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.conductor import Conductor
from tako.orchestrators.opening import Opening, system_of
from tako.orchestrators.self_caller import SelfCaller
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.trinity import Trinity
from tako.providers.fake import Fake
from tako.testing.simulator import Simulator
from tests.orchestrators.kit import call

PICTURE = ImagePart(mime="image/png", data_b64="aGk=")


def all_of_them(model: Fake) -> list[Orchestrator[Any]]:
    return [
        SingleAgent(model),
        Conductor(model, {"w": model}),
        Trinity({"w": model}, lambda task: 0),
        SelfCaller(model, lambda text: 1.0),
        AbMcts(model, lambda text: 1.0),
    ]


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        (7, {}, "prompt should be text or a list of Messages, not int"),
        (["hi"], {}, r"prompt\[0\] should be a Message, not str"),
        (b"hi", {}, "prompt should be text"),
        ("hi", {"history": [Message.user("a"), 7]}, r"history\[1\] should be a Message, not int"),
        ("hi", {"history": [Message.assistant([call("c", "x")])]}, "history"),
        ("hi", {"system": 7}, "system should be text or text parts, not int"),
        ("hi", {"system": [7]}, "system: "),
        ("hi", {"system": [PICTURE]}, "system should be text or text parts, not ImagePart"),
        ("hi", {"principal": "ann"}, "principal should be a tako.Principal, not str"),
        ("hi", {"principal": Principal(), "user_id": "ann"}, "pass principal, or tenant_id and user_id"),
        ("hi", {"tenant_id": 7}, "tenant_id"),
        ("hi", {"tenant_id": ""}, "tenant_id is empty"),
        ("hi", {"user_id": ""}, "user_id is empty"),
        ("hi", {"timeout": 0}, "timeout should be a positive number"),
        ("hi", {"timeout": True}, "timeout should be a positive number"),
        ("hi", {"timeout": float("nan")}, "timeout should be a positive number"),
    ],
)
def test_what_cannot_be_is_refused_by_all_before_a_model_is_paid(
    prompt: Any, options: dict[str, Any], words: str
) -> None:
    model = Fake()
    for orchestrator in all_of_them(model):
        with pytest.raises(InvalidInput, match=words):
            if "timeout" in options:
                orchestrator.run_sync(prompt, **options)
            else:
                Simulator().run(orchestrator, prompt, **options)
    assert model.call_count == 0


def test_the_task_is_what_the_user_says_and_the_media_are_the_prompts() -> None:
    before = [Message.user([TextPart(text="old"), PICTURE]), Message.assistant("hello")]
    prompt = [Message.user([TextPart(text="look"), PICTURE]), Message.assistant("at?"), Message.user("that")]
    opening = Opening.of(prompt, history=before, system="Be kind.", tenant_id="acme")
    assert opening.task == "look\nthat" and opening.media == (PICTURE,)
    assert opening.messages == (*before, *prompt)
    assert opening.system is not None and opening.system.text == "Be kind."
    assert (opening.principal.tenant_id, opening.principal.user_id) == ("acme", "anonymous")


def test_metadata_is_added_and_nothing_else_is_changed() -> None:
    owner = Principal(tenant_id="acme", metadata={"a": "1", "b": "2"})
    opening = Opening.of("hi", principal=owner)
    more = opening.with_metadata(b="3", c="4")
    assert more.principal.metadata == {"a": "1", "b": "3", "c": "4"}
    assert (more.principal.tenant_id, more.prompt) == ("acme", opening.prompt)
    assert owner.metadata == {"a": "1", "b": "2"}


def test_an_instruction_of_ours_stands_behind_what_the_caller_says() -> None:
    alone, both, parts = (
        system_of(None, "Plan."),
        system_of("Hi.", "Plan."),
        system_of([TextPart(text="Hi.")]),
    )
    assert alone is not None and both is not None and parts is not None
    assert (alone.text, both.text, parts.role) == ("Plan.", "Hi.\n\nPlan.", Role.SYSTEM)
    behind = system_of([TextPart(text="Hi.")], "Plan.")
    assert behind is not None and behind.content == (TextPart(text="Hi."), TextPart(text="Plan."))
    assert system_of(None) is None and system_of("") is None
