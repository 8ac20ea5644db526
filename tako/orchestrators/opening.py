"""Opening: what a run begins with: the conversation so far, whose it is, and what it was told to be.

What every orchestrator takes is read here, once, and named alike in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    Part,
    Principal,
    Role,
    TextPart,
    VideoPart,
)
from tako.orchestrators.history import require_answered

__all__ = ["Opening", "messages_of", "principal_of", "system_of"]

MEDIA = (ImagePart, ImageUrlPart, DocumentPart, AudioPart, VideoPart)


@dataclass(frozen=True, slots=True)
class Opening:
    """`history` is what was there before, `prompt` what is to be answered now."""

    prompt: tuple[Message, ...]
    history: tuple[Message, ...] = ()
    system: Message | None = None
    principal: Principal = Principal()

    @classmethod
    def of(
        cls,
        prompt: object,
        *,
        history: Sequence[Message] = (),
        system: str | Iterable[Part] | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        principal: Principal | None = None,
    ) -> Opening:
        """Checked, before a model is paid; raises InvalidInput that names the argument."""
        said, before = messages_of(prompt), messages_of(history, "history")
        require_answered(before, said)
        owner = principal_of(principal, tenant_id, user_id)
        return cls(tuple(said), tuple(before), system_of(system), owner or Principal())

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation so far."""
        return (*self.history, *self.prompt)

    @property
    def task(self) -> str:
        """What is asked, as text: what a router, a verifier or a guard is told of it."""
        return "\n".join([message.text for message in self.prompt if message.role is Role.USER])

    @property
    def media(self) -> tuple[Part, ...]:
        """The pictures, documents and sounds of the prompt."""
        return tuple([part for message in self.prompt for part in message.content if isinstance(part, MEDIA)])

    def with_metadata(self, **entries: str) -> Opening:
        """The same on behalf of a principal who has these entries too."""
        metadata = {**self.principal.metadata, **entries}
        return replace(self, principal=self.principal.model_copy(update={"metadata": metadata}))


def messages_of(prompt: object, argument: str = "prompt") -> list[Message]:
    """The messages in a prompt or a history; raises InvalidInput naming the argument."""
    if isinstance(prompt, str):
        return [Message.user(prompt)]
    if type(prompt) is Message:
        return [prompt]
    if isinstance(prompt, Sequence) and not isinstance(prompt, bytes):
        for index, message in enumerate(prompt):
            if type(message) is not Message:
                raise InvalidInput(f"{argument}[{index}] should be a Message, not {type(message).__name__}")
        return list(cast("Sequence[Message]", prompt))
    raise InvalidInput(f"{argument} should be text or a list of Messages, not {type(prompt).__name__}")


def principal_of(principal: Principal | None, tenant_id: str | None, user_id: str | None) -> Principal | None:
    """On whose behalf the run is made; None if nobody said."""
    if principal is None and tenant_id is None and user_id is None:
        return None
    if principal is not None and not (tenant_id is None and user_id is None):
        raise InvalidInput("pass principal, or tenant_id and user_id, but not both")
    if principal is not None and not isinstance(principal, Principal):
        raise InvalidInput(f"principal should be a tako.Principal, not {type(principal).__name__}")
    if principal is not None:
        return principal
    for argument, value in (("tenant_id", tenant_id), ("user_id", user_id)):
        if value == "":
            raise InvalidInput(f"{argument} is empty; leave it out if nobody is known")
    return Principal(tenant_id=tenant_id or "anonymous", user_id=user_id or "anonymous")


def system_of(system: Any, instruction: str | None = None) -> Message | None:
    """The system message, with an instruction of ours behind it; raises InvalidInput."""
    if system is None or isinstance(system, str):
        text = "\n\n".join(filter(None, (system, instruction)))
        return Message.system(text) if text else None
    if not isinstance(system, Iterable):
        raise InvalidInput(f"system should be text or text parts, not {type(system).__name__}")
    try:
        message = Message.system(system)
    except InvalidInput as error:
        raise InvalidInput(f"system: {error.message}") from error
    for part in message.content:
        if type(part) is not TextPart:
            raise InvalidInput(f"system should be text or text parts, not {type(part).__name__}")
    return (
        Message.system((*message.content, *Message.system(instruction).content)) if instruction else message
    )
