"""R01-R04: which errors another try may cure, and what hint they carry."""

from __future__ import annotations

import pytest

from tako.errors import ProtocolError, ProviderError, RateLimited, TakoError
from tako.providers import Anthropic, OpenAI
from tako.providers.anthropic import BatchNotReady
from tako.providers.http import HttpProvider
from tako.testing import Answer
from tests.checklist.wires import asked, refused

PROVIDERS: tuple[HttpProvider, ...] = (Anthropic("m", "k"), OpenAI("m", "k"))

pytestmark = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)


def test_R01_a_refusal_is_retryable_by_its_status_and_hints_at_nothing(provider: HttpProvider) -> None:
    for status, retryable in (
        (400, False),
        (401, False),
        (404, False),
        (422, False),
        (500, True),
        (502, True),
    ):
        error = refused(provider, status)
        assert type(error) is ProviderError
        assert (error.status, error.retryable, error.retry_after) == (status, retryable, None)


def test_R02_overload_is_always_retryable_with_its_hint_or_none(provider: HttpProvider) -> None:
    for status in (503, 529):
        assert (refused(provider, status).retryable, refused(provider, status).retry_after) == (True, None)
        assert refused(provider, status, retry_after="7").retry_after == 7.0


def test_R03_a_rate_limit_is_always_retryable_with_its_hint(provider: HttpProvider) -> None:
    error = refused(provider, 429, retry_after="3")
    assert (type(error), error.retryable, error.retry_after) == (RateLimited, True, 3.0)
    assert RateLimited("slow down").retryable


def test_R04_what_another_try_cannot_cure_is_never_retryable(provider: HttpProvider) -> None:
    with pytest.raises(ProtocolError) as caught:
        asked(provider, Answer.json("<html>"))
    assert not caught.value.retryable
    assert not BatchNotReady("wait", status=400).retryable
    assert not TakoError("anything else").retryable
