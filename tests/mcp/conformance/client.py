"""The client under test: `python -m tests.mcp.conformance.client ARM URL`, which the suite calls.

The suite serves, this program does what a user of tako would do, over the public API alone, and the suite
judges what it has seen on the wire. Which scenario it is, what for and at which revision stand in the
environment. What it does is written once, for all three arms (tests/mcp/arms.py).

| scenario                       | what the suite wants to see                                              |
|--------------------------------|--------------------------------------------------------------------------|
| initialize                     | a handshake with our name; odd answers to what follows do no harm        |
| tools_call                     | a call with two numbers                                                  |
| elicitation-*-client-defaults  | a form that is accepted empty comes back with the schema's defaults      |
| sse-retry                      | a stream that ends early is resumed after `retry` ms, by Last-Event-ID   |
| request-metadata               | revision and capabilities in each request; a refused one is replaced      |
| http-standard-headers          | Mcp-Method and Mcp-Name say what the body says                           |
| http-custom-headers            | arguments that the schema names are mirrored, coded where they must be   |
| http-invalid-tool-headers      | tools that name headers wrongly are left out, and only those             |
| json-schema-ref-no-deref       | a $ref over the network is never fetched                                 |
| json-schema-*-preservation     | a schema is handed over as it came                                       |
| sep-2322-client-request-state  | an answer is sent back with the state as it came, and with nothing else  |
| auth/iss-*, auth/*-mismatch    | no code and no token is sent where the issuer is not the one we know     |
| auth/scope-step-up             | after a 403: once more, with the scopes that were missing                |
| auth/scope-retry-limit         | and not for ever                                                         |
| auth/client-credentials-*      | a token without a person; likewise wif-jwt-bearer, enterprise-managed    |
| auth/*                         | discovery, registration, PKCE, resource, and a call that then succeeds   |

Where the suite allows a client to fail (iss-wrong-issuer, and its like) this one does, and says why.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tako.errors import TakoError
from tako.mcp import ClientCredentials, Elicitation, Host, Http, OAuth
from tako.mcp.auth import Credentials, EnterpriseManaged, WorkloadIdentity
from tests.mcp.arms import Session, Steps, run

CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""The only client metadata document that the suite knows."""


def call_first_tool(session: Session) -> Steps:
    tools = yield session.tools()
    if tools:
        yield session.call(tools[0].name, {"a": 5, "b": 3})


def list_tools(session: Session) -> Steps:
    yield session.tools()


def call_test_tool(session: Session) -> Steps:
    yield session.tools()
    yield session.call("test-tool", {})


def echo_a_schema(session: Session) -> Steps:
    tools = {tool.name: tool for tool in (yield session.tools())}
    yield session.call("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"].input_schema})


def touch_everything(session: Session) -> Steps:
    for tool in (yield session.tools()):
        yield session.call(tool.name, {})
    for resource in (yield session.resources()):
        yield session.read(resource.uri)
    for prompt in (yield session.prompts()):
        yield session.prompt(prompt.name)


def call_as_told(session: Session) -> Steps:
    yield session.tools()
    for call in CONTEXT["toolCalls"]:
        yield session.call(call["name"], call["arguments"])


def call_all_that_is_left(session: Session) -> Steps:
    for tool in (yield session.tools()):
        yield session.call(tool.name, dict.fromkeys(tool.input_schema["properties"], "here"))


def answer_what_is_asked(session: Session) -> Steps:
    yield session.tools()
    for name in ("echo_state", "unrelated", "no_state", "no_result_type"):
        yield session.call(f"test_mrtr_{name}", {})


def call_the_slow_one(session: Session) -> Steps:
    yield session.tools()
    yield session.call("test_reconnection", {})


def accept_with_defaults(session: Session) -> Steps:
    yield session.tools()
    yield session.call("test_client_elicitation_defaults", {})


STEPS: dict[str, Callable[[Session], Steps]] = {
    "initialize": list_tools,
    "tools_call": call_first_tool,
    "elicitation-sep1034-client-defaults": accept_with_defaults,
    "sse-retry": call_the_slow_one,
    "request-metadata": list_tools,
    "http-standard-headers": touch_everything,
    "http-custom-headers": call_as_told,
    "http-invalid-tool-headers": call_all_that_is_left,
    "json-schema-ref-no-deref": list_tools,
    "json-schema-2020-12-preservation": echo_a_schema,
    "sep-2322-client-request-state": answer_what_is_asked,
    "auth/client-credentials-basic": list_tools,
    "auth/client-credentials-jwt": list_tools,
}
"""What is not here is about authorization: any request will do."""


def elicitation(question: Elicitation) -> Mapping[str, object]:
    """A person who agrees to what is asked for, and leaves the rest as it is."""
    return {"confirmed": True} if "confirmed" in (question.schema or {}).get("properties", {}) else {}


def browser(url: str) -> str:
    """A person who is signed in and agrees at once: where the authorization server sends the browser."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        location = connection.getresponse().getheader("location")
    finally:
        connection.close()
    assert location, "the authorization server sent the browser nowhere"
    return location


def credentials(scenario: str) -> Credentials | None:
    """How the client of this scenario gets its token."""
    match scenario:
        case "auth/client-credentials-basic":
            return ClientCredentials(CONTEXT["client_id"], CONTEXT["client_secret"])
        case "auth/client-credentials-jwt":
            return ClientCredentials(
                CONTEXT["client_id"],
                private_key=CONTEXT["private_key_pem"],
                algorithm=CONTEXT["signing_algorithm"],
            )
        case "auth/enterprise-managed-authorization":
            return EnterpriseManaged(
                CONTEXT["client_id"],
                CONTEXT["client_secret"],
                id_token=CONTEXT["idp_id_token"],
                provider_token_endpoint=CONTEXT["idp_token_endpoint"],
                provider_client_id=CONTEXT["idp_client_id"],
            )
        case "auth/wif-jwt-bearer":
            return WorkloadIdentity(CONTEXT["client_id"], CONTEXT["valid_jwt"])
        case _ if scenario.startswith("auth/"):
            return OAuth(
                redirect=browser,
                redirect_uri="http://127.0.0.1:8765/callback",
                client_id=CONTEXT.get("client_id"),
                client_secret=CONTEXT.get("client_secret"),
                client_metadata_url=METADATA_URL,
            )
    return None


def server(scenario: str, url: str) -> Http:
    revision = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
    host = Host(elicitation=elicitation, roots=["file:///tmp"], sampling=lambda request: "Paris")
    return Http(url, era=revision, host=host, auth=credentials(scenario), timeout=20.0)


def main(arm: str, url: str) -> int:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    try:
        run(arm, server(scenario, url), STEPS.get(scenario, call_test_tool))
    except TakoError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
