/* The explorer page: a triangle in which the reader moves a teacher p, and what two softening
   operators make of it. All numbers come from operators.js; this file only shows them. */
"use strict";

(() => {
  const root = document.querySelector(".explorer");
  const math = globalThis.softeners;
  if (!root || !math) return; // the picture and the table of the page stay

  const LEAST = 1e-9; // smallest share of a label: operators live inside the triangle
  const COLDEST = 1 / 16;
  const HOTTEST = 16;
  const SAME = 1e-6; // the page promises this accuracy, so it sees no smaller distance
  const SIDE = 352;
  const LEFT = 24;
  const TOP = 34;
  const HEIGHT = SIDE * Math.sqrt(3) / 2;
  const CHART = { left: 56, right: 390, top: 12, bottom: 198 };
  const NAMES = ["a", "b"];

  const part = name => root.querySelector(`[data-part="${name}"]`);
  const state = {
    p: [1 / 2, 1 / 3, 1 / 6],
    T: 2,
    a: { op: "escort", order: 0.5 },
    b: { op: "burg", order: 0.5 },
  };

  /* --- numbers --- */

  /* A teacher whose shares are positive and sum to 1. */
  function teacher(shares) {
    const kept = shares.map(x => Math.max(x, 0));
    const total = kept.reduce((x, y) => x + y, 0);
    const lifted = kept.map(x => Math.max(x / total, LEAST));
    const sum = lifted.reduce((x, y) => x + y, 0);
    return lifted.map(x => x / sum);
  }

  const clampT = T => Math.min(Math.max(T, COLDEST), HOTTEST);

  function tell(x) {
    if (x === 0) return "0"; // also -0, the entropy of a corner
    return Math.abs(x) < 1e-4 ? x.toExponential(5) : x.toFixed(7);
  }

  // Nothing finer is meant by a distance: the two points carry rounding of their own.
  const tellDistance = x => x < 1e-12 ? "0" : tell(x);

  const short = x => String(Number(x.toPrecision(3)));

  /* One operator at the teacher: soften(T), and the lowest T that it reaches. */
  function makeSide({ op, order }, logP) {
    const softener = math.operators[op];
    // Mixing has no point at or below its exit; a hair above it stands for the exit itself.
    const floor = op === "mixing" ? math.exitTemperature(logP) * (1 + 1e-12) : 0;
    const soften = T => softener(logP, T, order);
    // The matched escort's curve is by definition the escort's, on which the search is faster.
    const curve = op === "matchedEscort" ? T => math.operators.escort(logP, T) : soften;
    return { soften, curve, floor, has: T => T > floor };
  }

  /* The temperature, on the clock soften, at which a side has the entropy of q; or null. */
  const clock = (side, soften, q) =>
    math.temperatureOfEntropy(soften, q, Math.max(side.floor, 2 ** -60), 2 ** 60);

  /* The point of a side's curve with the entropy of q; or null. */
  function match(side, q) {
    const T = clock(side, side.curve, q);
    return T === null ? null : side.curve(T);
  }

  /* How far A and B are apart at this teacher: largest distances over the temperatures shown. */
  function compare(a, b) {
    const far = { clock: 0, curve: 0 };
    for (let k = -16; k <= 16; k += 1) {
      const T = 2 ** (k / 4);
      if (!a.has(T)) continue;
      const q = a.soften(T);
      if (b.has(T)) far.clock = Math.max(far.clock, math.variation(q, b.soften(T)));
      const found = match(b, q);
      if (found) far.curve = Math.max(far.curve, math.variation(q, found));
    }
    return far;
  }

  /* --- drawing --- */

  const place = q => [LEFT + SIDE * (q[0] / 2 + q[2]), TOP + HEIGHT * (1 - q[0])];
  const path = points =>
    points.length ? `M${points.map(xy => xy.map(v => v.toFixed(2)).join()).join("L")}` : "";
  const line = (kind, points) => `<path class="explorer-${kind}" d="${path(points)}"/>`;
  const text = (x, y, anchor, told) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${told}</text>`;

  function dot(name, [x, y]) {
    if (name === "a") return `<circle class="explorer-dot-a" cx="${x}" cy="${y}" r="5.5"/>`;
    return `<rect class="explorer-dot-b" x="${x - 4.5}" y="${y - 4.5}" width="9" height="9"/>`;
  }

  function temperatures(octaves, each, floor) {
    const all = [];
    for (let k = -octaves * each; k <= octaves * each; k += 1) all.push(2 ** (k / each));
    const kept = all.filter(T => T > floor);
    return floor > 0 && floor > all[0] ? [floor * (1 + 1e-12), ...kept] : kept;
  }

  /* The points of entropy h, one arc around each corner (together a closed curve for large h). */
  function level(h) {
    const arc = [];
    for (let k = -40; k <= 40; k += 1) {
      // From the centre, entropy falls along each ray. More rays pass near the corner.
      const t = (k / 40) ** 3;
      const edge = [1 - Math.abs(t) / 2, t > 0 ? t / 2 : 0, t < 0 ? -t / 2 : 0];
      const at = r => edge.map(x => Math.log((1 - r) / 3 + r * x));
      if (math.entropy(at(1)) >= h) continue;
      let [low, high] = [0, 1];
      for (let n = 0; n < 40; n += 1) {
        const middle = (low + high) / 2;
        if (math.entropy(at(middle)) > h) low = middle; else high = middle;
      }
      arc.push(at(low).map(Math.exp));
    }
    return [0, 1, 2].map(n => arc.map(q => place(q.map((_, i) => q[(i + n) % 3]))))
      .map(points => line("level", points)).join("");
  }

  function drawTriangle(sides, points) {
    const corners = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(place);
    const drawn = [
      `<path class="explorer-frame" d="${path(corners)}Z"/>`,
      text(corners[0][0], TOP - 10, "middle", "label 1"),
      text(LEFT, TOP + HEIGHT + 22, "start", "label 2"),
      text(LEFT + SIDE, TOP + HEIGHT + 22, "end", "label 3"),
    ];
    const levels = [...new Set(NAMES.filter(name => points[name])
      .map(name => math.entropy(points[name]).toFixed(6)))];
    drawn.push(...levels.map(h => level(Number(h))));
    for (const name of NAMES) {
      const { curve, floor } = sides[name];
      const orbit = temperatures(20, 8, floor).map(T => place(curve(T).map(Math.exp)));
      drawn.push(line(`line-${name}`, orbit));
      if (floor > 0) drawn.push(text(orbit[0][0], orbit[0][1] + 4, "middle", "×"));
    }
    for (const name of NAMES) {
      if (points[name]) drawn.push(dot(name, place(points[name].map(Math.exp))));
    }
    part("triangle").innerHTML = drawn.join("");
    const [x, y] = place(state.p);
    part("handle").style.left = `${x / 4}%`;
    part("handle").style.top = `${y / 3.72}%`;
  }

  function chart(name, bottom, top, drawn) {
    const { left, right } = CHART;
    const frame = [[left, CHART.top], [right, CHART.top], [right, CHART.bottom], [left, CHART.bottom]];
    part(name).innerHTML = `<path class="explorer-frame" d="${path(frame)}Z"/>`
      + text(left - 6, CHART.bottom, "end", bottom) + text(left - 6, CHART.top + 10, "end", top)
      + drawn.join("");
  }

  const across = x => CHART.left + x * (CHART.right - CHART.left);
  const up = y => CHART.bottom - y * (CHART.bottom - CHART.top);

  function drawEntropy(sides, points) {
    const at = T => across((Math.log2(T) + 4) / 8);
    const height = q => up(math.entropy(q) / Math.log(3));
    const drawn = [1 / 16, 1 / 4, 1, 4, 16]
      .map((T, i) => text(at(T), 218, "middle", ["1/16", "1/4", "1", "4", "16"][i]));
    drawn.push(line("now", [[at(state.T), CHART.top], [at(state.T), CHART.bottom]]));
    for (const name of NAMES) {
      const { soften, floor } = sides[name];
      const curve = temperatures(4, 8, floor).map(T => [at(Math.max(T, COLDEST)), height(soften(T))]);
      drawn.push(line(`line-${name}`, curve));
    }
    for (const name of NAMES) if (points[name]) drawn.push(dot(name, [at(state.T), height(points[name])]));
    chart("entropy", "0", "1.0986", drawn);
  }

  function drawLorenz(logP, points) {
    const curve = q => [0, ...math.lorenz(q)].map((y, k) => [across(k / 3), up(y)]);
    const drawn = [0, 1, 2, 3].map(k => text(across(k / 3), 218, k === 3 ? "end" : "middle", `k = ${k}`));
    drawn.push(line("teacher-line", curve(logP)));
    for (const name of NAMES.filter(each => points[each])) {
      const steps = curve(points[name]);
      drawn.push(line(`line-${name}`, steps), ...steps.slice(1, 3).map(xy => dot(name, xy)));
    }
    chart("lorenz", "0", "1", drawn);
  }

  /* --- words --- */

  function relation(x, y, nameX, nameY) {
    const slack = 1e-12;
    const below = math.majorizationGap(y, x) <= slack; // y majorises x
    const above = math.majorizationGap(x, y) <= slack;
    if (below && above) return `${nameX} and ${nameY} have the same Lorenz curve (to 12 digits).`;
    if (below) return `${nameX} is majorised by ${nameY}: it is flatter.`;
    if (above) return `${nameX} majorises ${nameY}: it is sharper.`;
    return `${nameX} and ${nameY} are not comparable: their Lorenz curves cross.`;
  }

  /* What a reader may conclude: a few words, and the numbers behind them. */
  function verdict(sides, points, far) {
    const mixed = NAMES.filter(name => state[name].op === "mixing");
    const tail = mixed.length === 0 ? ""
      : `Mixing leaves the triangle at T = ${short(sides[mixed[0]].floor)}.`;
    const lasts = mixed.length === 1 ? " while mixing lasts" : "";
    if (!points.a) return ["No point of A", `at this temperature. ${tail}`];
    const found = match(sides.b, points.a);
    let here = "B has no point of A's entropy.";
    if (found) {
      const T = clock(sides.b, sides.b.soften, points.a);
      const apart = math.variation(points.a, found);
      here = `A at T = ${short(state.T)} has the entropy of B ${T > 1e-6 && T < 1e6
        ? `at T = ${T.toPrecision(7)}` : "in the limit only"}; there the two are `
        + `<b data-part="matched">${tellDistance(apart)}</b> apart in total variation.`;
    }
    const same = points.b ? math.variation(points.a, points.b) : null;
    const naive = same === null ? "B has no point at this temperature."
      : `At the same T they are <b data-part="naive">${tellDistance(same)}</b> apart.`;
    const numbers = `${here} ${naive} ${tail}`;
    if (far.curve >= SAME) {
      return ["Different curves", `up to ${short(far.curve)} apart at equal entropy. `
        + `This p tells A and B apart, whatever their clocks. ${numbers}`];
    }
    if (far.clock >= SAME) {
      return [`Same curve here, other clock${lasts}`, "to within 10⁻⁶. "
        + `At this p only the temperature tells A and B apart. ${numbers}`];
    }
    return [`Same point${lasts}`, "at every temperature shown, to within 10⁻⁶. "
      + `${lasts ? "" : "This p cannot tell A and B apart. "}${numbers}`];
  }

  function showWords(sides, logP, points) {
    const [head, rest] = verdict(sides, points, compare(sides.a, sides.b));
    part("verdict").innerHTML = `<strong>${head}</strong>: ${rest}`;
    const rows = [
      ...[0, 1, 2].map(i => [`Label ${i + 1}`, q => Math.exp(q[i])]),
      ["Entropy", math.entropy],
      ["Top", q => math.lorenz(q)[0]],
      ["Top two", q => math.lorenz(q)[1]],
    ];
    const row = ([name, value]) => `<tr><th scope="row">${name}</th>${
      [logP, points.a, points.b].map(q => `<td>${q ? tell(value(q)) : "none"}</td>`).join("")}</tr>`;
    part("values").innerHTML = rows.map(row).join("");
    const relations = [];
    if (points.a) relations.push(relation(points.a, logP, "A", "p"));
    if (points.b) relations.push(relation(points.b, logP, "B", "p"));
    if (points.a && points.b) relations.push(relation(points.a, points.b, "A", "B"));
    part("order").innerHTML = relations.map(told => `<li>${told}</li>`).join("");
    const told = name => `${name.toUpperCase()} has ${points[name]
      ? `entropy ${math.entropy(points[name]).toFixed(3)}` : "no point"}`;
    const shares = state.p.map(short).join(", ");
    part("live").textContent =
      `p = (${shares}), T = ${short(state.T)}: ${told("a")}, ${told("b")}. ${head}.`;
    part("handle").setAttribute("aria-valuetext",
      state.p.map((x, i) => `label ${i + 1} ${short(x)}`).join(", "));
    part("handle").setAttribute("aria-valuenow", short(state.p[0]));
    const at = name => points[name]
      ? `at (${points[name].map(x => short(Math.exp(x))).join(", ")})` : "nowhere";
    part("triangle").setAttribute("aria-label", "Triangle of distributions with the curves of "
      + `A and B through p = (${shares}); A stands ${at("a")}, B ${at("b")}.`);
  }

  /* --- controls --- */

  function showControls() {
    for (const name of NAMES) {
      const { op, order } = state[name];
      part(`${name}-op`).value = op;
      part(`${name}-order`).value = order;
      part(`${name}-order`).closest("label").hidden = op !== "tsallis";
      part(`${name}-order-told`).textContent = short(order);
    }
    part("t-range").value = Math.log2(state.T);
    part("t-range").setAttribute("aria-valuetext", `T = ${short(state.T)}`);
    part("t-field").value = Number(state.T.toPrecision(7));
    state.p.forEach((x, i) => { part(`p-${i + 1}`).value = Number(x.toPrecision(7)); });
  }

  function render() {
    const logP = state.p.map(Math.log);
    const sides = { a: makeSide(state.a, logP), b: makeSide(state.b, logP) };
    const points = {};
    for (const name of NAMES) {
      points[name] = sides[name].has(state.T) ? sides[name].soften(state.T) : null;
    }
    showControls();
    drawTriangle(sides, points);
    drawEntropy(sides, points);
    drawLorenz(logP, points);
    showWords(sides, logP, points);
  }

  /* The address after # holds the state, so that a reader can share it. */
  function remember() {
    const { p, T, a, b } = state;
    const shares = p.map(x => Number(x.toPrecision(12))).join();
    history.replaceState(null, "", `#p=${shares}&T=${T}&A=${a.op},${a.order}&B=${b.op},${b.order}`);
  }

  function recall() {
    const found = new URLSearchParams(location.hash.slice(1));
    if (!found.has("p")) return;
    const p = found.get("p").split(",").map(Number);
    if (p.length === 3 && p.every(x => x >= 0 && x <= 1) && p.some(x => x > 0)) state.p = teacher(p);
    const T = Number(found.get("T"));
    if (T > 0) state.T = clampT(T);
    for (const name of NAMES) {
      const [op, order] = (found.get(name.toUpperCase()) || "").split(",");
      if (Object.hasOwn(math.operators, op)) state[name].op = op;
      if (order >= 0.05 && order <= 1) state[name].order = Number(order);
    }
  }

  function change(update) {
    update();
    render();
    remember();
  }

  function listen() {
    for (const name of NAMES) {
      part(`${name}-op`).addEventListener("change", event =>
        change(() => { state[name].op = event.target.value; }));
      part(`${name}-order`).addEventListener("input", event =>
        change(() => { state[name].order = Number(event.target.value); }));
    }
    part("t-range").addEventListener("input", event =>
      change(() => { state.T = 2 ** Number(event.target.value); }));
    part("t-field").addEventListener("change", event => change(() => {
      const T = Number(event.target.value);
      if (T > 0) state.T = clampT(T); // anything else: the field shows the old value again
    }));
    [0, 1, 2].forEach(i => part(`p-${i + 1}`).addEventListener("change", event => change(() => {
      // The other two keep their ratio and share what is left.
      const x = Number(event.target.value);
      if (event.target.value === "" || !(x >= 0 && x <= 1)) return;
      const rest = 1 - state.p[i];
      state.p = teacher(state.p.map((y, j) => j === i ? x : y / rest * (1 - x)));
    })));
    root.querySelectorAll("[data-preset]").forEach(button => button.addEventListener("click", () =>
      change(() => { state.p = teacher(button.dataset.preset.split(",").map(Number)); })));
    addEventListener("hashchange", () => { recall(); render(); });
    listenToHandle();
  }

  function moveBy(right, upward) {
    const [x, y] = place(state.p);
    moveTo(x + right * SIDE, y - upward * SIDE);
  }

  function moveTo(x, y) {
    const first = 1 - (y - TOP) / HEIGHT;
    const third = (x - LEFT) / SIDE - first / 2;
    change(() => { state.p = teacher([first, 1 - first - third, third]); });
  }

  function listenToHandle() {
    const [handle, stage] = [part("handle"), part("triangle")];
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    handle.addEventListener("keydown", event => {
      const step = event.shiftKey ? 0.1 : 0.01;
      if (event.key === "Home") change(() => { state.p = teacher([1, 1, 1]); });
      else if (arrows[event.key]) moveBy(...arrows[event.key].map(v => v * step));
      else return;
      event.preventDefault(); // the page does not scroll
    });
    const follow = event => {
      const box = stage.getBoundingClientRect();
      moveTo((event.clientX - box.left) * 400 / box.width, (event.clientY - box.top) * 372 / box.height);
    };
    handle.addEventListener("pointerdown", event => {
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      handle.focus();
    });
    handle.addEventListener("pointermove", event => {
      if (handle.hasPointerCapture(event.pointerId)) follow(event);
    });
    // A click in the triangle moves p there; a touch there scrolls the page instead.
    stage.addEventListener("pointerdown", event => { if (event.pointerType === "mouse") follow(event); });
  }

  recall();
  listen();
  render();
  part("fallback").hidden = true;
  part("app").hidden = false;
})();
