"""The pages of tags in headless Chromium, apart from test_pages.py for a second worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import CHECKS, Visit, complaints, is_tag_page, page_names, visit


@pytest.fixture(scope="module")
def visits(site: Path, host: str, browser) -> dict[str, Visit]:
    names = [name for name in page_names(site) if is_tag_page(name)]
    ledger = json.loads((site / "ledger.json").read_text(encoding="utf-8"))
    assert {f"tag/{entry['tag']}.html" for entry in ledger["statements"]} <= set(names)
    return visit(browser, host, names, {})


@pytest.mark.parametrize("check", CHECKS)
def test_every_tag_page(visits, check):
    found = complaints(visits, check)
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)
