"""The pages of tags in headless Chromium, apart from test_pages.py for a second worker."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pages import CHECKS, Visit, complaints, is_tag_page, page_names, visit


@pytest.fixture(scope="module")
def visits(site: Path, host: str, browser) -> dict[str, Visit]:
    names = [name for name in page_names(site) if is_tag_page(name)]
    ledger = json.loads((site / "ledger.json").read_text(encoding="utf-8"))
    assert {f"tag/{entry['tag']}.html" for entry in ledger["statements"]} <= set(names)
    return visit(browser, host, names, {})


def test_a_tag_page_holds_every_proof_of_its_statement(site):
    ledger = json.loads((site / "ledger.json").read_text(encoding="utf-8"))
    chapters = {entry["page"] for entry in ledger["statements"]}
    sources = [(site / f"{page}.html").read_text(encoding="utf-8") for page in chapters]
    found = (re.findall(r'id="proof-of-([\w-]+?)(?:-\d+)?"', text) for text in sources)
    expected = Counter(label for labels in found for label in labels)
    assert expected.total() > len(chapters)
    for entry in ledger["statements"]:
        text = (site / "tag" / f"{entry['tag']}.html").read_text(encoding="utf-8")
        shown = BeautifulSoup(text, "html.parser").select(".proof-block")
        assert len(shown) == expected[entry["label"]], entry["label"]
        assert all(len(proof.get_text()) > 40 for proof in shown), entry["label"]


@pytest.mark.parametrize("check", CHECKS)
def test_every_tag_page(visits, check):
    found = complaints(visits, check)
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)
