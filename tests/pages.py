"""Visit pages of the built book in headless Chromium, as a reader meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright import sync_api

WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
LEAST_CONTRAST = 4.5
AWAY = (-1, -1)  # a mouse left over a link would change its colour
SET_FORMULAS = "async () => { if (window.MathJax?.startup) await MathJax.startup.promise }"

# Each function returns a list of complaints about the page as it stands.
CHECKERS = r"""
window.bookChecks = {
  ids() {
    const seen = new Set(), twice = new Set();
    for (const {id} of document.querySelectorAll('[id]')) (seen.has(id) ? twice : seen).add(id);
    return [...twice];
  },
  math() {
    const bare = [...document.querySelectorAll('.math')]
      .filter(e => !e.querySelector('mjx-container'));
    const wrong = [...document.querySelectorAll('mjx-merror')];
    const raw = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      if (!/\\[(\[]/.test(walk.currentNode.data)) continue;
      const inside = walk.currentNode.parentElement.closest('script, style, pre, code, textarea');
      if (!inside) raw.push(walk.currentNode.data);
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
    const papers = new Map([[null, [255, 255, 255, 1]]]);
    const paper = e => {
      if (!papers.has(e)) {
        const own = parse(getComputedStyle(e).backgroundColor);
        papers.set(e, own[3] === 1 ? own : over(own, paper(e.parentElement)));
      }
      return papers.get(e);
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
  citations(tags) {
    const found = tags.map(tag => {
      const fold = document.querySelector(`#tag-${tag} details`);
      const text = fold?.querySelector('pre');
      return {tag, fold, text, early: text?.checkVisibility()};
    });
    // All are opened before the first is read, so that the page is laid out once.
    for (const {fold} of found) if (fold) fold.open = true;
    const told = ({tag, text}) =>
      text?.checkVisibility() && text.innerText.includes(`tag ${tag}, version`);
    const wrong = found.filter(each => each.early || !told(each));
    for (const {fold} of found) if (fold) fold.open = false;
    return wrong.map(({tag}) => tag);
  },
  marks(anchors) {
    const hidden = anchors.filter(anchor => {
      location.hash = anchor;
      const target = document.querySelector('.evidence:target');
      return !(target && target.id === anchor && target.checkVisibility());
    });
    location.hash = '';
    return hidden;
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

AS_IT_STANDS = """() => ({
  ids: bookChecks.ids(),
  math: bookChecks.math(),
  alt: bookChecks.alt(),
  search: bookChecks.searchBoxes(),
  formulas: document.querySelectorAll('article mjx-container').length,
})"""
IN_THEME = """([theme, least]) => {
  document.documentElement.dataset.theme = theme;
  return bookChecks.contrast(least);
}"""


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
    citations: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    formulas: int = 0


CHECKS = [name for name, found in vars(Visit()).items() if found == []]


@dataclass
class Promised:
    """What the ledger and the proofs say of one page."""

    labels: dict[str, str] = field(default_factory=dict)  # of its statements, by tag
    anchors: list[str] = field(default_factory=list)  # of its checks, as marks in proofs name them


def page_names(folder: Path) -> list[str]:
    """Return every page a reader can open; index.html at the root only leads home."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    return sorted(n for n in names if not n.startswith("_") and n != "index.html")


def is_tag_page(name: str) -> bool:
    return name.startswith("tag/")


def complaints(visits: Mapping[str, Visit], check: str) -> dict[str, list[str]]:
    """Return what one checker says, by page; pages without fault are left out."""
    said = {name: getattr(seen, check) for name, seen in visits.items()}
    return {name: each for name, each in said.items() if each}


class Tab:
    """A browser tab that opens one page after another.

    A new tab for each page would start a process and compile the scripts of the theme each time.
    It has a window of its own: tabs that share one draw only while they are in front.
    """

    def __init__(self, browser: sync_api.Browser, host: str) -> None:
        self.host = host
        self.seen = Visit()
        self.page = browser.new_page()
        self.page.on("request", self._on_request)
        self.page.on("response", self._on_response)
        self.page.on("requestfailed", lambda request: self.seen.failed.append(request.url))
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.seen.console.append(str(error)))

    def _on_request(self, request: sync_api.Request) -> None:
        if not request.url.startswith((self.host, "data:", "blob:")):
            self.seen.off_host.append(request.url)

    def _on_response(self, response: sync_api.Response) -> None:
        if response.status >= 400:
            self.seen.failed.append(f"{response.status} {response.url}")

    def _on_console(self, message: sync_api.ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.seen.console.append(message.text)

    def open(self, name: str) -> None:
        """Open a page at 1400 px and let its formulas be set."""
        # Nothing that the page before still does may count as this page's, and an empty page
        # changes its width at once.
        self.page.goto("about:blank")
        self.page.set_viewport_size(WIDE)
        self.page.mouse.move(*AWAY)
        self.seen = Visit()
        self.page.goto(self.host + name)
        self.page.evaluate(SET_FORMULAS)

    def read(self, promised: Promised) -> Visit:
        """Run all checkers on the open page, at 1400 px in both themes and at 390 px."""
        page, seen = self.page, self.seen
        # Half a second without a request: what the page loads late is loaded.
        page.wait_for_load_state("networkidle")
        page.evaluate(CHECKERS)
        # Folds and marks are tried as they stand, before all that is folded is opened.
        tags = list(promised.labels)
        seen.citations = page.evaluate("tags => bookChecks.citations(tags)", tags)
        if tags and not seen.citations:
            page.click(f"#tag-{tags[0]} summary")
            page.mouse.move(*AWAY)
            if not page.is_visible(f"#tag-{tags[0]} pre"):
                seen.citations.append(f"{tags[0]} does not open by a click")
        seen.marks = page.evaluate("anchors => bookChecks.marks(anchors)", promised.anchors)
        # Folded parts must be as good as open ones; colours that change slowly are read too early.
        page.add_style_tag(content="* { transition: none !important; animation: none !important }")
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        for check, found in page.evaluate(AS_IT_STANDS).items():
            setattr(seen, check, found)
        seen.light = page.evaluate(IN_THEME, ["light", LEAST_CONTRAST])
        seen.dark = page.evaluate(IN_THEME, ["dark", LEAST_CONTRAST])
        page.set_viewport_size(NARROW)
        seen.overflow = page.evaluate("bookChecks.overflow()")
        # The pages opened by a click from here have visits of their own.
        self.seen = Visit()
        if tags:
            page.set_viewport_size(WIDE)
            seen.tags = follow(page, tags[0], promised.labels[tags[0]])
        return seen


def follow(page: sync_api.Page, tag: str, label: str) -> list[str]:
    """Click on a tag, and on its page on the way back; say what leads elsewhere."""
    start = page.url.partition("#")[0]
    with page.expect_navigation():
        page.click(f"#tag-{tag} a.ledger-tag")
    if not urlsplit(page.url).path.endswith(f"/tag/{tag}.html"):
        return [f"{tag} leads to {page.url}"]
    if not page.inner_text("article h1").startswith(f"Tag {tag}"):
        return [f"the page of {tag} has another title"]
    # The way back ends where it leads; setting the formulas of the long page again takes seconds.
    with page.expect_navigation(wait_until="commit"):
        page.click(".ledger-statement .ledger-head a")
    return [] if page.url == f"{start}#{label}" else [f"{tag} leads back to {page.url}"]


def visit(
    browser: sync_api.Browser,
    host: str,
    names: Sequence[str],
    promised: Mapping[str, Promised],
) -> dict[str, Visit]:
    """Visit every page, in two tabs by turns: while one page falls silent the next one loads."""
    this, other = Tab(browser, host), Tab(browser, host)
    visits = {}
    this.open(names[0])
    for name, following in zip(names, [*names[1:], None], strict=True):
        if following:
            other.open(following)
        visits[name] = this.read(promised.get(name, Promised()))
        this, other = other, this
    for tab in (this, other):
        tab.page.close()
    return visits
