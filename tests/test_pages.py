"""Every page of the built book in headless Chromium, as a reader meets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright import sync_api

WIDE, NARROW = 1400, 390
LEAST_CONTRAST = 4.5

# Each function returns a list of complaints about the page as it stands.
CHECKERS = r"""
window.bookChecks = {
  ids() {
    const all = [...document.querySelectorAll('[id]')].map(e => e.id);
    return [...new Set(all.filter((id, i) => all.indexOf(id) !== i))];
  },
  math() {
    const bare = [...document.querySelectorAll('.math')]
      .filter(e => !e.querySelector('mjx-container'));
    const wrong = [...document.querySelectorAll('mjx-merror')];
    const raw = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const inside = walk.currentNode.parentElement.closest('script, style, pre, code, textarea');
      if (!inside && /\\[(\[]/.test(walk.currentNode.data)) raw.push(walk.currentNode.data);
    }
    return [...bare, ...wrong].map(e => e.textContent).concat(raw);
  },
  alt() {
    const images = [...document.querySelectorAll('img')].filter(e => !(e.alt || '').trim());
    const drawings = [...document.querySelectorAll('article svg')].filter(
      e => !e.closest('mjx-container, button') && e.getAttribute('aria-hidden') !== 'true'
        && !(e.getAttribute('role') === 'img' && e.getAttribute('aria-label')));
    return [...images, ...drawings].map(e => e.outerHTML.slice(0, 120));
  },
  searchBoxes() {
    const shown = [...document.querySelectorAll('.search-button-field, form.bd-search input')]
      .filter(e => e.checkVisibility() && e.getBoundingClientRect().width > 0);
    return shown.length === 1 ? [] : shown.map(e => e.outerHTML.slice(0, 120)).concat('not one');
  },
  contrast(least) {
    const parse = text => {
      const n = (text.match(/[\d.]+/g) || []).map(Number);
      if (text.startsWith('color(srgb')) return [255 * n[0], 255 * n[1], 255 * n[2], n[3] ?? 1];
      return [n[0], n[1], n[2], n[3] ?? 1];
    };
    const over = (top, under) =>
      [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i]).concat(1);
    const paper = element => {
      const layers = [];
      for (let e = element; e; e = e.parentElement) {
        layers.push(parse(getComputedStyle(e).backgroundColor));
        if (layers.at(-1)[3] === 1) break;
      }
      return layers.reduceRight((under, top) => over(top, under), [255, 255, 255, 1]);
    };
    const light = colour => {
      const [r, g, b] = colour.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (ink, ground) => {
      const [low, high] = [light(over(ink, ground)), light(ground)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    const poor = [];
    const seen = {visibilityProperty: true, opacityProperty: true};
    for (const e of document.querySelectorAll('article *, .bd-sidebar-primary a, footer p')) {
      const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
      const shape = e.closest('svg');
      if (!own || !e.checkVisibility(seen) || e.closest('mjx-container, title')) continue;
      // In a drawing, text stands on the box before it, or on the page.
      const box = shape && e.closest('a') && e.closest('a').querySelector('rect');
      const ink = parse(getComputedStyle(e)[shape ? 'fill' : 'color']);
      const ground = box ? parse(getComputedStyle(box).fill) : paper(shape || e);
      const found = ratio(ink, ground);
      const told = e.textContent.trim().slice(0, 40);
      if (found < least) poor.push(`${found.toFixed(2)}: ${e.tagName}.${e.className} ${told}`);
    }
    return poor;
  },
  overflow() {
    const width = window.innerWidth;
    const wide = document.documentElement.scrollWidth > width ? ['the page scrolls sideways'] : [];
    const boxed = e => {
      for (let p = e; p && p.tagName !== 'ARTICLE'; p = p.parentElement)
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return true;
      return false;
    };
    const out = [...document.querySelectorAll('article *')].filter(e =>
      e.getBoundingClientRect().right > width + 1 && e.checkVisibility()
        && !e.closest('mjx-assistive-mml') && !boxed(e));
    return wide.concat(out.map(e => e.outerHTML.slice(0, 120)));
  },
};
"""


@dataclass
class Visit:
    """What one page did and what the checkers say about it; empty lists are good."""

    off_host: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    math: list[str] = field(default_factory=list)
    alt: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    light: list[str] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)
    overflow: list[str] = field(default_factory=list)


def page_names(folder: Path) -> list[str]:
    """Return every page a reader can open; index.html at the root only leads home."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    return sorted(n for n in names if not n.startswith("_") and n != "index.html")


def visit(context: sync_api.BrowserContext, host: str, name: str) -> Visit:
    """Open one page at 1400 px in both themes and at 390 px, and run all checkers."""
    seen = Visit()
    page = context.new_page()

    def on_request(request: sync_api.Request) -> None:
        if not request.url.startswith((host, "data:", "blob:")):
            seen.off_host.append(request.url)

    def on_response(response: sync_api.Response) -> None:
        if response.status >= 400:
            seen.failed.append(f"{response.status} {response.url}")

    def on_console(message: sync_api.ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.console.append(message.text)

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: seen.failed.append(request.url))
    page.on("console", on_console)
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    page.goto(host + name, wait_until="networkidle")
    page.evaluate("async () => { if (window.MathJax?.startup) await MathJax.startup.promise }")
    page.evaluate(CHECKERS)
    # Folded parts must be as good as open ones; colours that change slowly are read too early.
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    seen.ids = page.evaluate("bookChecks.ids()")
    seen.math = page.evaluate("bookChecks.math()")
    seen.alt = page.evaluate("bookChecks.alt()")
    seen.search = page.evaluate("bookChecks.searchBoxes()")
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        setattr(seen, theme, page.evaluate(f"bookChecks.contrast({LEAST_CONTRAST})"))
    page.set_viewport_size({"width": NARROW, "height": 844})
    seen.overflow = page.evaluate("bookChecks.overflow()")
    page.close()
    return seen


@pytest.fixture(scope="session")
def host(site: Path, serve) -> str:
    return serve(site)


@pytest.fixture(scope="session")
def context(browser) -> Iterator[sync_api.BrowserContext]:
    opened = browser.new_context(viewport={"width": WIDE, "height": 900})
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def visits(site: Path, host: str, context) -> dict[str, Visit]:
    names = page_names(site)
    assert "book/index.html" in names
    return {name: visit(context, host, name) for name in names}


@pytest.fixture
def page(context) -> Iterator[sync_api.Page]:
    opened = context.new_page()
    yield opened
    opened.close()


CHECKS = [name for name in Visit.__dataclass_fields__]


@pytest.mark.parametrize("check", CHECKS)
def test_every_page(visits, check):
    complaints = {name: getattr(seen, check) for name, seen in visits.items()}
    found = {name: each for name, each in complaints.items() if each}
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


def test_math_is_rendered_where_the_source_has_math(site, host, page):
    names = [name for name in page_names(site) if name.startswith(("book/", "notebooks/"))]
    with_math = [n for n in names if 'class="math' in (site / n).read_text(encoding="utf-8")]
    assert "book/index.html" in with_math
    for name in with_math:
        page.goto(host + name)
        page.wait_for_selector("article mjx-container")


# --- links -----------------------------------------------------------------------------------


def broken_links(folder: Path) -> list[str]:
    """Return each internal link whose page or anchor does not exist."""
    soups = {
        name: BeautifulSoup((folder / name).read_text(encoding="utf-8"), "html.parser")
        for name in [*page_names(folder), "index.html"]
        if (folder / name).exists()
    }
    anchors = {name: {e["id"] for e in soup.find_all(id=True)} for name, soup in soups.items()}
    faults = []
    for name, soup in soups.items():
        for element in soup.find_all(["a", "link", "script", "img"]):
            address = element.get("href") or element.get("src")
            parts = urlsplit(urljoin(f"http://site/{name}", address or ""))
            if not address or parts.netloc != "site" or parts.scheme != "http":
                continue
            target, anchor = unquote(parts.path).lstrip("/"), unquote(parts.fragment)
            known = anchors.get(target)
            if not (folder / target).exists():
                faults.append(f"{name}: {address} (no such file)")
            elif anchor and known is not None and anchor not in known:
                faults.append(f"{name}: {address} (no such anchor)")
    return faults


def test_every_internal_link_and_anchor_resolves(site):
    faults = broken_links(site)
    assert not faults, "\n".join(faults)


def test_the_root_page_leads_home(host, page):
    page.goto(host)
    page.wait_for_url("**/book/index.html")


# --- statements, tags, citations, search -----------------------------------------------------


@pytest.fixture(scope="module")
def statements(site: Path) -> list[dict]:
    return json.loads((site / "ledger.json").read_text(encoding="utf-8"))["statements"]


def test_a_tag_opens_its_page_and_the_page_leads_back(host, page, statements):
    for entry in {entry["page"]: entry for entry in statements}.values():  # one of each chapter
        page.goto(f"{host}{entry['page']}.html#tag-{entry['tag']}")
        page.click(f"#tag-{entry['tag']} a.ledger-tag")
        page.wait_for_url(f"**/tag/{entry['tag']}.html")
        assert page.inner_text("article h1").startswith(f"Tag {entry['tag']}")
        page.click(".ledger-statement .ledger-head a")
        page.wait_for_url(f"**/{entry['page']}.html#{entry['label']}")


# One script for a whole page: hundreds of clicks on long pages would take minutes.
UNFOLD = """tags => tags.map(tag => {
  const fold = document.querySelector(`#tag-${tag} details`);
  fold.open = true;
  const text = fold.querySelector('pre');
  return text.checkVisibility() ? text.innerText : '';
})"""
HIDDEN_TARGETS = """anchors => anchors.filter(anchor => {
  location.hash = anchor;
  const target = document.querySelector('.evidence:target');
  return !(target && target.id === anchor && target.checkVisibility());
})"""


def test_a_citation_unfolds_under_every_statement(host, page, statements):
    for name in sorted({entry["page"] for entry in statements}):
        page.goto(f"{host}{name}.html")
        tags = [entry["tag"] for entry in statements if entry["page"] == name]
        first = page.locator(f"#tag-{tags[0]}")
        assert not first.locator("pre").is_visible()
        first.locator("summary").click()
        assert f"tag {tags[0]}, version" in first.locator("pre").inner_text()
        told = page.evaluate(UNFOLD, tags)
        assert all(f"tag {tag}, version" in text for tag, text in zip(tags, told, strict=True))


def test_a_mark_in_a_proof_opens_its_check(host, page, statements):
    targets: dict[str, set[str]] = {}
    for name in sorted({entry["page"] for entry in statements}):
        page.goto(f"{host}{name}.html")
        for address in page.eval_on_selector_all("a.ledger-check", "all => all.map(e => e.href)"):
            where, _, anchor = address.partition("#")
            targets.setdefault(where, set()).add(anchor)
    assert sum(map(len, targets.values())) > len(targets) > 1
    for where, anchors in targets.items():
        page.goto(where)
        assert page.evaluate(HIDDEN_TARGETS, ["nowhere"]) == ["nowhere"]
        assert page.evaluate(HIDDEN_TARGETS, sorted(anchors)) == [], where


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
html[data-theme=dark] article { background: #000; color: #fff }</style></head><body>
<form class="bd-search"><input></form><form class="bd-search"><input></form>
<article><p id="a">one</p><p id="a">two</p><img src="none.png"><svg width="9" height="9"></svg>
<p style="color: #999">pale</p><b>ink</b><p>\(x\)</p><div style="width: 900px">wide</div>
<a href="gone.html">gone</a><a href="#nowhere">nowhere</a>
<script src="http://127.0.0.1:9/off.js"></script><script>console.error("loud")</script>
</article></body></html>"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "page.html").write_text(FAULTY_PAGE, encoding="utf-8")
    return folder


def test_each_checker_sees_its_fault(faulty, serve, context):
    seen = visit(context, serve(faulty), "page.html")
    assert seen.off_host == ["http://127.0.0.1:9/off.js"]
    assert any("none.png" in url for url in seen.failed)
    assert "loud" in seen.console
    assert seen.ids == ["a"]
    assert any(r"\(x\)" in text for text in seen.math)
    assert len(seen.alt) == 2
    assert "not one" in seen.search
    assert any("pale" in text for text in seen.light)
    assert any("ink" in text for text in seen.dark)
    assert not any("ink" in text for text in seen.light)
    assert any("wide" in text for text in seen.overflow)


def test_dead_links_are_seen(faulty):
    faults = broken_links(faulty)
    assert any("gone.html (no such file)" in fault for fault in faults)
    assert any("#nowhere (no such anchor)" in fault for fault in faults)
