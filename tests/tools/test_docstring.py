"""Docstrings in the three styles that people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.tools.docstring import read_docstring

GOOGLE = """Find a place.

    Looks in the index first.

    Args:
        city: The name of the city,
            in its own language.
        *zip (str, optional): The code: five digits.

    Returns:
        The place.

    Raises:
        KeyError: never
    """
SPHINX = """Find a place.

    Looks in the index first.

    :param city: The name of the city,
        in its own language.
    :param str zip: The code: five digits.
    :type city: str
    :returns: The place.
    """
NUMPY = """Find a place.

    Looks in the index first.

    Parameters
    ----------
    city : str
        The name of the city,
        in its own language.
    zip : str, optional
        The code: five digits.

    Returns
    -------
    place
        The place.
    """


@pytest.mark.parametrize("text", [GOOGLE, SPHINX, NUMPY], ids=["google", "sphinx", "numpy"])
def test_the_three_styles_say_the_same(text: str) -> None:
    assert read_docstring(text) == (
        "Find a place.\n\nLooks in the index first.",
        {"city": "The name of the city, in its own language.", "zip": "The code: five digits."},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ("", {})),
        ("", ("", {})),
        ("One line.", ("One line.", {})),
        ("A note: this is no section.", ("A note: this is no section.", {})),
        ("Args:", ("Args:", {})),
        ("\n  Arguments:\n    x: an x\n  ", ("", {"x": "an x"})),
        ("Do.\n\nReturns:\n  x: no parameter", ("Do.", {})),
        ("Do.\n\nArgs:\n  x: an x\n\nIt is done.", ("Do.", {"x": "an x"})),
        ("Do.\n\nExamples:\n  x: no parameter\n\nArgs:\n  y: a y", ("Do.", {"y": "a y"})),
        (":param x:", ("", {"x": ""})),
    ],
)
def test_what_is_not_quite_a_section(text: str | None, expected: object) -> None:
    assert read_docstring(text) == expected


@given(st.text(alphabet="Args:\n xy-param() *Returns", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    description, parameters = read_docstring(text)
    assert description == description.strip()
    assert all(name.isidentifier() for name in parameters)
