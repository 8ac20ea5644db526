"""What a policy allows, in which words it says no, and that two of them never allow more than one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.tools.patterns import CallPattern
from tako.tools.policy import EVERYTHING, ToolPolicy

NAMES = ("read", "write", "bash")
PATTERNS = st.sampled_from(
    [
        "read",
        "write",
        "*",
        "bash",
        "bash(command=git *)",
        "bash(command=**rm**)",
        "write(path=src/*)",
        "b*(command=ls)",
    ]
)
LISTS = st.lists(PATTERNS, max_size=3)
CALLS = st.tuples(
    st.sampled_from(NAMES),
    st.dictionaries(
        st.sampled_from(["command", "path"]),
        st.sampled_from(["git log", "ls", "git x; rm y", "src/a", "src/../a"]),
    ),
)


class NotOnSunday(ToolPolicy):
    """Somebody's own rule, which never calls ToolPolicy.__init__."""

    def __init__(self, name: str) -> None:
        self.name = name

    def refusal(self, name: str, args: object) -> str | None:
        return f"tool {name!r} is not allowed by policy: it is Sunday" if name == self.name else None


POLICIES = st.builds(ToolPolicy, st.none() | LISTS, LISTS) | st.builds(NotOnSunday, st.sampled_from(NAMES))


def test_without_rules_everything_is_allowed() -> None:
    assert ToolPolicy.ALL is EVERYTHING
    assert EVERYTHING.refusal("any", {"a": 1}) is None
    assert EVERYTHING.can_be_called("any")


def test_a_denied_call_is_told_the_rule() -> None:
    policy = ToolPolicy(allow=["bash"], deny=["bash(command=rm *)"])
    assert policy.refusal("bash", {"command": "ls"}) is None
    assert policy.refusal("bash", {"command": "rm a; ls"}) == (
        "tool 'bash' is not allowed by policy: the rule 'bash(command=rm *)' denies this call"
    )


def test_a_call_that_is_not_on_the_list_is_told_the_list() -> None:
    policy = ToolPolicy(allow=["read", CallPattern("bash", command="git *")])
    assert policy.refusal("read", "whatever") is None
    assert policy.refusal("write", {}) == (
        "tool 'write' is not allowed by policy: it is not on the allow list (read, bash(command=git *))"
    )
    assert policy.refusal("bash", {"command": "git log; rm x"}) == (
        "tool 'bash' is not allowed by policy with these arguments: "
        "they are not on the allow list, which has bash(command=git *)"
    )


def test_an_empty_list_allows_nothing_and_a_long_one_is_told_in_part() -> None:
    assert "(which is empty)" in str(ToolPolicy(allow=[]).refusal("read", {}))
    words = str(ToolPolicy(allow=[f"t{index}" for index in range(25)]).refusal("read", {}))
    assert words.endswith("t18, t19, and 5 more)")


def test_which_tools_are_out_of_the_question() -> None:
    policy = ToolPolicy(
        allow=["read", "bash(command=git *)", "w*"], deny=["bash(command=**)", "write", "web={}"]
    )
    assert [policy.can_be_called(name) for name in ("read", "bash", "web", "write", "grep")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert not (ToolPolicy(["read"]) & ToolPolicy(["bash"])).can_be_called("read")
    assert (NotOnSunday("read") & ToolPolicy(["read"])).can_be_called("read")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"allow": "read"}, r"allow should be a list of patterns such as \['read', .*not 'read'"),
        ({"deny": CallPattern("read")}, "deny should be a list of patterns"),
        ({"allow": 3}, "allow should be a list of patterns .* not 3"),
        ({"deny": None}, "deny should be a list of patterns .* not None"),
        ({"allow": ["read", 3]}, r"allow\[1\]: a pattern should be text"),
        ({"deny": ["bash(rm *)"]}, r"deny\[0\]: pattern 'bash\(rm \*\)'"),
    ],
)
def test_a_wrong_rule_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        ToolPolicy(**arguments)


def test_an_intersection_keeps_each_policy_once_and_drops_those_without_rules() -> None:
    one, other = ToolPolicy(["read"]), NotOnSunday("read")
    assert EVERYTHING & one is one and one & EVERYTHING is one and one & one is one
    assert EVERYTHING & ToolPolicy() is EVERYTHING
    assert repr(one & other & one) == "ToolPolicy(allow=['read'], deny=[]) & NotOnSunday(allow=None, deny=[])"
    assert (one & other).refusal("read", {}) == "tool 'read' is not allowed by policy: it is Sunday"
    with pytest.raises(TypeError):
        one & "read"  # type: ignore[operator]


@given(POLICIES, POLICIES, POLICIES, CALLS)
def test_an_intersection_allows_what_all_allow(
    one: ToolPolicy, two: ToolPolicy, three: ToolPolicy, call: tuple[str, dict[str, str]]
) -> None:
    refused = [policy.refusal(*call) for policy in (one, two, three)]
    for both in ((one & two) & three, one & (two & three)):
        assert (both.refusal(*call) is None) == (refused == [None] * 3)
        assert both.refusal(*call) in (next((words for words in refused if words), None),)


@given(POLICIES, POLICIES, CALLS)
def test_what_is_allowed_can_be_called(
    one: ToolPolicy, two: ToolPolicy, call: tuple[str, dict[str, str]]
) -> None:
    for policy in (one, two, one & two):
        assert policy.can_be_called(call[0]) or policy.refusal(*call) is not None


@given(st.none() | LISTS, LISTS, PATTERNS, CALLS)
def test_a_further_denial_never_allows_more(
    allow: list[str] | None, deny: list[str], more: str, call: tuple[str, dict[str, str]]
) -> None:
    assert ToolPolicy(allow, deny).refusal(*call) is None or ToolPolicy(allow, [*deny, more]).refusal(*call)
