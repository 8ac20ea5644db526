"""Aws: regions, credentials of every kind, and signatures that AWS's own library makes as well."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from tako.effects import Call, Flow, HttpRequest, Now
from tako.errors import InvalidInput, ProviderError
from tako.providers.aws import Aws

NOON = 1767268800.0
STATIC = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalr+EXAMPLEKEY"}
VARIABLES = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "envEXAMPLEKEY"}
MESSAGE = HttpRequest(
    "POST",
    "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a.b-v1%3A0/converse",
    (("content-type", "application/json"), ("accept", "application/json")),
    b'{"messages":[]}',
)


def aws(environ: Mapping[str, str] | None = None, **arguments: Any) -> Aws:
    return Aws("Bedrock", **{"region": "eu-west-1", "environ": environ or {}, **arguments})


def driven(flow: Flow[HttpRequest]) -> tuple[HttpRequest, list[str]]:
    """The signed request, and the kinds of effects that it took."""
    effects: list[str] = []
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration as stop:
            return stop.value, effects
        effects.append(type(effect).__name__)
        reply = NOON if type(effect) is Now else None
        if type(effect) is Call:
            try:
                reply = effect.function()
            except Exception as error:
                flow.throw(error)


def authorization(signer: Aws) -> str:
    signed, _ = driven(signer.sign(MESSAGE))
    return dict(signed.headers)["authorization"]


@pytest.mark.parametrize(
    ("argument", "environ", "region"),
    [
        ("us-gov-west-1", {"AWS_REGION": "x"}, "us-gov-west-1"),
        (None, {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "x"}, "eu-west-1"),
        (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "ap-south-2"}, "ap-south-2"),
    ],
)
def test_where_the_region_comes_from(argument: str | None, environ: dict[str, str], region: str) -> None:
    assert aws({**environ, **VARIABLES}, region=argument).region == region


@pytest.mark.parametrize(
    "region", ["", "us east", "US-EAST-1", "us-east-1.evil.example", "a/b", "-a", "a" * 64, 7]
)
def test_a_region_that_cannot_be_one(region: Any) -> None:
    with pytest.raises(InvalidInput, match="region"):
        aws(region=region)
    with pytest.raises(InvalidInput, match="AWS_REGION"):
        aws(region=None)


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLETOKEN=="])
def test_a_signature_is_the_one_of_aws(token: str | None) -> None:
    signed, effects = driven(aws({}, **STATIC, session_token=token).sign(MESSAGE))
    assert effects == ["Now"]
    request = AWSRequest("POST", MESSAGE.url, dict(MESSAGE.headers), MESSAGE.body)
    request.context["timestamp"] = "20260101T120000Z"
    theirs = SigV4Auth(BotocoreCredentials(*STATIC.values(), token), "bedrock", "eu-west-1")
    request.headers["X-Amz-Date"] = "20260101T120000Z"
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = theirs.canonical_request(request)
    signature = theirs.signature(theirs.string_to_sign(request, canonical), request)
    headers = dict(signed.headers)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert headers.get("x-amz-security-token") == token
    assert (signed.url, signed.body, signed.method) == (MESSAGE.url, MESSAGE.body, "POST")


@pytest.mark.parametrize(
    ("arguments", "environ", "wanted"),
    [
        ({"api_key": "br-1"}, {"AWS_BEARER_TOKEN_BEDROCK": "x", **VARIABLES}, "Bearer br-1"),
        ({"api_key": "$ENV:MINE"}, {"MINE": "br-2"}, "Bearer br-2"),
        ({"api_key": lambda: "br-3"}, {}, "Bearer br-3"),
        (STATIC, {"AWS_BEARER_TOKEN_BEDROCK": "x", **VARIABLES}, "Credential=AKIDEXAMPLE/"),
        ({**STATIC, "access_key_id": "$ENV:MINE"}, {"MINE": "AKIDMINE"}, "Credential=AKIDMINE/"),
        ({}, {"AWS_BEARER_TOKEN_BEDROCK": "br-4", **VARIABLES}, "Bearer br-4"),
        ({}, VARIABLES, "Credential=AKIDENV/20260101/eu-west-1/bedrock/aws4_request"),
    ],
)
def test_which_credentials_are_used(arguments: dict[str, Any], environ: dict[str, str], wanted: str) -> None:
    assert wanted in authorization(aws(environ, **arguments))


def test_the_session_token_of_the_environment_goes_with_its_keys() -> None:
    signed, _ = driven(aws({**VARIABLES, "AWS_SESSION_TOKEN": "t=="}).sign(MESSAGE))
    assert dict(signed.headers)["x-amz-security-token"] == "t=="
    signed, _ = driven(aws({**VARIABLES, "AWS_SESSION_TOKEN": "t=="}, **STATIC).sign(MESSAGE))
    assert "x-amz-security-token" not in dict(signed.headers)


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        ({"access_key_id": "a"}, {}, "go together"),
        ({"session_token": "a"}, {}, "go together"),
        ({}, {"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_ACCESS_KEY_ID"),
        ({**STATIC, "secret_access_key": "a\nb"}, {}, "secret"),
        ({**STATIC, "access_key_id": 7}, {}, "access_key_id"),
        ({**STATIC, "access_key_id": ""}, {}, "access_key_id"),
        ({**STATIC, "api_key": "k"}, {}, "api_key and access_key_id"),
        ({**STATIC, "profile_name": "p"}, {}, "access_key_id and profile_name"),
        ({"profile_name": ""}, {}, "profile_name"),
        ({"api_key": ""}, {}, "api_key"),
        ({"api_key": "$ENV:MISSING"}, {}, "MISSING"),
    ],
)
def test_credentials_that_cannot_work(arguments: dict[str, Any], environ: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        aws(environ, **arguments)


def test_a_given_authorization_and_an_odd_service() -> None:
    given = HttpRequest("POST", MESSAGE.url, (("Authorization", "mine"),))
    assert driven(aws(VARIABLES).sign(given)) == (given, [])
    with pytest.raises(InvalidInput, match="service"):
        driven(aws(VARIABLES).sign(MESSAGE, service="bed/rock"))
    signed, _ = driven(aws(VARIABLES).sign(MESSAGE, service="sts"))
    assert "/sts/aws4_request" in dict(signed.headers)["authorization"]


def test_keys_are_in_no_repr() -> None:
    signer = aws(VARIABLES, api_key="br-secret")
    signed, _ = driven(signer.sign(MESSAGE))
    assert "br-secret" not in repr((signer, signed))
    assert "envEXAMPLEKEY" not in repr((aws(VARIABLES), driven(aws(VARIABLES).sign(MESSAGE))))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AWS's files in an empty folder, and nothing else from which credentials could come."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def test_profiles_are_read_by_botocore_within_a_call(home: Path) -> None:
    (home / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n"
        "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\naws_session_token = t\n"
    )
    signed, effects = driven(aws(profile_name="other").sign(MESSAGE))
    assert effects == ["Call", "Now"]
    assert "Credential=AKIDOTHER/" in dict(signed.headers)["authorization"]
    assert dict(signed.headers)["x-amz-security-token"] == "t"
    assert "Credential=AKIDDEFAULT/" in authorization(aws())
    # A profile that was asked for wins over variables that happen to be there.
    assert "AKIDOTHER" in authorization(aws(VARIABLES, profile_name="other"))


def test_no_credentials_anywhere(home: Path) -> None:
    with pytest.raises(InvalidInput, match="no AWS credentials were found"):
        authorization(aws())
    with pytest.raises(InvalidInput, match=r"profile_name.*nobody"):
        authorization(aws(profile_name="nobody"))


def test_credentials_that_expire_are_renewed_between_requests(home: Path) -> None:
    answer = home / "answer.json"
    (home / "config").write_text(f"[default]\ncredential_process = cat {answer}\n")

    def give(key: str) -> None:
        soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        fields = {"AccessKeyId": key, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": soon}
        answer.write_text(json.dumps({"Version": 1, **fields}))

    give("AKIDFIRST")
    signer = aws()
    assert "AKIDFIRST" in authorization(signer)
    give("AKIDSECOND")
    assert "AKIDSECOND" in authorization(signer)


def test_a_chain_that_fails_says_so(home: Path) -> None:
    (home / "config").write_text("[default]\ncredential_process = false\n")
    with pytest.raises(ProviderError, match="did not give credentials") as failure:
        authorization(aws())
    assert failure.value.code == "CredentialRetrievalError"


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(InvalidInput, match=r"tako-sansio\[bedrock\]"):
        authorization(aws())
