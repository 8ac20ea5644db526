"""The `url_prefetch` options of vendors that do not fetch addresses themselves, as one UrlPolicy.

| option                         | of the UrlPolicy        |
|--------------------------------|-------------------------|
| url_prefetch_allow_http        | allow_http              |
| url_prefetch_allow_private_ips | allow_private_addresses |
| url_prefetch_allow_hosts       | allow_hosts             |
| url_prefetch_allow_cidrs       | allow_networks          |
| url_prefetch_timeout_secs      | timeout_secs            |
| url_prefetch_max_bytes         | max_bytes               |

Nothing is fetched unless `url_prefetch` itself says so: an option without it would be ignored, so
it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tako.errors import InvalidInput

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["prefetch_policy"]


def prefetch_policy(
    owner: str,
    url_prefetch: bool | UrlPolicy,
    *,
    allow_http: bool = False,
    allow_private_ips: bool = False,
    allow_hosts: Sequence[str] | None = None,
    allow_cidrs: Sequence[str] | None = None,
    timeout_secs: float | None = None,
    max_bytes: int | None = None,
) -> UrlPolicy | None:
    """What may be fetched, or None for nothing; what is None has UrlPolicy's default.

    Raises InvalidInput, which names the option, for one that makes no sense and for one that is
    given although `url_prefetch` is False or a UrlPolicy of its own.
    """
    options = {
        "allow_http": ("allow_http", allow_http, False),
        "allow_private_ips": ("allow_private_addresses", allow_private_ips, False),
        "allow_hosts": ("allow_hosts", allow_hosts, None),
        "allow_cidrs": ("allow_networks", allow_cidrs, None),
        "timeout_secs": ("timeout_secs", timeout_secs, None),
        "max_bytes": ("max_bytes", max_bytes, None),
    }
    given = {name: (field, value) for name, (field, value, unset) in options.items() if value is not unset}
    if url_prefetch is True:
        return _policy(owner, given)
    if given:
        reason = "is only for" if url_prefetch is False else "belongs into the UrlPolicy, or goes with"
        raise InvalidInput(f"{owner}: url_prefetch_{next(iter(given))} {reason} url_prefetch=True")
    return None if url_prefetch is False else _own_policy(owner, url_prefetch)


def _policy(owner: str, given: dict[str, tuple[str, Any]]) -> UrlPolicy:
    from tako.fetching import UrlPolicy  # few ask for it, and it brings a good deal

    for name, (field, value) in given.items():
        try:
            UrlPolicy(**{field: value})
        except InvalidInput as error:
            reason = error.message.removeprefix(f"UrlPolicy: {field}").removeprefix(":").strip()
            raise InvalidInput(f"{owner}: url_prefetch_{name}: {reason}") from None
    return UrlPolicy(**dict(given.values()))


def _own_policy(owner: str, policy: object) -> UrlPolicy:
    from tako.fetching import UrlPolicy

    if not isinstance(policy, UrlPolicy):
        raise InvalidInput(
            f"{owner}: url_prefetch should be True, False or a UrlPolicy, not {type(policy).__name__}"
        )
    return policy
