"""From records to status, graph, tags and citations; then the same on the real book."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nbformat
import networkx as nx
import pytest
from conftest import ROOT, build_book
from ledger import drawing, fragments
from ledger.citation import Source, bibtex, plain, read_source
from ledger.drawing import fills, graph_svg
from ledger.figure import soften, softening_svg
from ledger.graph import cycle, dependency_graph, layered_layout
from ledger.model import Book, CheckReference, Proof, Statement, problems
from ledger.offline import configure
from ledger.records import Notebook, Record, RecordError, count_kinds, read_notebook
from ledger.status import STATUSES, compute_status, settled
from ledger.tags import lost_lines, parse_tags

from kdlib.records import MIME, Evidence, check_id

FIELDS = {
    "label": "entropy-slope",
    "kind": "derived",
    "check": "slope",
    "domain": "all V",
    "figure": "residual 0",
    "tolerance": None,
    "covers": "every case",
    "verdict": "holds",
    "assumed": (),
    "stated": (),
    "sibling_rejected": True,
}


def record(**changes) -> Record:
    """Return a record that settles its step, with some fields changed."""
    return Record(**(FIELDS | {"page": "one", "anchor": "check-a"} | changes))


def statement(label: str, *proofs: Proof, page: str = "one") -> Statement:
    return Statement(label, "theorem", label.title(), label.title(), "1.1", page, proofs)


def proof(*steps: tuple[CheckReference, ...], references: tuple[str, ...] = ()) -> Proof:
    return Proof("proof-of-x", steps, references)


def small_book(**changes) -> Book:
    """Return a sound book: `a` is checked, `b` rests on `a` and is checked on instances."""
    first, second = CheckReference("a", "one"), CheckReference("b", "two")
    records = (
        record(label="a", check="one"),
        record(label="b", check="two", covers="instances", anchor="check-b"),
    )
    parts = {
        "statements": {
            "a": statement("a", proof((first,))),
            "b": statement("b", proof((second,), references=("a",))),
        },
        "notebooks": (Notebook("one", records, None),),
        "tags": {"a": "0001", "b": "0002"},
    }
    return Book(**(parts | changes))


def here(page: str, anchor: str = "") -> str:
    return f"{page}.html#{anchor}"


# --- records ---------------------------------------------------------------------------------


def notebook_file(folder: Path, *fields: dict, html: str = '<div id="check-a">') -> Path:
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html, MIME: field}) for field in fields
    ]
    cell = nbformat.v4.new_code_cell("check()", outputs=outputs, execution_count=1)
    path = folder / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_a_record_is_read_from_the_output_of_a_cell(tmp_path):
    notebook = read_notebook(notebook_file(tmp_path, FIELDS), "one")
    assert notebook.records == (record(),)
    assert notebook.stamp is None


@pytest.mark.parametrize("change", [{"kind": "proved"}, {"covers": "all"}, {"verdict": "true"}])
def test_an_unknown_word_in_a_record_is_refused(tmp_path, change):
    with pytest.raises(RecordError, match=next(iter(change))):
        read_notebook(notebook_file(tmp_path, FIELDS | change), "one")


def test_a_missing_key_in_a_record_is_refused(tmp_path):
    fields = {key: value for key, value in FIELDS.items() if key != "domain"}
    with pytest.raises(RecordError, match="domain"):
        read_notebook(notebook_file(tmp_path, fields), "one")


def test_a_record_without_an_anchor_is_refused(tmp_path):
    with pytest.raises(RecordError, match="id="):
        read_notebook(notebook_file(tmp_path, FIELDS, html="<div>"), "one")


def test_kinds_are_counted_in_a_fixed_order():
    assert count_kinds([record(kind="exact"), record(), record()]) == {"derived": 2, "exact": 1}
    assert fragments.kinds_text([]) == "no checks"


def test_a_record_that_was_written_is_read_back(tmp_path):
    evidence = Evidence(**FIELDS)
    html = evidence.html()
    assert f'id="{check_id("entropy-slope", "slope")}"' in html
    (read,) = read_notebook(notebook_file(tmp_path, evidence.record(), html=html), "one").records
    assert Evidence(**{key: getattr(read, key) for key in FIELDS}) == evidence


# --- status ----------------------------------------------------------------------------------

FULL = record()
PART = record(covers="instances")


@pytest.mark.parametrize(
    ("proofs", "records", "expected"),
    [
        ([], [], "open"),
        ([[]], [], "open"),
        ([[[]]], [], "open"),
        ([[[FULL]]], [FULL], "checked"),
        ([[[FULL], [FULL, PART]]], [FULL, PART], "checked"),
        ([[[FULL], [PART]]], [FULL, PART], "proved"),
        ([[[FULL], []]], [FULL], "proved"),
        ([[]], [FULL], "proved"),
        ([[[PART]], [[FULL]]], [FULL, PART], "checked"),
        ([[[record(kind="measured")]]], [record(kind="measured")], "proved"),
        ([[[record(sibling_rejected=False)]]], [record(sibling_rejected=False)], "proved"),
        ([[[record(kind="cited")]]], [record(kind="cited")], "open"),
        ([], [record(kind="measured"), record(kind="cited")], "measured"),
        ([], [record(kind="cited")], "cited"),
        ([], [FULL], "open"),
        ([], [record(kind="counterexample")], "open"),
        ([[[FULL]]], [record(kind="counterexample", verdict="fails"), FULL], "refuted"),
    ],
)
def test_status(proofs, records, expected):
    assert compute_status(proofs, records) == expected


def test_a_statement_is_settled_only_with_all_its_ancestors():
    uses = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    statuses = {"a": "proved", "b": "checked", "c": "checked", "d": "checked"}
    assert settled(uses, statuses) == {"a": False, "b": False, "c": False, "d": True}


# --- graph -----------------------------------------------------------------------------------


def test_arrows_run_from_what_is_used():
    graph = dependency_graph(small_book().uses)
    assert list(graph.edges) == [("a", "b")]


def test_a_circle_of_proofs_is_found():
    assert cycle(dependency_graph({"a": ("b",), "b": ()})) == []
    loop = cycle(dependency_graph({"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)}))
    assert set(loop) == {"a", "b", "c"}
    uses = {"a": "b", "b": "c", "c": "a"}
    assert all(uses[one] == two for one, two in zip(loop, [*loop[1:], loop[0]], strict=True))


def test_no_arrow_points_upward_and_no_place_is_taken_twice():
    uses = {f"s{n}": tuple(f"s{m}" for m in range(n) if n % (m + 2) == 0) for n in range(30)}
    layout = layered_layout(dependency_graph(uses))
    assert len(set(layout.places.values())) == 30
    for label, used in uses.items():
        assert all(layout.places[u][1] < layout.places[label][1] for u in used)


def test_a_circular_graph_cannot_be_laid_out():
    with pytest.raises(nx.NetworkXUnfeasible):
        layered_layout(dependency_graph({"a": ("b",), "b": ("a",)}))


def test_the_drawing_links_and_colours_each_statement():
    book = small_book()
    assert fills(book) == {"a": "settled", "b": "some"}
    svg = graph_svg(book, lambda label: f"one.html#{label}")
    assert svg.count("<a href=") == 2
    assert 'href="one.html#b" class="ledger-node ledger-is-proved ledger-fill-some"' in svg
    assert 'href="one.html#a" class="ledger-node ledger-is-checked ledger-fill-settled"' in svg


def test_a_checked_statement_on_an_unchecked_one_is_not_dark():
    first = CheckReference("a", "one")
    statements = {
        "a": statement("a", proof((first,), references=("b",))),
        "b": statement("b"),
    }
    assert fills(small_book(statements=statements))["a"] == "full"


# --- tags ------------------------------------------------------------------------------------


def test_tags_are_read():
    assert parse_tags(["tag,label", "0A1Z,entropy-slope"]) == ({"entropy-slope": "0A1Z"}, [])


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "header"),
        (["label,tag"], "header"),
        (["tag,label", "0001,a", "0001,b"], "used twice"),
        (["tag,label", "0001,a", "0002,a"], "two tags"),
        (["tag,label", "001,a"], "expected TAG,label"),
        (["tag,label", "00I1,a"], "expected TAG,label"),
        (["tag,label", "00O1,a"], "expected TAG,label"),
        (["tag,label", "0001,Not a label"], "expected TAG,label"),
    ],
)
def test_a_faulty_tags_file_is_refused(lines, complaint):
    found = parse_tags(lines)[1]
    assert len(found) == 1
    assert complaint in found[0]


def test_lost_lines_are_found():
    earlier = ["tag,label", "0001,a", "0002,b"]
    assert lost_lines(earlier, [*earlier, "0003,c"]) == []
    assert lost_lines(earlier, ["tag,label", "0001,a"]) == ["0002,b"]
    assert lost_lines(earlier, ["tag,label", "0001,z", "0002,b"]) == ["0001,a"]
    assert lost_lines(earlier, ["tag,label", "0002,b", "0001,a"]) == ["0002,b"]


# --- what stops the build --------------------------------------------------------------------


def test_a_sound_book_has_no_problems():
    book = small_book()
    assert problems(book) == []
    assert book.statuses == {"a": "checked", "b": "proved"}
    assert book.used_by("a") == ["b"]


def broken_books() -> dict[str, Book]:
    book = small_book()
    records = book.notebooks[0].records
    looped = statement("a", proof((CheckReference("a", "one"),), references=("b",)))
    unknown = statement("a", proof((CheckReference("a", "nothing"),)))
    stray = record(label="nobody", check="x")
    return {
        "has no tag": dataclasses.replace(book, tags={"a": "0001"}),
        "which no statement has": dataclasses.replace(book, tags={**book.tags, "c": "0003"}),
        "unknown label 'nobody'": dataclasses.replace(
            book, notebooks=(Notebook("one", (*records, stray), None),)
        ),
        "two checks called 'one'": dataclasses.replace(
            book, notebooks=(Notebook("one", (*records, records[0]), None),)
        ),
        "unknown check 'nothing'": dataclasses.replace(
            book, statements={**book.statements, "a": unknown}
        ),
        "unknown check 'stray'": dataclasses.replace(
            book, stray_checks=[("one", CheckReference("", "stray"))]
        ),
        "run in a circle": dataclasses.replace(book, statements={**book.statements, "a": looped}),
    }


@pytest.mark.parametrize("complaint", broken_books())
def test_a_broken_book_is_reported(complaint):
    messages = [problem.message for problem in problems(broken_books()[complaint])]
    assert len(messages) == 1
    assert complaint in messages[0]


# --- what the pages show ---------------------------------------------------------------------

SOURCE = Source("The Book", "The contributors", "1.2.3", "2026")


def test_a_citation_names_tag_and_version():
    for text in (bibtex(SOURCE, statement("a"), "0001"), plain(SOURCE, statement("a"), "0001")):
        assert "tag 0001" in text
        assert "version 1.2.3" in text
        assert "http" not in text
    addressed = dataclasses.replace(SOURCE, address="https://example.org/book")
    assert "url = {https://example.org/book}" in bibtex(addressed)
    assert bibtex(SOURCE).count("{") == bibtex(SOURCE).count("}")


def test_a_citation_takes_its_year_from_the_release_else_from_the_last_run(tmp_path):
    path = tmp_path / "CITATION.cff"
    path.write_text("title: T\nauthors: [{name: N}]\nversion: 0.1.0\n", encoding="utf-8")
    assert read_source(path, "", "2026-11-22").year == "2026"
    assert "year" not in bibtex(read_source(path, ""))
    assert "()" not in plain(read_source(path, ""))
    path.write_text(path.read_text() + "date-released: 2025-01-02\n", encoding="utf-8")
    assert read_source(path, "", "2026-11-22").year == "2025"


def test_the_footer_and_the_ledger_show_the_computed_status():
    book = small_book()
    footer = fragments.footer(book, "b", SOURCE, here)
    assert 'id="tag-0002"' in footer
    assert STATUSES["proved"] in footer
    assert "1 derived" in footer
    table = fragments.ledger_table(book, here)
    assert table.count("<tr>") == 3
    assert "one.html#a" in table


def test_the_ledger_says_where_a_statement_fails():
    found = record(label="a", check="w", kind="counterexample", domain="without <order>: p")
    records = (*small_book().notebooks[0].records, found)
    table = fragments.ledger_table(small_book(notebooks=(Notebook("one", records, None),)), here)
    assert "without &lt;order&gt;: p" in table


STAMP = {
    "source": "a" * 64,
    "modules": {"kdlib/operators.py": "b" * 64},
    "profile": "default",
    "seed": 0,
    "device": "cpu",
    "processor": "Some CPU",
    "cores": 2,
    "wall_seconds": 100.0,
    "date": "2026-11-22",
    "commit": "abc1234",
    "versions": {"python": "3.11.7"},
}


def test_the_last_run_sums_the_chapters():
    other = STAMP | {"date": "2026-11-23", "commit": None, "wall_seconds": 200.0}
    told = fragments.last_run([STAMP, other])
    for part in ("2026-11-22 to 2026-11-23", "abc1234, none recorded", "5.0 minutes", "Some CPU"):
        assert part in told
    assert "No chapter" in fragments.last_run([])


def test_the_provenance_table_shortens_digests():
    table = fragments.provenance(STAMP)
    for part in ("Some CPU", "100 seconds", "a" * 12, "b" * 12, "python 3.11.7", "default, 0"):
        assert part in table
    assert "a" * 13 not in table
    assert "no stamp" in fragments.provenance(None)


def test_the_figure_softens():
    assert soften([0.5, 0.5], 3.0) == [0.5, 0.5]
    assert soften([0.9, 0.1], 1.0) == pytest.approx([0.9, 0.1])
    assert soften([0.8, 0.2], 2.0) == pytest.approx([2 / 3, 1 / 3])
    assert 'aria-label="Bar charts' in softening_svg()


def configured(address: str) -> SimpleNamespace:
    config = SimpleNamespace(book_address=address, html_theme_options={})
    configure(None, config)
    return config


def test_buttons_appear_only_with_an_address():
    silent = configured("").html_theme_options
    assert not silent["use_repository_button"]
    assert silent["launch_buttons"] == {}
    loud = configured("https://github.com/someone/book").html_theme_options
    assert loud["use_repository_button"]
    assert loud["launch_buttons"]


# --- a small broken book, built --------------------------------------------------------------

BROKEN_PAGE = """\
# One

```{prf:theorem} First
:label: first
It holds, by nothing.
```

```{prf:proof}
1. By {prf:ref}`second` {check}`no such check`.
```

```{prf:theorem} Second
:label: second
It holds too.
```

```{prf:proof}
1. By {prf:ref}`first`.
```
"""


def test_every_fault_stops_the_build(tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "_config.yml").write_text(
        "title: Broken\nauthor: Nobody\nexecute: {execute_notebooks: 'off'}\n"
        "sphinx:\n  extra_extensions: [sphinx_proof]\n"
        f"  local_extensions: {{ledger: {json.dumps(str(ROOT / 'book'))}}}\n"
        "  config: {book_tags: tags.csv, suppress_warnings: [mystnb.unknown_mime_type]}\n"
    )
    (folder / "_toc.yml").write_text("format: jb-book\nroot: one.ipynb\n")
    (folder / "tags.csv").write_text("tag,label\n0001,first\n0001,second\n0003,gone\n")
    (folder / "CITATION.cff").write_text(
        "title: Broken\nauthors: [{name: Nobody}]\nversion: 0.1.0\ndate-released: 2026-01-01\n"
    )
    path = notebook_file(folder, FIELDS | {"label": "nobody"})
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(BROKEN_PAGE))
    nbformat.write(notebook, path)
    built = build_book(folder, tmp_path)
    assert built.returncode != 0
    for complaint in (
        "unknown check 'no such check' of 'first'",
        "evidence 'slope' is for the unknown label 'nobody'",
        "the proofs run in a circle",
        "tag 0001 is used twice",
        "tag 0003 names the label 'gone', which no statement has",
        "('second') has no tag",
    ):
        assert complaint in built.stderr + built.stdout


# --- the real book ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger(site: Path) -> dict:
    return json.loads((site / "ledger.json").read_text(encoding="utf-8"))


def test_every_statement_has_a_tag_and_evidence_or_is_visibly_open(site, ledger):
    assert ledger["statements"]
    for entry in ledger["statements"]:
        assert entry["tag"], f"{entry['label']} has no tag"
        assert entry["evidence"] or entry["status"] == "open", entry["label"]
        page = (site / f"{entry['page']}.html").read_text(encoding="utf-8")
        foot = page.split(f'id="tag-{entry["tag"]}"')[1][:600]
        assert STATUSES[entry["status"]] in foot, f"{entry['label']} does not show its status"


def test_every_record_of_every_chapter_reached_the_ledger(ledger):
    shown = [
        (found["label"], found["check"], found["page"])
        for entry in ledger["statements"]
        for found in entry["evidence"]
    ]
    assert len(shown) == len(set(shown))
    for page in ledger["runs"]:
        content = read_notebook(ROOT / f"{page}.ipynb", page)
        for found in content.records:
            assert (found.label, found.check, found.page) in shown, f"{page}: {found.check}"


def test_no_statement_rests_on_itself(ledger):
    uses = {entry["label"]: tuple(entry["uses"]) for entry in ledger["statements"]}
    assert cycle(dependency_graph(uses)) == []


def test_every_tag_keeps_its_page(site, ledger):
    for entry in ledger["statements"]:
        page = site / "tag" / f"{entry['tag']}.html"
        assert STATUSES[entry["status"]] in page.read_text(encoding="utf-8")


def test_tags_file_is_sound():
    lines = (ROOT / "book" / "tags.csv").read_text(encoding="utf-8").splitlines()
    assert parse_tags(lines)[1] == []


def test_no_tag_was_removed_or_reused():
    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )

    history = git("log", "--format=%H", "--", "book/tags.csv")
    if history.returncode or not history.stdout.split():
        pytest.skip(f"no git history of book/tags.csv: {history.stderr.strip() or 'no commit'}")
    now = (ROOT / "book" / "tags.csv").read_text(encoding="utf-8").splitlines()
    for commit in history.stdout.split():
        earlier = git("show", f"{commit}:book/tags.csv")
        if earlier.returncode == 0:  # not a commit that deleted the file
            lost = lost_lines(earlier.stdout.splitlines(), now)
            assert not lost, f"tags of commit {commit[:8]} are gone or moved: {lost}"


def test_the_citation_file_names_the_version_of_kdlib():
    import kdlib

    assert read_source(ROOT / "CITATION.cff", "").version == kdlib.__version__


def test_long_arrows_run_between_the_boxes():
    # From every column to every other one, three rows down; each place holds a box.
    for start, end, number in itertools.product(range(4), range(4), range(3)):
        corners = [(drawing.MARGIN + c * drawing.STEP[0], 0.0) for c in (start, end)]
        source, target = corners[0], (corners[1][0], 3 * drawing.STEP[1])
        path = drawing._arrow(source, target, number)
        x = float(re.search(r"([\d.]+),[\d.]+ V", path)[1])
        edges = [drawing.MARGIN + c * drawing.STEP[0] for c in range(4)]
        assert not any(left <= x <= left + drawing.BOX[0] for left in edges)
        assert 0 < x < edges[-1] + drawing.BOX[0] + drawing.MARGIN
