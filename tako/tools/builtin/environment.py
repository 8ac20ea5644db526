"""The environment that a command gets: the program's own, without its secrets and its traps.

| a variable                                                          | goes on to the command         |
|---------------------------------------------------------------------|--------------------------------|
| named in `keep`                                                     | yes, whatever it is            |
| makes a shell or the loader run code: BASH_ENV, LD_PRELOAD, ...     | no                             |
| an exported function of bash                                        | no                             |
| its value looks like a secret: a known key, PEM, a URL with a       | no                             |
| password, a JWT, `password=...`, 32 or more random characters       |                                |
| its name sounds like a secret: KEY, TOKEN, PASS, AUTH, ...          | no                             |
| any other                                                           | yes                            |

Doubt is resolved on the safe side: MONKEY is left out for its KEY, GIT_COMMIT for its forty random
characters, SSH_AUTH_SOCK because it signs for whoever holds it. What a command needs of these is named
in `keep`. A name without a hint and a value without a shape pass: nothing can tell them from harmless ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

__all__ = ["scrubbed"]

TRAPS = re.compile(
    r"BASH_ENV|ENV|BASH_FUNC_.*|BASH_XTRACEFD|BASHOPTS|SHELLOPTS|CDPATH|GLOBIGNORE|IFS|PS4|PROMPT_COMMAND"
    r"|LD_PRELOAD|LD_AUDIT|DYLD_.*|_",
    re.DOTALL,
)
"""What a shell or the loader runs, or what changes the meaning of every command. `_` is the last command."""

SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH(?!OR(?:_|$))|COOKIE|SESSION|PRIVATE|SIGNATURE|SIGNING|BEARER|JWT|LICEN[CS]E"
    r"|DSN|WEBHOOK|CONNECTION_?STR|CONN_STR|DATABASE_URL|ENCRYPT|CIPHER|(?:^|_)CREDS?(?:_|$)|(?:^|_)OTP(?:_|$)"
    r"|(?:^|_)P(?:IN|AT)(?:_|$)|(?:^|_)SALT(?:_|$)|_PWD(?:_|$)|^PWD_|PW(?:_|$)|VAULT|KUBECONFIG|NETRC|MNEMONIC"
    r"|SEED_PHRASE",
    re.IGNORECASE,
)

SECRET_VALUE = re.compile(
    r"\b(?:sk|rk|pk)[-_][A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, Stripe
    r"|\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}"  # AWS
    r"|\bgh[a-z]_[A-Za-z0-9]{16,}|github_pat_|\bglpat-|\bgl[a-z]{2,5}-[A-Za-z0-9_-]{16,}"
    r"|\bxox[a-z]-|\bxapp-|hooks\.slack\.com|\bAIza[0-9A-Za-z_-]{20,}|\bya29\."
    r"|\b(?:hf|npm|dop_v1|gsk|xai|pplx|r8|lin_api|tvly|nvapi|shpat|sq0atp|key)[_-][A-Za-z0-9_-]{16,}"
    r"|\b(?:whsec|sq[apu]|pscale_[a-z]+|dckr_pat)_[A-Za-z0-9_-]{8,}|\b(?:GOCSPX|NRAK|HRKU|tskey)-[A-Za-z0-9-]{8,}"
    r"|discord(?:app)?\.com/api/webhooks|\$(?:2[abxy]|[156y])\$[^\s$]"  # the latter is a password, hashed
    r"|\bpypi-[A-Za-z0-9_-]{16,}|\bSG\.[A-Za-z0-9_-]{8,}|\bAC[0-9a-f]{32}\b"
    r"|-----BEGIN |\beyJ[A-Za-z0-9_-]{8,}|\bAGE-SECRET-KEY-"
    r"|\b(?:Bearer|Basic)\s+\S"
    # `token=x`, `token: x` and `"token":"x"`, but not the colon of "/opt/monkey:/usr/bin"
    r"|(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|key_id|sig|signature|credential)(?:[\"']?\s*=|[\"']?:\s|[\"']:)\s*\S",
    re.IGNORECASE,
)

IN_FRONT_OF_A_HOST = re.compile(r"://[^/?#:]*+:|://[^/?#]{12,}+$|:thin:[^/:]++/")
"""A password, or a token alone, in what stands before the `@` of a URL; and Oracle's own way to write it."""

RANDOM_VALUE = re.compile(
    r"(?<![A-Za-z0-9+=_./~-])(?=[A-Za-z+=_-]*[0-9])(?=[0-9+=_-]*[A-Za-z])[A-Za-z0-9+=_-]{32,}(?![A-Za-z0-9+=_./-])"
    r"|^(?![./~])(?=.*[A-Za-z])(?=.*[0-9])[A-Za-z0-9+/=_-]{32,}\s*$"
)
"""Hexadecimal or base64: a word that is no part of a path, or with slashes too if there is nothing else."""

FUNCTION = "() {"
"""How exported functions begin, also in old versions of bash that took any name for them."""


def scrubbed(environ: Mapping[str, str], keep: Collection[str] = ()) -> dict[str, str]:
    """The variables that a command may see. Those named in `keep` are among them whatever they look like."""
    return {name: value for name, value in environ.items() if name in keep or _is_harmless(name, value)}


def _is_harmless(name: str, value: str) -> bool:
    if TRAPS.fullmatch(name) or value.startswith(FUNCTION) or SECRET_NAME.search(name):
        return False
    return not (SECRET_VALUE.search(value) or RANDOM_VALUE.search(value) or _logs_in(value))


def _logs_in(value: str) -> bool:
    """Whether it holds a URL with a password; by its `@`, for a search from each `://` would be quadratic."""
    for before in value.split("@")[:-1]:
        words = before.split()
        if words and not before[-1].isspace() and IN_FRONT_OF_A_HOST.search(words[-1]):
            return True
    return False
