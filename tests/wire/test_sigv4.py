"""AWS signatures against AWS's own suite and against botocore."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.wire.sigv4 import Credentials, canonical_request, sign

VECTORS = Path(__file__).parents[2].parent / "shared" / "corpus" / "vectors"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the recorded signatures are not beside this repository"
)

Headers = tuple[tuple[str, str], ...]

# AWS's documentation uses these everywhere; they open nothing.
EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOON = 1767268800.0
URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse"


def lines(name: str) -> list[dict[str, Any]]:
    with (VECTORS / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def parsed(request: str) -> tuple[str, str, Headers, bytes]:
    """Method, URL, headers and body of a request of the suite; a line that starts with a space is folded."""
    head, _, body = request.partition("\n\n")
    first, *rest = head.rstrip("\n").split("\n")
    method, target = first.removesuffix(" HTTP/1.1").split(" ", 1)
    headers: list[tuple[str, str]] = []
    for line in rest:
        if line.startswith(" "):
            name, value = headers.pop()
            headers.append((name, f"{value}\n{line}"))
        else:
            name, _, value = line.partition(":")
            headers.append((name, value))
    host = next(value for name, value in headers if name.lower() == "host")
    return method, f"https://{host}{target}", tuple(headers), body.encode()


def signed(vector: dict[str, Any], token: str | None) -> tuple[str, str]:
    """The canonical request and the Authorization header for a request of the suite."""
    context = vector["context"]
    method, url, headers, body = parsed(vector["request"])
    if context.get("sign_body"):
        headers = (*headers, ("x-amz-content-sha256", hashlib.sha256(body).hexdigest()))
    sent = sign(
        method,
        url,
        headers,
        body,
        credentials=Credentials(context["access_key_id"], context["secret_access_key"], token),
        region=context["region"],
        service=context["service"],
        moment=datetime.fromisoformat(context["timestamp"]).timestamp(),
    )
    canonical, _ = canonical_request(method, url, sent[:-1], body, service=context["service"])
    return canonical.decode(), dict(sent)["authorization"]


def suite() -> list[dict[str, Any]]:
    return lines("sigv4.suite.jsonl")


def is_unnormalised(vector: dict[str, Any]) -> bool:
    """S3's rule for paths, asked for a service that is not s3: botocore cannot be asked for it either."""
    return not vector["botocore_agrees"] and vector["context"].get("normalize") is False


def token_of(vector: dict[str, Any]) -> str | None:
    """The token to sign with. One case of the older edition has it in what it wants, and nowhere else."""
    context = vector["context"]
    if context.get("omit_session_token"):
        return None  # it is added behind the signature, which covers nothing of it
    _, _, token = vector["canonical_request"].partition("x-amz-security-token:")
    if token and "x-amz-security-token" not in vector["request"].lower():
        return token.partition("\n")[0]
    return context.get("session_token")


@needs_vectors
def test_the_suite() -> None:
    recorded = suite()
    assert len(recorded) == 72
    passed = 0
    for vector in recorded:
        if is_unnormalised(vector):
            continue
        canonical, authorization = signed(vector, token_of(vector))
        assert canonical == vector["canonical_request"], vector["name"]
        if "authorization" in vector:  # the older edition; the newer has the signature alone
            assert authorization == vector["authorization"], vector["name"]
        else:
            assert authorization.endswith(f", Signature={vector['signature']}"), vector["name"]
        passed += 1
    assert passed == 66


@needs_vectors
def test_the_cases_that_are_excepted() -> None:
    excepted = [vector for vector in suite() if is_unnormalised(vector)]
    assert len(excepted) == 6
    for vector in excepted:
        method, url, headers, body = parsed(vector["request"])
        wanted = vector["canonical_request"].split("\n")[1]
        as_s3, _ = canonical_request(method, url, headers, body, service="s3")
        otherwise, _ = canonical_request(method, url, headers, body, service="service")
        assert as_s3.decode().split("\n")[1] == wanted, vector["name"]
        assert otherwise.decode().split("\n")[1] != wanted, vector["name"]


@needs_vectors
def test_recorded_requests() -> None:
    recorded = lines("sigv4.bedrock.jsonl")
    assert len(recorded) == 11
    for vector in recorded:
        context = vector["context"]
        headers = tuple((name, value) for name, value in vector["headers"])
        sent = sign(
            vector["method"],
            vector["url"],
            headers,
            base64.b64decode(vector["body_b64"]),
            credentials=Credentials(
                context["access_key_id"], context["secret_access_key"], context["session_token"]
            ),
            region=context["region"],
            service=context["service"],
            moment=datetime.fromisoformat(context["timestamp"]).timestamp(),
        )
        added = {name.lower(): value for name, value in vector["added_headers"].items()}
        assert sent[: len(headers)] == headers
        assert dict(sent[len(headers) :]) == {**added, "authorization": vector["authorization"]}


def by_botocore(
    auth: SigV4Auth, method: str, url: str, query: list[tuple[str, str]], headers: Headers, body: bytes
) -> tuple[str, str]:
    """What `add_auth` does, but for its first step, which reads the clock."""
    request = AWSRequest(method=method, url=url, params=query, data=body)
    for name, value in headers:
        request.headers[name] = value
    request.context["timestamp"] = datetime.fromtimestamp(NOON, UTC).strftime("%Y%m%dT%H%M%SZ")
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    auth._inject_signature_to_request(
        request, auth.signature(auth.string_to_sign(request, canonical), request)
    )
    return canonical, request.headers["Authorization"]


SEGMENTS = st.one_of(
    st.sampled_from(["", ".", "..", "model", "a:b", "100%", "x y+z", "é☃", "~-_.", "!$&'()*,;=@", "%2F"]),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
SAFE = st.sampled_from(["~", "~:@!$&'()*+,;="])
PAIRS = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=4)
VALUES = st.one_of(
    st.sampled_from(["", "  a   b ", "a,b", "a\tb", "a\n  b", '"a  b"', "é"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=10),
)
NAMES = st.sampled_from(
    ["Content-Type", "Accept", "X-B", "x-b", "X-Amz-Target", "User-Agent", "Connection", "x-amz-date"]
    + ["Authorization", "X-Amz-Security-Token", "traceparent", "Content-Length", "x", "HOST"]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple)
HOSTS = st.sampled_from(["https://a.amazonaws.com", "https://A.b:443", "https://a:8443", "http://[::1]:80"])
TOKENS = st.one_of(st.none(), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))


@given(
    st.sampled_from(["GET", "POST", "put"]),
    HOSTS,
    st.lists(SEGMENTS, max_size=5),
    SAFE,
    PAIRS,
    HEADERS,
    st.binary(max_size=20),
    TOKENS,
    st.sampled_from(["bedrock", "s3"]),
)
def test_signs_as_botocore_does(
    method: str,
    host: str,
    segments: list[str],
    safe: str,
    query: list[tuple[str, str]],
    headers: Headers,
    body: bytes,
    token: str | None,
    service: str,
) -> None:
    if service == "s3":
        safe = "~"  # botocore signs for s3 what it has encoded itself, and so strictly
    url = host + "".join(f"/{quote(segment, safe=safe)}" for segment in segments)
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    keys = BotocoreCredentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, token)
    auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, "eu-central-1")
    sent = sign(
        method,
        f"{url}?{text}" if text else url,
        headers,
        body,
        credentials=Credentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, token),
        region="eu-central-1",
        service=service,
        moment=NOON,
    )
    # A path that is empty reaches a server as "/", which is what botocore's S3 requests always have.
    canonical, authorization = by_botocore(auth, method, url if segments else f"{url}/", query, headers, body)
    ours, _ = canonical_request(method, f"{url}?{text}", sent[:-1], body, service=service)
    assert ours.decode() == canonical
    assert sent[-1] == ("authorization", authorization)


def example(
    method: str = "POST",
    url: str = URL,
    headers: Headers = (),
    body: bytes = b"",
    credentials: Credentials = EXAMPLE,
    moment: float = NOON,
) -> Headers:
    return sign(
        method,
        url,
        headers,
        body,
        credentials=credentials,
        region="us-east-1",
        service="bedrock",
        moment=moment,
    )


def test_the_example_of_the_documentation() -> None:
    """The first case of AWS's suite, so that a clone without vectors has one."""
    sent = sign(
        "GET",
        "https://example.amazonaws.com/",
        (),
        b"",
        credentials=EXAMPLE,
        region="us-east-1",
        service="service",
        moment=datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp(),
    )
    assert dict(sent)["x-amz-date"] == "20150830T123600Z"
    assert dict(sent)["authorization"].endswith(
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def test_the_path_is_encoded_twice_but_for_s3() -> None:
    for service, path in (("bedrock", "/model/a%253A0/x"), ("s3", "/model/a%3A0/x")):
        canonical, _ = canonical_request("GET", "https://h/model/a%3A0/x", (), b"", service=service)
        assert canonical.decode().split("\n")[1] == path


def test_what_a_path_may_hold_as_it_is_is_encoded_for_the_signature() -> None:
    """A URL may carry a model id with its colon; the server signs %3A all the same."""
    canonical, _ = canonical_request("GET", "https://h/a:b@c/(d)~e;f=g", (), b"", service="bedrock")
    assert canonical.decode().split("\n")[1] == "/a%3Ab%40c/%28d%29~e%3Bf%3Dg"


def test_a_query_that_is_not_encoded_is() -> None:
    canonical, _ = canonical_request("GET", "https://h/?b&é=/ &a=2&a=%31", (), b"", service="bedrock")
    assert canonical.decode().split("\n")[2] == "%C3%A9=%2F%20&a=%31&a=2&b="


@given(HEADERS, st.binary(max_size=8), TOKENS)
def test_signing_again_replaces_the_signature(headers: Headers, body: bytes, token: str | None) -> None:
    credentials = Credentials("A", "s", token)
    once = example(headers=headers, body=body, credentials=credentials, moment=NOON - 100)
    again = example(headers=once, body=body, credentials=credentials)
    assert again == example(headers=headers, body=body, credentials=credentials)
    assert again != once


def test_each_part_of_the_request_is_covered() -> None:
    base = example(headers=(("x-a", "1"),), body=b"1")[-1]
    others = [
        example(headers=(("x-a", "2"),), body=b"1"),
        example(headers=(("x-b", "1"),), body=b"1"),
        example(headers=(("x-a", "1"),), body=b"2"),
        example("PUT", headers=(("x-a", "1"),), body=b"1"),
        example(url=f"{URL}?x", headers=(("x-a", "1"),), body=b"1"),
        example(url=URL.replace("3A0", "3A1"), headers=(("x-a", "1"),), body=b"1"),
        example(url=URL.replace("east", "west"), headers=(("x-a", "1"),), body=b"1"),
        example(headers=(("x-a", "1"),), body=b"1", moment=NOON + 1),
        example(headers=(("x-a", "1"),), body=b"1", credentials=Credentials("AKIDEXAMPLE", "other")),
        example(headers=(("x-a", "1"),), body=b"1", credentials=Credentials("AKIDEXAMPLE", "s", "token")),
    ]
    assert len({base, *(other[-1] for other in others)}) == len(others) + 1
    assert example(headers=(("x-a", "1"), ("User-Agent", "tako")), body=b"1")[-1] == base


def test_a_hash_that_is_given_stands_for_the_body() -> None:
    headers = (("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),)
    assert example(headers=headers, body=b"1")[-1] == example(headers=headers, body=b"2")[-1]


def test_a_token_of_the_callers_own_is_kept_unless_there_is_a_new_one() -> None:
    headers = (("X-Amz-Security-Token", "old"),)
    assert example(headers=headers)[0] == headers[0]
    sent = example(headers=headers, credentials=Credentials("A", "s", "new"))
    assert [value for name, value in sent if name.lower() == "x-amz-security-token"] == ["new"]


def test_secrets_are_not_shown() -> None:
    credentials = Credentials("AKID", "hush-secret", "hush-token")
    assert repr(credentials) == "Credentials(access_key_id='AKID')"
    assert "hush" not in f"{credentials} {credentials!r} {[credentials]}"
    assert pickle.loads(pickle.dumps(credentials)) == credentials
    assert "hush-secret" not in repr(example(credentials=credentials))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (("", "hush"), "access_key_id"),
        (("AKID", "hush\n"), "secret_access_key"),
        (("AKID", " hush"), "secret_access_key"),
        (("AKID", ""), "secret_access_key"),
        (("AKID", "hush", ""), "session_token"),
        (("AKID", "hush", "hush\r\nx: y"), "session_token"),
        (("AKID", "hüsh"), "secret_access_key"),
        (("AKID", None), "secret_access_key"),
        ((b"AKID", "hush"), "access_key_id"),
    ],
)
def test_what_cannot_be_a_key_is_refused(fields: tuple[Any, ...], name: str) -> None:
    with pytest.raises(InvalidInput, match=name) as caught:
        Credentials(*fields)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/model", ()),
        ("ftp://h/", ()),
        ("https:///x", ()),
        ("https://h:x/", ()),
        ("https://h/\ud800", ()),
        ("https://h/", (("x-a", "\ud800"),)),
    ],
)
def test_what_cannot_be_signed_is_refused(url: str, headers: Headers) -> None:
    with pytest.raises(InvalidInput):
        example(url=url, headers=headers)
