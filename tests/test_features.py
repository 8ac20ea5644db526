"""The generated page of features is as its generator writes it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("features", DOCS / "features.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_features_is_up_to_date() -> None:
    written = (DOCS / "providers" / "features.md").read_text(encoding="utf-8")
    assert written == generator().page(), "run: python docs/features.py"
