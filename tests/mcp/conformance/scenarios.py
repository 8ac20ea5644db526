"""What conforming means: the names of the scenarios of each revision, as the suite has frozen them.

A scenario runs at the revision under whose name it stands. What is scored is required; what is not scored
is run and told, and is an extension, or came to the suite later than the revision. `run.py` compares
these lists with the suite's own before it runs anything.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["REQUIRED", "REVISIONS", "UNSCORED", "Role"]

Role: TypeAlias = Literal["client", "server"]

REVISIONS = ("2025-11-25", "2026-07-28")

_AUTHORIZATION = """
    auth/metadata-default auth/metadata-var1 auth/metadata-var2 auth/metadata-var3 auth/basic-cimd
    auth/scope-from-www-authenticate auth/scope-from-scopes-supported auth/scope-omitted-when-undefined
    auth/scope-step-up auth/scope-retry-limit
    auth/token-endpoint-auth-basic auth/token-endpoint-auth-post auth/token-endpoint-auth-none
    auth/pre-registration
"""
_CONTENT = """
    completion-complete tools-list tools-call-simple-text tools-call-image tools-call-audio
    tools-call-embedded-resource tools-call-mixed-content tools-call-error tools-call-with-progress
    server-sse-multiple-streams
    resources-list resources-read-text resources-read-binary resources-templates-read
    prompts-list prompts-get-simple prompts-get-with-args prompts-get-embedded-resource
    prompts-get-with-image dns-rebinding-protection
"""
_EXTENSIONS = """
    auth/client-credentials-jwt auth/client-credentials-basic auth/enterprise-managed-authorization
    auth/dpop auth/dpop-nonce auth/wif-jwt-bearer
"""

REQUIRED: dict[tuple[Role, str], tuple[str, ...]] = {
    ("client", "2025-11-25"): tuple(
        f"initialize tools_call elicitation-sep1034-client-defaults sse-retry {_AUTHORIZATION}".split()
    ),
    ("client", "2026-07-28"): tuple(
        f"""
        tools_call request-metadata {_AUTHORIZATION}
        auth/resource-mismatch auth/offline-access-scope auth/offline-access-not-supported
        auth/authorization-server-migration
        auth/iss-supported auth/iss-not-advertised auth/iss-supported-missing auth/iss-wrong-issuer
        auth/iss-unexpected auth/iss-normalized auth/metadata-issuer-mismatch
        sep-2322-client-request-state http-standard-headers http-custom-headers http-invalid-tool-headers
        json-schema-ref-no-deref
        """.split()
    ),
    ("server", "2025-11-25"): tuple(
        f"""
        server-initialize logging-set-level ping {_CONTENT}
        tools-call-with-logging tools-call-sampling tools-call-elicitation
        elicitation-sep1034-defaults elicitation-sep1330-enums resources-subscribe resources-unsubscribe
        """.split()
    ),
    ("server", "2026-07-28"): tuple(
        f"""
        server-stateless {_CONTENT} sep-2164-resource-not-found caching
        input-required-result-basic-elicitation input-required-result-basic-sampling
        input-required-result-basic-list-roots input-required-result-request-state
        input-required-result-multiple-input-requests input-required-result-multi-round
        input-required-result-missing-input-response input-required-result-non-tool-request
        input-required-result-result-type input-required-result-unsupported-methods
        input-required-result-tampered-state input-required-result-capability-check
        input-required-result-ignore-extra-params input-required-result-validate-input
        """.split()
    ),
}

UNSCORED: dict[tuple[Role, str], tuple[str, ...]] = {
    ("client", "2025-11-25"): tuple(f"json-schema-2020-12-preservation {_EXTENSIONS}".split()),
    ("client", "2026-07-28"): tuple(f"json-schema-2020-12-preservation {_EXTENSIONS}".split()),
    ("server", "2025-11-25"): ("server-session-lifecycle", "json-schema-2020-12", "server-sse-polling"),
    ("server", "2026-07-28"): (
        "json-schema-2020-12",
        "http-header-validation",
        "http-custom-header-server-validation",
        "tasks-lifecycle",
        "tasks-capability-negotiation",
        "tasks-wire-fields",
        "tasks-request-state-removal",
        "tasks-mrtr-input",
        "tasks-request-headers",
        "tasks-dispatch-and-envelope",
        "tasks-status-notifications",
        "tasks-required-task-error",
        "tasks-mrtr-composition",
    ),
}
