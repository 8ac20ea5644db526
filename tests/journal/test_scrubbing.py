"""Secrets are not written down, and what is no secret is."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import ProviderError
from tako.journal import Journal, JournalMismatch
from tako.journal.scrubbing import MARK, Scrubber
from tako.models import TextPart
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.openai import OpenAI
from tako.testing import Answer, ScriptedVendor
from tako.testing.simulator import Simulator
from tako.tools import tool
from tests.effort import examples
from tests.orchestrators.kit import Recorded, call, replied

KEY = "sk-" + "proj-" + "Ab3" * 10
BEFORE = ["password=", "api_key: ", "Bearer ", "x://a:", "@", " ", MARK, '"', "-", "sk-"]
SECRETS = [
    KEY,
    "AKIA" + "ABCDEFGH12345678",
    "AIza" + "Sy1" * 12,
    "ghp_" + "a1B2" * 9,
    "xoxb-" + "123456789012-abcdef",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n/+=\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ["{}", "is it {}?", "a: {}\n", "({})"])
def test_what_looks_like_a_secret_is_scrubbed_wherever_it_stands(secret: str, text: str) -> None:
    assert Scrubber()({"deep": [text.format(secret)]}) == {"deep": [text.format(MARK)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc123def456ghi", f"Authorization: Bearer {MARK}"),
        ("password=hunter22 and more", f"password={MARK} and more"),
        ('{"api_key": "1234567890"}', f'{{"api_key": "{MARK}"}}'),
        ("postgres://me:pa55word@host/db", f"postgres://me:{MARK}@host/db"),
        ("the password is long", "the password is long"),
        ("scikit: sk-learn-is-a-library-for-learning", "scikit: sk-learn-is-a-library-for-learning"),
        ("a task-force-of-many-people-1", "a task-force-of-many-people-1"),
        ("password: should be at least 8 long", "password: should be at least 8 long"),
        ("api_key = settings.API_KEY", "api_key = settings.API_KEY"),
        ("password=hash_sha256(given)", "password=hash_sha256(given)"),
        ("password: corr!ect-horse", f"password: {MARK}"),
        ("Bearer of bad news everybody", "Bearer of bad news everybody"),
        ("see https://host:8080/a@b", "see https://host:8080/a@b"),
    ],
)
def test_secrets_are_known_by_what_is_before_them(text: str, expected: str) -> None:
    assert Scrubber()(text) == expected


@pytest.mark.parametrize("piece", ["sk-", "eyJabcdefgh-", "password="])
def test_the_time_it_takes_is_linear_in_the_size(piece: str) -> None:
    """Each of these begins a search anew, and a search that went to the end would take seconds."""
    started = process_time()
    Scrubber()(piece * (60_000 // len(piece)))
    assert process_time() - started < 0.4


def test_fields_are_known_by_their_names() -> None:
    told = {"password": "x", "X-Api-Key": "y", "token": "Hello", "input_tokens": 3, "client_secret": None}
    assert Scrubber()(told) == {**told, "password": MARK, "X-Api-Key": MARK}


def test_what_is_opaque_is_searched_for_the_users_secrets_alone() -> None:
    told = {"replay": {"data": {"signature": KEY, "note": "open sesame"}}, "data_b64": KEY}
    assert Scrubber(["open sesame"])(told) == {
        "replay": {"data": {"signature": KEY, "note": MARK}},
        "data_b64": KEY,
    }


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [*SECRETS, "password=", "api_key: ", "Bearer ", "x://a:", "@", " ", MARK, '"', "-", "sk-"]
            ),
            st.text(max_size=12),
        ),
        max_size=8,
    ),
    st.sampled_from([(), ("sesame open", "sesame"), ("scrubbed x",)]),
)
@settings(max_examples=examples(1))
def test_scrubbing_what_was_scrubbed_changes_nothing(pieces: list[str], secrets: tuple[str, ...]) -> None:
    scrub = Scrubber(secrets)
    once = scrub("".join([*pieces, "sesame open"]))
    assert scrub(once) == once


def agent(*script: Any) -> tuple[SingleAgent[Any], Recorded, list[str]]:
    seen: list[str] = []

    @tool
    def send(text: str) -> str:
        seen.append(text)
        return f"sent {text}"

    model = Recorded(*script)
    return SingleAgent(model, tools=[send]), model, seen


def test_no_secret_is_in_the_file_and_the_run_goes_on_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = Journal(path, secrets=["open sesame"])
    first, _, _ = agent(
        replied(TextPart(text=f"the key is {KEY}, say open sesame"), call("1", "send", text="x")), "done"
    )
    first.run_sync(f"keep {KEY} and open sesame", journal=journal)
    data = path.read_text()
    assert KEY not in data
    assert "sesame" not in data
    again, model, _ = agent("?")
    result = again.run_sync(f"keep {KEY} and open sesame", journal=journal)
    assert result.text == "done"
    assert f"the key is {MARK}, say {MARK}" in result.new_messages[1].text
    assert not model.requests


def test_a_killed_run_goes_on_from_a_scrubbed_reply() -> None:
    script = [replied(TextPart(text=f"the key is {KEY}"), call("1", "send", text="x")), "done"]
    journal = Journal.memory()
    Simulator().run(agent(*script)[0], "go", journal=journal)
    left = Journal.memory(journal._store.lines[:3])
    rest, model, seen = agent("done")
    assert Simulator().run(rest, "go", journal=left).text == "done"
    assert len(model.requests) == 1
    assert not seen


@pytest.mark.parametrize(("key", "secrets"), [(KEY, ()), ("k" + "3yOfNoForm" * 2, ("k" + "3yOfNoForm" * 2,))])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_key_of_a_vendor_is_not_kept_although_it_is_echoed(
    key: str, secrets: tuple[str, ...], status: int
) -> None:
    message = {"role": "assistant", "content": f"your key is {key}"}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    refusal = {"error": {"message": f"Incorrect API key provided: {key}.", "code": key}}
    vendor = ScriptedVendor(Answer.json(json.dumps(answer if status == 200 else refusal), status))
    journal = Journal.memory(secrets=secrets)
    flow = SingleAgent(OpenAI("m", api_key=key)).flow("go", journal=journal)
    try:
        Simulator(vendor=vendor).run(flow)
    except ProviderError:
        assert status != 200
    assert vendor.requests[0].header("authorization") == f"Bearer {key}"
    kept = b"".join(journal._store.lines)
    assert key.encode() not in kept
    assert MARK.encode() in kept


def test_a_tool_is_not_called_with_what_was_scrubbed() -> None:
    """The call was kept without the secret, and killed before it was done: nobody knows it any more."""
    journal = Journal.memory()
    script = [replied(call("1", "send", text=KEY), finish_reason="tool_calls"), "done"]
    first, _, seen = agent(*script)
    Simulator().run(first, "go", journal=journal)
    assert seen == [KEY]
    left = Journal.memory(journal._store.lines[:2])
    rest, model, seen = agent("done")
    with pytest.raises(JournalMismatch, match="scrubbed"):
        Simulator().run(rest, "go", journal=left)
    assert not seen
    assert not model.requests
