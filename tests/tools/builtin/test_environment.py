"""The scrubbed environment: no secret that can be told from its name or its shape reaches a command."""

from __future__ import annotations

import os
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.tools.builtin.environment import scrubbed
from tests.effort import examples
from tests.tools.builtin.bash_kit import result_of

WORDS = (
    "KEY", "TOKEN", "SECRET", "PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "AUTH",
    "COOKIE", "SESSION", "BEARER", "JWT", "DSN", "WEBHOOK",
)  # fmt: skip
letters = st.text(string.ascii_uppercase, max_size=6)
words = st.sampled_from(WORDS)


@st.composite
def secret_names(draw: st.DrawFn) -> str:
    """A name with a word of the trade in it, in any case, joined to others in any way."""
    joint = st.sampled_from(("_", "", "__", "2"))
    name = draw(letters) + draw(joint) + draw(words) + draw(joint) + draw(letters)
    return draw(st.sampled_from((name, name.lower(), name.title()))).lstrip("0123456789")


def tokens(alphabet: str, size: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=size, max_size=size + 8)


ALNUM = string.ascii_letters + string.digits
# Each is put together as its vendor documents it, not as the code under test looks for it.
KEYS = st.one_of(
    tokens(ALNUM, 40).map(lambda t: f"sk-proj-{t}"),
    tokens(ALNUM, 40).map(lambda t: f"sk-ant-api03-{t}"),
    tokens(ALNUM, 24).map(lambda t: f"sk_live_{t}"),
    st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map(lambda t: f"AKIA{t}"),
    st.text(ALNUM, min_size=36, max_size=36).flatmap(
        lambda t: st.sampled_from(("ghp_", "gho_", "ghs_")).map(lambda kind: kind + t)
    ),
    tokens(ALNUM, 60).map(lambda t: f"github_pat_{t}"),
    tokens(ALNUM, 20).map(lambda t: f"glpat-{t}"),
    tokens(string.digits, 12).map(lambda t: f"xoxb-{t}-{t}"),
    st.text(ALNUM, min_size=35, max_size=35).map(lambda t: f"AIza{t}"),
    tokens(ALNUM, 30).map(lambda t: f"hf_{t}"),
    tokens("abcdef0123456789", 62).map(lambda t: f"a1{t}"),
    tokens(ALNUM, 20).map(lambda t: f"eyJ{t}.eyJ{t}.{t}"),
    tokens(ALNUM, 50).map(lambda t: f"-----BEGIN PRIVATE KEY-----\n{t}\n-----END PRIVATE KEY-----"),
    tokens(ALNUM, 3).map(lambda t: f"postgres://user:{t}@host/db"),
    tokens(ALNUM, 3).map(lambda t: f"redis://:{t}@host"),
    tokens(ALNUM, 20).map(lambda t: f"https://{t}@git.test/repository"),
    tokens(ALNUM, 8).map(lambda t: f"jdbc:oracle:thin:scott/{t}@//db:1521/x"),
    tokens(ALNUM, 20).map(lambda t: f"whsec_{t}"),
    tokens(ALNUM, 27).map(lambda t: f"dckr_pat_{t}"),
    tokens(ALNUM, 28).map(lambda t: f"GOCSPX-{t}"),
    tokens(ALNUM, 18).map(lambda t: f"https://discord.com/api/webhooks/123/{t}"),
    tokens(ALNUM, 22).map(lambda t: "$6$salt$" + t),
    tokens(ALNUM, 64).map(lambda t: f"https://bucket.test/x?X-Amz-Signature={t}"),
    tokens(ALNUM, 8).map(lambda t: f'{{"type": "service_account", "private_key_id": "{t}"}}'),
    tokens(ALNUM, 8).map(lambda t: f"Server=db;Password={t};"),
    tokens(ALNUM, 8).map(lambda t: f'{{"user": "me", "token": "{t}"}}'),
    tokens(ALNUM, 8).map(lambda t: f"Authorization: Bearer {t}"),
)
around = st.sampled_from(("{}", "x {}", '"{}"', "{};y", "a={}"))
secret_values = st.builds(lambda frame, key: frame.format(key), around, KEYS)
plain_names = st.text(string.ascii_uppercase, min_size=1, max_size=3).map(lambda name: f"MY_{name}")

HARMLESS = {
    "PATH": "/opt/monkey:/usr/local/bin:/usr/bin",
    "HOME": "/home/somebody",
    "LANG": "en_US.UTF-8",
    "LC_ALL": "C.UTF-8",
    "VIRTUAL_ENV": "/home/somebody/work/venv-3.11-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "JAVA_HOME": "/usr/lib/jvm/java-17-openjdk-amd64-and-a-rather-long-tail",
    "CARGO_BUILD_TARGET": "x86_64-unknown-linux-gnu",
    "CFLAGS": "-O2 -g -DNDEBUG=1",
    "CI": "true",
    "GIT_AUTHOR_NAME": "Somebody",
    "HTTPS_PROXY": "http://proxy.test:3128",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "PYTHONPATH": "src:tests",
    "EMPTY": "",
    "NOTE": "see http://host.test:80/ @home, git@host.test:a/b, https://host.test/@home",
}


@given(name=secret_names(), value=st.text(max_size=8))
def test_a_name_that_sounds_like_a_secret_is_left_out(name: str, value: str) -> None:
    assert scrubbed({name: value, **HARMLESS}) == HARMLESS


@given(name=plain_names | st.sampled_from(("PATH", "HOME", "LANG")), value=secret_values)
def test_a_value_that_looks_like_a_secret_is_left_out_whatever_its_name(name: str, value: str) -> None:
    assert name not in scrubbed({name: value})


@given(name=secret_names(), value=secret_values)
def test_what_is_named_is_kept_and_nothing_else(name: str, value: str) -> None:
    other = f"{name}_2"
    assert scrubbed({name: value, other: value, **HARMLESS}, (name,)) == {name: value, **HARMLESS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASH_ENV", "/tmp/run-me"),
        ("ENV", "/tmp/run-me"),
        ("LD_PRELOAD", "/tmp/me.so"),
        ("DYLD_INSERT_LIBRARIES", "/tmp/me.dylib"),
        ("PROMPT_COMMAND", "run me"),
        ("PS4", "$(run me)"),
        ("SHELLOPTS", "xtrace"),
        ("BASH_FUNC_ls%%", "() { run me; }"),
        ("FUNCTION", "() { run me; }"),
        ("SSH_AUTH_SOCK", "/tmp/agent.1"),
        ("PGPASSWORD", "x"),
        ("MYSQL_PWD", "x"),
        ("AUTHORIZATION", "x"),
        ("AZURE_STORAGE_CONNECTION_STRING", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("KUBECONFIG", "/home/somebody/.kube/config"),
        ("DB_PW", "x"),
        ("LDAP_BINDPW", "x"),
        ("GITHUB_PAT", "x"),
        ("NETRC", "/home/somebody/.netrc"),
        ("WALLET_MNEMONIC", "legal winner thank year"),
        ("GIT_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
        ("OPTIONS", "--with 0123456789abcdef0123456789abcdef01234567"),
        ("SEED", "qL9/aB3+dE5fG7hJ/kM1nP2rS4tU6vW8xY0zA1b=="),
    ],
)
def test_traps_and_well_known_secrets_are_left_out(name: str, value: str) -> None:
    assert scrubbed({name: value, **HARMLESS}) == HARMLESS


@settings(max_examples=examples(0.3))
@given(
    st.dictionaries(secret_names(), st.just("planted value"), min_size=1, max_size=20),
    st.dictionaries(plain_names, secret_values, min_size=1, max_size=20),
)
def test_no_planted_secret_reaches_a_command(by_name: dict[str, str], by_value: dict[str, str]) -> None:
    planted = {**by_name, **by_value}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in planted.items():
            patch.setenv(name, value)
        patch.setenv("HARMLESS", "here")
        seen = dict(line.split("=", 1) for line in result_of("env").splitlines() if "=" in line)
        assert seen["HARMLESS"] == "here"
        assert planted.keys() & seen.keys() == set()
        assert "planted value" not in seen.values()
        kept = min(planted)
        assert result_of(f"printenv {kept}", keep=(kept,)).rstrip("\n") == planted[kept]


@pytest.mark.parametrize("piece", ["://a", "://a:", "a1 ", "pass  ", "-eyJ"])
def test_a_value_costs_by_its_length(piece: str) -> None:
    """As long as a variable can be; of the first, the square took half a minute."""
    began = time.monotonic()
    scrubbed({"X": piece * (130_000 // len(piece))})
    assert time.monotonic() - began < 5


def test_code_in_the_environment_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASH_ENV", "/dev/stdin")
    monkeypatch.setenv("BASH_FUNC_echo%%", "() { builtin echo trapped; }")
    monkeypatch.setenv("SHELLOPTS", "xtrace")
    assert result_of("echo fine") == "fine\n"


def test_a_whole_environment_can_be_given() -> None:
    given = {"PATH": os.environ["PATH"], "API_KEY": "sk-aaaaaaaaaaaaaaaaaaaa"}
    lines = result_of("env", environ=given).splitlines()
    names = {line.split("=", 1)[0] for line in lines}
    # What the shell itself and the tool set.
    assert names - {"PWD", "SHLVL", "_", "TAKO_COMMAND"} == {"PATH", "API_KEY"}
