"""Authorization for MCP over HTTP, as flows: OAuth 2.1 as the revisions from 2025-03-26 on have it.

| a program                             | uses                                     |
|---------------------------------------|------------------------------------------|
| somebody sits in front of             | OAuth                                    |
| has a secret or a key of its own      | ClientCredentials                        |
| has its platform vouch for it         | WorkloadIdentity                         |
| has a company that vouches for a user | EnterpriseManaged                        |

Their tokens are kept in a MemoryTokens, a FileTokens, or any other TokenStorage. What a transport needs of
them is `authorizer(url)`: see Authorizer.
"""

from __future__ import annotations

from tako.mcp.auth.authorizer import Authorizer, Credentials
from tako.mcp.auth.errors import AuthorizationError
from tako.mcp.auth.machines import ClientCredentials, EnterpriseManaged, WorkloadIdentity
from tako.mcp.auth.oauth import OAuth
from tako.mcp.auth.token_file import FileTokens
from tako.mcp.auth.tokens import MemoryTokens, TokenStorage

__all__ = [
    "AuthorizationError",
    "Authorizer",
    "ClientCredentials",
    "Credentials",
    "EnterpriseManaged",
    "FileTokens",
    "MemoryTokens",
    "OAuth",
    "TokenStorage",
    "WorkloadIdentity",
]
