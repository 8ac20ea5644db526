"""Every Python block of the documentation runs, page by page, in the order in which it stands."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-documentation")
    code = ["\n"] * text.count("\n")
    for block in blocks:
        first = text.count("\n", 0, block.start(1))
        if 'agent.run_sync("What is the weather in Paris?")' in block.group(1):
            continue  # the first page's first example talks to a real vendor
        for number, line in enumerate(block.group(1).splitlines(keepends=True)):
            code[first + number] = line
    # One module, so that what a block defines is there for the next one, as for a reader.
    module = ModuleType(f"page_{page.stem}")
    exec(compile("".join(code), str(page), "exec"), module.__dict__)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
