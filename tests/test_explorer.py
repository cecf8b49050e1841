"""The explorer page in headless Chromium: its numbers against kdlib, its controls by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from bs4 import BeautifulSoup
from ledger.explorer import OPERATORS, TEMPERATURES
from pages import CHECKERS, NARROW
from playwright import sync_api
from torch import Tensor

from kdlib import operators, outside_class, simplex

ATOL = 1e-10  # of a probability; the page promises 1e-6
PAGE = "book/explorer.html"
HEATS = (1 / 16, 1 / 8, 0.3, 0.45, 0.9, 1.0, 1.1, 2.0, 3.7, 16.0)
ORDERS = {"tsallis": (0.05, 0.5, 0.85, 1.0)}

KDLIB: dict[str, Callable[..., Tensor]] = {
    "escort": lambda x, t, s: operators.escort(x, t),
    "tsallis": lambda x, t, s: operators.tsallis(x, t, s),
    "burg": lambda x, t, s: operators.burg(x, t),
    "glue": lambda x, t, s: operators.glue(x, t),
    "layerCake": lambda x, t, s: operators.layer_cake(x, t),
    "matchedEscort": lambda x, t, s: operators.matched_escort(x, t),
    # NaN where mixing has no point, instead of an error.
    "mixing": lambda x, t, s: outside_class.mixing(x, t, validate=False),
    "gini": lambda x, t, s: outside_class.gini(x, t),
}


def teachers() -> Tensor:
    """Log-probabilities, shape (rows, 3): inside, near ties, near edges and corners, exact ties."""
    generator = torch.Generator().manual_seed(20260131)
    inside = torch.rand(70, 3, generator=generator, dtype=torch.float64) ** 2 + 1e-3
    rows: list[list[float]] = inside.tolist()
    for gap in (1e-3, 1e-6, 1e-9, 1e-12):
        rows += [[1 + gap, 1, 0.4], [1, 0.5, 0.5 - gap], [1 + gap, 1, 1], [1, 1 + gap, 1 - gap]]
    for small in (1e-3, 1e-5, 1e-7, 1e-9):
        rows += [[0.7, 0.3, small], [small, 0.5, 0.5], [1, small, small], [small, 2 * small, 1]]
    rows += [[1, 1, 1], [2, 1, 1], [1, 1, 0.2], [3, 2, 1], [1, 2, 3], [1, 0.2, 1], [5, 3, 2]]
    p = torch.tensor(rows, dtype=torch.float64)
    return (p / p.sum(-1, keepdim=True)).log()


LOG_P = teachers()
CASES = [(name, order) for name in KDLIB for order in ORDERS.get(name, (0.5,))]

# What the scripts compute on the grid: per case and teacher and T, one row or null.
COMPUTE = """([cases, teachers, heats]) => {
  const s = softeners;
  return cases.map(([name, order]) => teachers.map(logP => heats.map(T => {
    if (name === 'mixing' && T <= s.exitTemperature(logP)) return null;
    const q = s.operators[name](logP, T, order);
    return [...q, s.entropy(q), ...s.lorenz(q), s.majorizationGap(logP, q)];
  })));
}"""


def by_script(page: sync_api.Page, heats: tuple[float, ...] = HEATS) -> Tensor:
    """Return log q, H, Lorenz sums and majorisation gap by the scripts, NaN for "no point"."""
    found = page.evaluate(COMPUTE, [CASES, LOG_P.tolist(), list(heats)])
    nothing = [math.nan] * 8
    filled = [[[row or nothing for row in rows] for rows in case] for case in found]
    return torch.tensor(filled, dtype=torch.float64)


def by_kdlib() -> Tensor:
    """The same by kdlib, shape (cases, teachers, temperatures, 8)."""
    grid = LOG_P[:, None, :].expand(-1, len(HEATS), -1)
    heats = torch.tensor(HEATS, dtype=torch.float64)[:, None]
    rows = []
    for name, order in CASES:
        log_q = KDLIB[name](grid, heats, order)
        lost = log_q.isnan().any(-1, keepdim=True)
        safe = torch.where(lost, grid, log_q)
        gap = simplex.majorization_gap(grid, safe)[..., None]
        told = [safe, simplex.entropy(safe)[..., None], simplex.lorenz(safe), gap]
        rows.append(torch.cat(told, -1).masked_fill(lost, math.nan))
    return torch.stack(rows)


def disagreements(found: Tensor, expected: Tensor) -> list[str]:
    """Return the cases in which scripts and kdlib differ; an empty list is good."""
    faults = []
    for number, (name, order) in enumerate(CASES):
        mine, right = found[number].clone(), expected[number].clone()
        mine[..., :3], right[..., :3] = mine[..., :3].exp(), right[..., :3].exp()
        if not torch.equal(mine.isnan(), right.isnan()):
            faults.append(f"{name} {order}: a point is missing or there is one too many")
        elif not (worst := (mine - right).nan_to_num().abs().max()) <= ATOL:
            faults.append(f"{name} {order}: off by {worst:.1e}")
    return faults


@pytest.fixture(scope="module")
def expected() -> Tensor:
    return by_kdlib()


@pytest.fixture(scope="module")
def address(site: Path, serve) -> str:
    return serve(site)


@pytest.fixture
def page(browser, address) -> Iterator[sync_api.Page]:
    """The page, in a context of its own; at the end nothing has gone wrong on it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1200}, has_touch=True)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else 0)
    opened.on("request", lambda r: None if r.url.startswith(address) else faults.append(r.url))
    opened.goto(address + PAGE)
    opened.wait_for_selector(".explorer-app", state="visible")
    yield opened
    context.close()
    assert not faults


def part(page: sync_api.Page, name: str) -> sync_api.Locator:
    return page.locator(f'[data-part="{name}"]')


def shown(page: sync_api.Page) -> dict[str, list[float]]:
    """Return the columns of the table of values, NaN where there is no point."""
    rows = (
        part(page, "values")
        .locator("tr")
        .evaluate_all(
            "rows => rows.map(row => [...row.querySelectorAll('td')].map(e => e.textContent))"
        )
    )
    numbers = [[math.nan if cell == "none" else float(cell) for cell in row] for row in rows]
    return dict(zip("pAB", map(list, zip(*numbers, strict=True)), strict=True))


def move_to(page: sync_api.Page, p: str, t: float, a: str, b: str) -> None:
    """Bring the open page to a state by its address; operators of order 1/2."""
    page.evaluate(
        """address => new Promise(done => {
          addEventListener('hashchange', done, { once: true });  // after the page's own listener
          location.hash = address;
        })""",
        f"p={p}&T={t}&A={a},0.5&B={b},0.5",
    )


def column(log_q: Tensor) -> list[float]:
    sums = simplex.lorenz(log_q).tolist()
    return [*log_q.exp().tolist(), float(simplex.entropy(log_q)), sums[0], sums[1]]


# --- numbers ---------------------------------------------------------------------------------


def test_the_scripts_compute_what_kdlib_computes(page, expected):
    assert len(LOG_P) >= 100 and list(KDLIB) == list(OPERATORS)
    assert not disagreements(by_script(page), expected)


def test_the_comparison_sees_a_wrong_temperature(page, expected):
    late = tuple(T + 1e-3 for T in HEATS)
    assert len(disagreements(by_script(page, late), expected)) == len(CASES)


def test_the_comparison_sees_a_wrong_sign_in_the_script(site, browser, expected):
    text = (site / "_static/explorer/operators.js").read_text(encoding="utf-8")
    right = "return drop + Math.log2(temperature)"
    assert text.count(right) == 1
    opened = browser.new_page()
    opened.add_script_tag(content=text.replace(right, right.replace("+", "-")))
    faults = disagreements(by_script(opened), expected)
    opened.close()
    assert len(faults) == 1 and faults[0].startswith("layerCake")


BAD_CALLS = {
    "escort([0, 0], 1)": "logProbs must be log-probabilities: exp of 0,0 sums to 2",
    "escort([NaN, 0], 1)": "sums to NaN",
    "escort(0, 1)": "logProbs must be an array of numbers, got 0",
    "burg([0], -1)": "temperature must be finite and > 0, got -1",
    "tsallis([0], 1, 2)": "order must lie in (0, 1], got 2",
    "mixing([Math.log(0.9), Math.log(0.1)], 0.5)": "for mixing here, got 0.5",
}


def test_an_operator_refuses_a_bad_argument(page):
    for call, told in BAD_CALLS.items():
        message = page.evaluate(
            f"() => {{ try {{ softeners.operators.{call} }} catch (e) {{ return e.message }} }}"
        )
        assert told in message


def at_entropy(name: str, log_p: Tensor, entropy: Tensor) -> Tensor:
    """Return the point of an operator's curve with an entropy, by bisection with kdlib."""
    low, high = torch.tensor(-12.0).double(), torch.tensor(12.0).double()
    for _ in range(80):
        middle = (low + high) / 2
        below = simplex.entropy(KDLIB[name](log_p, float(middle.exp()), 0.5)) < entropy
        low, high = (middle, high) if below else (low, middle)
    return KDLIB[name](log_p, float(low.exp()), 0.5)


VERDICTS = [
    ("escort", "burg", "0.5,0.3,0.2", "Different curves"),
    ("layerCake", "tsallis", "0.6,0.1,0.3", "Different curves"),
    ("gini", "glue", "0.4,0.35,0.25", "Different curves"),
    ("escort", "matchedEscort", "0.5,0.3,0.2", "Same curve here, other clock"),
    ("matchedEscort", "escort", "0.9,0.099,0.001", "Same curve here, other clock"),
    ("burg", "layerCake", "0.5,0.25,0.25", "Same curve here, other clock"),
    ("burg", "matchedEscort", "0.25,0.5,0.25", "Same point"),
    ("escort", "escort", "0.5,0.3,0.2", "Same point"),
    ("gini", "mixing", "0.5,0.3,0.2", "Same point while mixing lasts"),
]


def test_the_verdict_and_its_distances(page):
    for a, b, p, verdict in VERDICTS:
        move_to(page, p, 2.0, a, b)
        assert part(page, "verdict").locator("strong").inner_text() == verdict, (a, b, p)
        log_p = torch.tensor([float(x) for x in p.split(",")], dtype=torch.float64).log()
        q_a, q_b = (KDLIB[name](log_p, 2.0, 0.5) for name in (a, b))
        matched = at_entropy(b, log_p, simplex.entropy(q_a))
        for name, other in (("naive", q_b), ("matched", matched)):
            told = float(part(page, name).inner_text())
            apart = float((q_a.exp() - other.exp()).abs().sum() / 2)
            assert told == pytest.approx(apart, abs=1e-6), (a, b, p, name)


def test_the_words_on_majorisation_are_true(page):
    for T in (0.2, 0.9, 1.5, 8.0):
        for a, b in (("escort", "layerCake"), ("glue", "burg"), ("gini", "tsallis")):
            move_to(page, "0.7,0.2,0.1", T, a, b)
            log_p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
            points = {"p": log_p, "A": KDLIB[a](log_p, T, 0.5), "B": KDLIB[b](log_p, T, 0.5)}
            lines = part(page, "order").locator("li").all_inner_texts()
            assert len(lines) == 3
            for line in lines:
                x, y = (points[name] for name in re.findall(r"\b[ABp]\b", line))
                up, down = simplex.majorizes(x, y), simplex.majorizes(y, x)
                assert ("is majorised by" in line) == bool(down and not up), (T, a, b, line)
                assert (" majorises " in line) == bool(up and not down), (T, a, b, line)
                assert ("not comparable" in line) == bool(not up and not down), (T, a, b, line)


def test_mixing_has_an_end(page):
    move_to(page, "0.5,0.3,0.2", 0.39, "mixing", "gini")
    assert "T = 0.4." in part(page, "verdict").inner_text()
    assert all(math.isnan(x) for x in shown(page)["A"])
    assert not any(math.isnan(x) for x in shown(page)["B"])
    assert part(page, "triangle").get_by_text("×").count() == 1


# --- hands -----------------------------------------------------------------------------------


def check_table(page: sync_api.Page) -> None:
    """Hold the whole table against kdlib, at the state that the address names."""
    state = dict(re.findall(r"[#&](\w)=([^&]*)", page.url))
    p = torch.tensor([float(x) for x in state["p"].split(",")], dtype=torch.float64)
    columns = shown(page)
    assert columns["p"] == pytest.approx(column(p.log()), abs=1e-6)
    for name in "AB":
        op, order = state[name].split(",")
        log_q = KDLIB[op](p.log(), float(state["T"]), float(order))
        assert columns[name] == pytest.approx(column(log_q), abs=1e-6)


def test_arrow_keys_move_the_teacher(page):
    part(page, "handle").focus()
    before = shown(page)["p"]
    page.keyboard.press("ArrowRight")
    moved = shown(page)["p"]
    assert moved[:3] == pytest.approx([before[0], before[1] - 0.01, before[2] + 0.01], abs=1e-6)
    page.keyboard.press("Shift+ArrowLeft")
    assert shown(page)["p"][1] == pytest.approx(moved[1] + 0.1, abs=1e-6)
    page.keyboard.press("Shift+ArrowDown")
    assert shown(page)["p"][0] == pytest.approx(before[0] - 0.2 / math.sqrt(3), abs=1e-6)
    check_table(page)
    for _ in range(20):
        page.keyboard.press("Shift+ArrowUp")  # stops at the corner, inside
    assert 0 < shown(page)["p"][1] < 2e-9 and "label 1 1," in str(
        part(page, "handle").get_attribute("aria-valuetext")
    )
    page.keyboard.press("Home")
    assert shown(page)["p"][:3] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert "p = (0.333, 0.333, 0.333)" in part(page, "live").inner_text()


def test_fields_sliders_and_buttons_work_by_keyboard(page):
    part(page, "t-range").focus()
    page.keyboard.press("ArrowRight")
    assert part(page, "t-field").input_value() == f"{2**1.05:.7g}"
    page.keyboard.press("End")
    assert part(page, "t-field").input_value() == "16"
    part(page, "t-field").fill("0.3")
    page.keyboard.press("Enter")
    assert float(part(page, "t-range").input_value()) == pytest.approx(math.log2(0.3), abs=0.03)
    part(page, "a-op").select_option("tsallis")
    part(page, "a-order").focus()
    page.keyboard.press("ArrowRight")
    assert "A=tsallis,0.55" in page.url
    part(page, "p-2").fill("0.6")
    page.keyboard.press("Enter")
    assert shown(page)["p"][:3] == pytest.approx([0.3, 0.6, 0.1], abs=1e-6)
    check_table(page)
    part(page, "p-2").fill("")
    page.keyboard.press("Enter")
    assert part(page, "p-2").input_value() == "0.6"
    page.get_by_role("button", name="near the edge").focus()
    page.keyboard.press("Enter")
    assert shown(page)["p"][2] == pytest.approx(1e-6, rel=1e-5)


def test_tab_reaches_every_control_and_each_has_a_name(page):
    part(page, "a-op").select_option("tsallis")
    part(page, "b-op").select_option("tsallis")
    controls = page.locator(".explorer-app").locator("select, input, button, [tabindex]")
    page.evaluate("document.activeElement.blur()")
    part(page, "a-op").focus()
    reached = 1
    for _ in range(controls.count() - 1):
        page.keyboard.press("Tab")
        reached += page.evaluate("!!document.activeElement.closest('.explorer-app')")
    assert reached == controls.count() == 15
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = ("combobox", "slider", "spinbutton", "button")
    named = {
        (node["role"]["value"], node["name"]["value"])
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles
    }
    for expected in (
        ("combobox", "Rule of A"),
        ("combobox", "Rule of B"),
        ("slider", "Temperature, on a log scale"),
        ("spinbutton", "Temperature T"),
        ("slider", "Teacher p"),
        ("spinbutton", "Label 3"),
        ("button", "near tie"),
    ):
        assert expected in named
    assert any(role == "slider" and name.startswith("Order s of B") for role, name in named)
    assert all(name.strip() for _, name in named)


def centre(locator: sync_api.Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_dragging_moves_the_teacher(page):
    part(page, "handle").scroll_into_view_if_needed()
    x, y = centre(part(page, "handle"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=3)
    page.mouse.up()
    after = shown(page)["p"]
    assert after[0] < 0.5 and after[2] > 1 / 6
    assert centre(part(page, "handle")) == pytest.approx((x + 30, y + 20), abs=1)
    check_table(page)
    page.mouse.move(x, y)  # the button is up: nothing follows
    assert shown(page)["p"] == after
    page.mouse.click(x, y)  # a click in the triangle moves p there
    assert shown(page)["p"][:3] == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=0.01)


def test_a_finger_drags_the_teacher(page):
    part(page, "handle").scroll_into_view_if_needed()
    x, y = centre(part(page, "handle"))
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 40, "y": y}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("location.hash.startsWith('#p=')")
    assert centre(part(page, "handle")) == pytest.approx((x + 40, y), abs=1.5)
    check_table(page)


def test_an_address_restores_its_state_and_a_bad_one_does_no_harm(page, address):
    values = []
    for state in ("p=x,y,z&T=-1&A=toString,7&B=none", "p=0.2,0.7,0.1&T=3&A=tsallis,0.3&B=glue,0.5"):
        page.goto("about:blank")
        page.goto(f"{address}{PAGE}#{state}")
        page.wait_for_selector(".explorer-app", state="visible")
        values.append((shown(page)["p"][:3], part(page, "t-field").input_value()))
    assert values[0] == (pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=1e-6), "2")
    assert values[1] == (pytest.approx([0.2, 0.7, 0.1], abs=1e-6), "3")
    assert part(page, "a-order").input_value() == "0.3"
    check_table(page)


# --- fallback, small screens -----------------------------------------------------------------


def test_without_javascript_a_picture_and_a_true_table_stand_there(address, browser):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(address + PAGE)
    assert opened.locator("svg.explorer-picture").is_visible()
    assert opened.locator("table.explorer-table").is_visible()
    assert not opened.locator(".explorer-app").is_visible()
    soup = BeautifulSoup(opened.content(), "html.parser")
    context.close()
    rows = soup.select("table.explorer-table tbody tr")
    assert len(rows) == len(OPERATORS) * len(TEMPERATURES)
    log_p = torch.tensor([1 / 2, 1 / 3, 1 / 6], dtype=torch.float64).log()
    for row in rows:
        name, T = str(row["data-operator"]), float(str(row["data-temperature"]))
        cells = [cell.get_text() for cell in row.find_all("td")][1:]
        if name == "mixing" and T <= 0.5:
            assert cells == ["no point inside: exit at T = 0.5"]
            continue
        log_q = KDLIB[name](log_p, T, 0.5)
        expected = [*log_q.exp().tolist(), float(simplex.entropy(log_q)), float(log_q.max().exp())]
        assert [float(cell) for cell in cells] == pytest.approx(expected, abs=1e-7)


def test_with_javascript_the_fallback_gives_way(page):
    assert not part(page, "fallback").is_visible()
    assert not page.locator("table.explorer-table").is_visible()


def test_a_file_without_a_server_works_too(site, browser):
    opened = browser.new_page()
    opened.goto((site / PAGE).as_uri())
    opened.wait_for_selector(".explorer-app", state="visible")
    opened.get_by_role("button", name="near tie").click()
    assert shown(opened)["p"][0] == pytest.approx(0.401, abs=1e-6)
    opened.close()


def test_nothing_is_too_wide_for_a_phone(page):
    page.set_viewport_size(NARROW)
    page.evaluate(CHECKERS)
    part(page, "a-op").select_option("tsallis")
    for name in ("near the edge", "near tie"):
        page.get_by_role("button", name=name).click()
        assert not page.evaluate("bookChecks.overflow()")
    box = part(page, "handle").bounding_box()
    assert box is not None and box["width"] >= 44  # wide enough for a finger


def test_only_this_page_loads_the_scripts(site):
    for path in (site / "book").glob("*.html"):
        loads = "explorer/operators.js" in path.read_text(encoding="utf-8")
        assert loads == (path.name == "explorer.html"), path.name


def test_the_statements_named_on_the_page_exist(site):
    known = {e["label"] for e in json.loads((site / "ledger.json").read_text())["statements"]}
    soup = BeautifulSoup((site / PAGE).read_text(encoding="utf-8"), "html.parser")
    linked = {a["href"].rpartition("#")[2] for a in soup.select("article a[href*='notebooks/']")}
    assert {"five-curves", "two-labels-one-orbit", "orbit-rigidity", "gini-weak"} <= linked & known
