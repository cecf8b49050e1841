"""The pages of the built book in headless Chromium; those of tags are in test_tag_pages.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from pages import CHECKS, WIDE, Promised, Visit, complaints, follow, is_tag_page, page_names, visit
from playwright import sync_api


class Source(HTMLParser):
    """The ids, the addresses and the marks in proofs of a page, without a tree of all its tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.marks: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag in ("a", "link", "script", "img"):
            self.addresses.append(given.get("href") or given.get("src") or "")
        if "ledger-check" in given.get("class", "").split():
            self.marks.append(given.get("href", ""))


@pytest.fixture(scope="module")
def names(site: Path) -> list[str]:
    return [name for name in page_names(site) if not is_tag_page(name)]


@pytest.fixture(scope="module")
def statements(site: Path) -> list[dict]:
    return json.loads((site / "ledger.json").read_text(encoding="utf-8"))["statements"]


@pytest.fixture(scope="module")
def promised(site: Path, statements) -> dict[str, Promised]:
    """What each page with statements owes: their tags and labels, and the checks of the marks."""
    found: dict[str, Promised] = {}
    for entry in statements:
        page = found.setdefault(f"{entry['page']}.html", Promised())
        page.labels[entry["tag"]] = entry["label"]
    for name in list(found):
        for mark in Source(site / name).marks:
            parts = urlsplit(urljoin(f"http://site/{name}", mark))
            anchors = found.setdefault(parts.path.lstrip("/"), Promised()).anchors
            if parts.fragment not in anchors:
                anchors.append(parts.fragment)
    return found


@pytest.fixture(scope="module")
def visits(names, host, browser, promised) -> dict[str, Visit]:
    assert "book/index.html" in names and set(promised) <= set(names)
    return visit(browser, host, names, promised)


@pytest.fixture
def page(browser) -> Iterator[sync_api.Page]:
    opened = browser.new_page(viewport=WIDE)
    yield opened
    opened.close()


@pytest.mark.parametrize("check", CHECKS)
def test_every_page(visits, check):
    found = complaints(visits, check)
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


def test_every_promise_was_looked_at(statements, promised):
    assert sum(len(page.labels) for page in promised.values()) == len(statements) > 0
    counts = [len(page.anchors) for page in promised.values() if page.anchors]
    assert sum(counts) > len(counts) > 1


def test_math_is_rendered_where_the_source_has_math(site, visits):
    with_math = [n for n in visits if 'class="math' in (site / n).read_text(encoding="utf-8")]
    assert "book/index.html" in with_math
    assert all(visits[name].formulas for name in with_math)


# --- links -----------------------------------------------------------------------------------


def broken_links(folder: Path) -> list[str]:
    """Return each internal link whose page or anchor does not exist."""
    sources = {
        name: Source(folder / name)
        for name in [*page_names(folder), "index.html"]
        if (folder / name).exists()
    }
    faults = []
    for name, source in sources.items():
        for address in source.addresses:
            parts = urlsplit(urljoin(f"http://site/{name}", address))
            if not address or parts.netloc != "site" or parts.scheme != "http":
                continue
            target, anchor = unquote(parts.path).lstrip("/"), unquote(parts.fragment)
            if not (folder / target).exists():
                faults.append(f"{name}: {address} (no such file)")
            elif anchor and target in sources and anchor not in sources[target].ids:
                faults.append(f"{name}: {address} (no such anchor)")
    return faults


def test_every_internal_link_and_anchor_resolves(site):
    faults = broken_links(site)
    assert not faults, "\n".join(faults)


def test_the_root_page_leads_home(host, page):
    page.goto(host)
    page.wait_for_url("**/book/index.html")


# --- statements, search ----------------------------------------------------------------------


def test_each_node_of_the_graph_opens_its_statement(host, page, statements):
    page.goto(host + "book/graph.html")
    found = page.eval_on_selector_all("a.ledger-node", "all => all.map(e => e.href.baseVal)")
    expected = sorted(f"../{entry['page']}.html#{entry['label']}" for entry in statements)
    assert sorted(found) == expected


def test_the_search_finds_a_statement_by_its_title(host, page, statements):
    entry = next(e for e in statements if e["title"] and "\\" not in e["title"])
    page.goto(f"{host}search.html?q={quote(entry['title'])}")
    page.wait_for_selector("#search-results li a")
    hrefs = page.eval_on_selector_all("#search-results li a", "all => all.map(e => e.href)")
    assert any(f"{entry['page']}.html" in href for href in hrefs)


def test_a_link_to_a_statement_reads_as_its_name(site, statements):
    for entry in statements:
        text = (site / "tag" / f"{entry['tag']}.html").read_text(encoding="utf-8")
        name = f"{entry['kind'].title()} {entry['number']}"
        assert re.search(rf'#{entry["label"]}">{re.escape(name)}</a>', text)


# --- the checkers see faults -----------------------------------------------------------------

FAULTY_PAGE = r"""<!DOCTYPE html><html lang="en" data-theme="light"><head><title>x</title>
<style>article { background: #fff; color: #000 } html[data-theme=dark] b { color: #111 }
html[data-theme=dark] article { background: #000; color: #fff } mjx-container { color: #eee }
.half { background: #0008 } .half div { background: #0008; color: #000 }</style></head><body>
<form class="bd-search"><input></form><form class="bd-search"><input></form>
<article><p id="a">one</p><p id="a">two</p><img src="none.png"><svg width="9" height="9"></svg>
<p style="color: #999">pale</p><b>ink</b><p>\(x\)</p><div style="width: 900px">wide</div>
<table><tr><td style="color: #aaa">faint</td></tr></table>
<details><summary>more</summary><p style="color: #bbb">dim</p></details>
<div class="half"><div>shaded</div><div>shaded too</div></div>
<mjx-container style="display: block; width: 800px"><i>broad</i></mjx-container>
<mjx-container style="display: inline-block"><i style="display: block; width: 700px">long</i>
</mjx-container><mjx-merror>missing brace</mjx-merror><span class="math">bare</span>
<div id="tag-GOOD"><a class="ledger-tag" href="tag/GOOD.html">GOOD</a>
<details><summary>Cite</summary><pre>tag GOOD, version 1</pre></details></div>
<div id="tag-OPEN"><details open><summary>Cite</summary><pre>tag OPEN, version 1</pre></details>
</div>
<div id="tag-LOST"><a class="ledger-tag" href="tag/GOOD.html">LOST</a></div>
<div id="tag-GONE"><details><summary>Cite</summary><pre>tag ELSE, version 1</pre></details></div>
<div class="evidence" id="check-shown">holds</div>
<div style="display: none"><div class="evidence" id="check-hidden">holds</div></div>
<a href="gone.html">gone</a><a href="#nowhere">nowhere</a>
<script src="http://127.0.0.1:9/off.js"></script><script>console.error("loud")</script>
<script>onload = () => setTimeout(() => {
  fetch("http://127.0.0.1:9/late.js").catch(() => 0);
  document.querySelector("article").insertAdjacentHTML("beforeend", "<p id=late><p id=late>");
}, 50)</script>
</article></body></html>"""
FAULTY_TAG_PAGE = r"""<!DOCTYPE html><html lang="en"><head><title>x</title></head><body>
<article><h1>Tag GOOD</h1><div class="ledger-statement"><p class="ledger-head">
<a href="../page.html#good">Theorem</a></p></div></article></body></html>"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "page.html").write_text(FAULTY_PAGE, encoding="utf-8")
    (folder / "tag").mkdir()
    (folder / "tag" / "GOOD.html").write_text(FAULTY_TAG_PAGE, encoding="utf-8")
    return folder


def test_each_checker_sees_its_fault(faulty, serve, browser):
    labels = {"GOOD": "bad", "OPEN": "open", "GONE": "gone", "NONE": "none"}
    anchors = ["check-shown", "check-hidden", "nowhere"]
    names = ["page.html", "tag/GOOD.html"]
    found = visit(browser, serve(faulty), names, {"page.html": Promised(labels, anchors)})
    seen = found["page.html"]
    assert seen.off_host == ["http://127.0.0.1:9/off.js", "http://127.0.0.1:9/late.js"]
    assert any("none.png" in url for url in seen.failed)
    assert "loud" in seen.console
    assert seen.ids == ["a", "late"]
    assert any(r"\(x\)" in text for text in seen.math)
    assert {"missing brace", "bare"} <= set(seen.math)
    assert len(seen.alt) == 2
    assert "not one" in seen.search
    for word in ("pale", "faint", "dim", "shaded", "shaded too"):
        assert any(text.endswith(word) for text in seen.light), word
    assert any("ink" in text for text in seen.dark)
    assert not any("ink" in text for text in seen.light)
    for word in ("wide", "broad", "long"):
        assert any(word in text for text in seen.overflow), word
    assert seen.formulas == 2
    assert seen.citations == ["OPEN", "GONE", "NONE"]
    assert seen.marks == ["check-hidden", "nowhere"]
    assert len(seen.tags) == 1 and seen.tags[0].startswith("GOOD leads back to ")
    # What one page did is not told of the page after it.
    after = found["tag/GOOD.html"]
    assert not (after.off_host or after.failed or after.console or after.ids)


@pytest.mark.parametrize(
    "tag, label, told",
    [
        ("GOOD", "good", ""),
        ("GOOD", "bad", "GOOD leads back to "),
        ("LOST", "lost", "LOST leads to "),
    ],
)
def test_a_tag_that_leads_elsewhere_is_seen(faulty, serve, page, tag, label, told):
    page.goto(serve(faulty) + "page.html")
    found = follow(page, tag, label)
    assert len(found) == bool(told) and all(text.startswith(told) for text in found)


def test_dead_links_are_seen(faulty):
    faults = broken_links(faulty)
    assert any("gone.html (no such file)" in fault for fault in faults)
    assert any("#nowhere (no such anchor)" in fault for fault in faults)
