"""Fuzz the environment of commands: any variables are let through or left out, and no value takes long.

Nothing may be raised. Each variable is judged by itself, and what is to be kept is.

`python fuzz/fuzz_environment.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.tools.builtin.environment import scrubbed

LONG = 40_000

WORDS = ["PATH", "HOME", "API_KEY", "TOKEN", "BASH_FUNC_x%%", "LD_PRELOAD", "AUTHOR_", "_PWD", "=", "\n"]
WORDS += ["\0", "é", "sk-", "eyJ", "AKIA", "ghp_", "-eyJ", ".", "-", "_", "Bearer ", "password=", '"token":']
WORDS += ["key: ", "://", "@", ":thin:", "/", "$2b$", "-----BEGIN ", "a1B2c3D4e5F6", "() {", "a" * 32]
WORDS += ["1" * 32, " ", "\ud800", "X="]


def check(text: str) -> None:
    """Lines of NAME=value."""
    pairs = [line.partition("=") for line in text.split("\n")]
    environ = {name: value for name, _, value in pairs}
    seen = scrubbed(environ)
    assert list(seen.items()) == [pair for pair in environ.items() if scrubbed(dict([pair]))], (
        f"{environ} became {seen}"
    )
    assert scrubbed(environ, keep=environ.keys()) == environ
    value = environ[text.split("=")[0].split("\n")[0]]
    if value and len(value) % 2 == 0:  # what takes the square of the length shows itself
        long = value * (LONG // len(value))
        scrubbed({"X": long, "Y": f"{long}@"})  # an @ has what stands before it looked at


if __name__ == "__main__":
    main(Target(check, WORDS), __doc__ or "")
