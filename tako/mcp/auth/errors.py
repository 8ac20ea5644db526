"""AuthorizationError: a server, or the user, said no; or what they said must not be believed."""

from __future__ import annotations

from typing import Final

from tako.errors import TakoError

__all__ = ["REFUSED_CLIENT", "REFUSED_GRANT", "AuthorizationError"]

REFUSED_CLIENT: Final = "invalid_client"
"""The authorization server does not know this client (any more): RFC 6749, 5.2."""
REFUSED_GRANT: Final = "invalid_grant"
"""The code or the refresh token is used up, expired or revoked."""


class AuthorizationError(TakoError):
    """No token could be had.

    `code` is the `error` of OAuth ("access_denied", "invalid_grant", ...), or one of ours:

    | code                | what was wrong                                                       |
    |---------------------|----------------------------------------------------------------------|
    | resource_mismatch   | the metadata is of another resource than the one that was asked      |
    | issuer_mismatch     | metadata, or the redirect, name another issuer than was expected     |
    | state_mismatch      | the redirect answers another request than ours                       |
    | unsupported_server  | the authorization server lacks what is needed (PKCE, an endpoint)    |
    | registration_needed | it registers nobody by itself, and no client_id was given            |
    """
