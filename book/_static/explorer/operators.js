/* The book's softening operators on one distribution, for the explorer page.

   Each operator takes natural logarithms of probabilities (an array of any length, -Infinity for
   a zero) and a temperature, and returns logarithms. The formulas and the stopping rules are those
   of kdlib; tests/test_explorer.py holds both equal. Nothing here touches the page, and nothing
   renormalises an input: a bad one throws an error that names the argument and its value. */
"use strict";

globalThis.softeners = (() => {
  const MAX_STEPS = 100;
  const ROUNDING = 1e-14; // relative error of an entropy summed in double precision
  const SLACK = 1e-9;

  const sum = values => values.reduce((total, x) => total + x, 0);
  const share = logs => logs.map(Math.exp);

  function logSumExp(logs) {
    const top = Math.max(...logs);
    return top === -Infinity ? top : top + Math.log(sum(logs.map(x => Math.exp(x - top))));
  }

  function check(logProbs, temperature) {
    if (!Array.isArray(logProbs) || logProbs.length === 0) {
      throw new TypeError(`logProbs must be an array of numbers, got ${logProbs}`);
    }
    const total = sum(share(logProbs));
    if (!(Math.abs(total - 1) <= 1e-6)) {
      throw new RangeError(`logProbs must be log-probabilities: exp of ${logProbs} sums to ${total}`);
    }
    if (!(temperature > 0 && temperature < Infinity)) {
      throw new RangeError(`temperature must be finite and > 0, got ${temperature}`);
    }
  }

  /* q proportional to p^(1/T). */
  function escort(logProbs, temperature) {
    check(logProbs, temperature);
    // Dividing by a small T magnifies rounding, least so for entries near the largest.
    const top = Math.max(...logProbs);
    const scaled = logProbs.map(x => (x - top) / temperature);
    const total = logSumExp(scaled);
    return scaled.map(x => x - total);
  }

  /* q_i^-s = p_i^-s / T + nu. With q_i^-s = 1 + c + d_i, where d_i >= 0 compares label i with the
     top one, c lies in [0, V^s - 1], and Newton's method on (sum q)^-s, which is concave in c,
     lands left of the root and then climbs to it. */
  function tsallis(logProbs, temperature, order = 0.5) {
    check(logProbs, temperature);
    if (!(order > 0 && order <= 1)) throw new RangeError(`order must lie in (0, 1], got ${order}`);
    const top = Math.max(...logProbs);
    const factor = Math.exp(-order * top) / temperature;
    // expm1 keeps near-ties apart; a far tail overflows to Infinity, whose q is 0 in the sum.
    const gaps = logProbs.map(x => Math.expm1(order * (top - x)) * factor);
    const highest = Math.expm1(order * Math.log(logProbs.length));
    const enough = Math.sqrt(Number.EPSILON) / 2;
    let c = 0;
    for (let n = 0; n < MAX_STEPS; n += 1) {
      let total = 0;
      let slope = 0;
      for (const gap of gaps) {
        const q = Math.exp(-Math.log1p(c + gap) / order);
        total += q;
        slope += q / (1 + c + gap);
      }
      const step = total * Math.expm1(order * Math.log(total)) / slope;
      c = Math.min(Math.max(c + step, 0), highest);
      // Newton squares the error: this step was the last one needed.
      if (Math.abs(step) <= enough * (1 + c)) break;
    }
    // So far down the tail, q = p T^(1/s) to all digits, and finite in the log domain.
    return gaps.map((gap, i) => gap === Infinity
      ? logProbs[i] + Math.log(temperature) / order : -Math.log1p(c + gap) / order);
  }

  const burg = (logProbs, temperature) => tsallis(logProbs, temperature, 1);

  /* p/T + (1 - 1/T) u for T > 1, in logarithms, which keep the digits of a small p. */
  function warmMixture(logProbs, temperature) {
    const uniform = Math.log((temperature - 1) / temperature) - Math.log(logProbs.length);
    return logProbs.map(x => logSumExp([x - Math.log(temperature), uniform]));
  }

  function glue(logProbs, temperature) {
    check(logProbs, temperature);
    return temperature > 1 ? warmMixture(logProbs, temperature) : escort(logProbs, temperature);
  }

  /* p is a mixture of uniform distributions on its top k labels; the weight of layer k is
     multiplied by k^(log2 T). */
  function layerCake(logProbs, temperature) {
    check(logProbs, temperature);
    const ranks = logProbs.map((_, i) => i).sort((i, j) => logProbs[j] - logProbs[i] || i - j);
    // Logarithm of what layer k gives to each of its labels; an empty layer gives nothing.
    const layers = ranks.map((label, k) => {
      const own = logProbs[label];
      const below = k + 1 < ranks.length ? logProbs[ranks[k + 1]] : -Infinity;
      if (own === below) return -Infinity;
      const drop = own + Math.log(-Math.expm1(below - own));
      return drop + Math.log2(temperature) * Math.log(k + 1);
    });
    const total = logSumExp(layers.map((x, k) => x + Math.log(k + 1)));
    const logQ = new Array(logProbs.length);
    ranks.forEach((label, k) => { logQ[label] = logSumExp(layers.slice(k)) - total; });
    return logQ;
  }

  /* The escort at the inverse temperature whose entropy is that of Burg at T. */
  function matchedEscort(logProbs, temperature) {
    const target = burg(logProbs, temperature);
    const finite = logProbs.filter(x => x > -Infinity);
    if (Math.max(...finite) === Math.min(...finite)) return escort(logProbs, 1);
    const difference = entropyDifference(target);
    const digits = ROUNDING * smallerEntropy(target).digits;
    let [low, high, logBeta] = [-40, 40, 0];
    for (let n = 0; n < 2 * MAX_STEPS; n += 1) {
      const beta = Math.exp(logBeta);
      const logQ = escort(logProbs, 1 / beta);
      const gap = -difference(logQ);
      const arrived = Math.abs(gap) <= digits;
      if (gap > 0) high = logBeta; else low = logBeta;
      // Newton in log beta where it stays inside the bracket, bisection elsewhere.
      const step = arrived ? 0 : gap / (beta ** 2 * variance(logProbs, logQ));
      const newton = logBeta - step;
      const inside = newton >= low - SLACK && newton <= high + SLACK;
      logBeta = inside ? newton : (low + high) / 2;
      if (Math.abs(step) <= 1e-13) break;
    }
    return escort(logProbs, Math.exp(-logBeta));
  }

  function variance(logProbs, logQ) {
    const weight = share(logQ);
    // Relative to the largest, so that near ties of the leaders do not cancel.
    const top = Math.max(...logProbs);
    const safe = logProbs.map(x => x === -Infinity ? 0 : x - top);
    const mean = sum(safe.map((x, i) => weight[i] * x));
    return sum(safe.map((x, i) => weight[i] * (x - mean) ** 2));
  }

  /* Below this temperature mixing has a negative entry. */
  const exitTemperature = logProbs => 1 - logProbs.length * Math.exp(Math.min(...logProbs));

  function mixing(logProbs, temperature) {
    check(logProbs, temperature);
    if (temperature > 1) return warmMixture(logProbs, temperature);
    if (temperature === 1) return [...logProbs];
    const shift = (temperature - 1) / logProbs.length;
    const mixed = share(logProbs).map(x => (x + shift) / temperature);
    if (Math.min(...mixed) < 0) {
      const exit = exitTemperature(logProbs);
      throw new RangeError(`temperature must be >= ${exit} for mixing here, got ${temperature}`);
    }
    return mixed.map(Math.log);
  }

  /* Sparsemax of p/T. Distances to the leader do not cancel, also where p/T is large. */
  function gini(logProbs, temperature) {
    check(logProbs, temperature);
    const p = share(logProbs);
    const top = Math.max(...p);
    const behind = p.map(x => (top - x) / temperature);
    // The lead computed from the first k labels falls while label k keeps mass, so the smallest
    // one is the right one.
    let total = 1;
    let lead = Infinity;
    [...behind].sort((x, y) => x - y).forEach((x, k) => {
      total += x;
      lead = Math.min(lead, total / (k + 1));
    });
    return behind.map(x => Math.log(Math.max(lead - x, 0)));
  }

  /* --- what the page shows of a distribution --- */

  const entropy = logQ => -sum(logQ.map(x => x === -Infinity ? 0 : Math.exp(x) * x));

  /* log(support size) - H(q), summed from terms >= 0, so that it keeps its digits near uniform. */
  function negentropy(logQ) {
    const support = logQ.filter(x => x > -Infinity).length;
    return sum(logQ.map(x => {
      if (x === -Infinity) return 0;
      const excess = Math.exp(x) * support - 1;
      const log = Math.abs(excess) < 0.5 ? Math.log1p(excess) : x + Math.log(support);
      return (1 + excess) * log - excess;
    })) / support;
  }

  /* Whichever of H and log V - H is the smaller has the more digits. H also carries the rounding
     of the largest log q, which is near 0. */
  function smallerEntropy(logQ) {
    const [scarce, spare] = [entropy(logQ), negentropy(logQ)];
    return scarce < spare
      ? { scarce, digits: scarce + 0.1 } : { spare, digits: spare };
  }

  /* A function of q: H(q) - H(target), with as many digits as there are. */
  function entropyDifference(target) {
    const { scarce, spare } = smallerEntropy(target);
    // The two supports must agree for the sum near uniform; else the plain difference serves.
    const size = logs => logs.filter(x => x > -Infinity).length;
    return logQ => {
      if (scarce !== undefined) return entropy(logQ) - scarce;
      return size(logQ) === size(target) ? spare - negentropy(logQ) : entropy(logQ) - entropy(target);
    };
  }

  /* The temperature in [low, high] at which soften(T) has the target's entropy, which must not
     fall in T; null where none has. */
  function temperatureOfEntropy(soften, target, low, high) {
    const difference = entropyDifference(target);
    const value = x => difference(soften(Math.exp(x)));
    let [a, b] = [Math.log(low), Math.log(high)];
    let [below, above] = [value(a), value(b)];
    if (below > 0 || above < 0) return null;
    let side = 0;
    for (let n = 0; n < 2 * MAX_STEPS && b - a > 1e-14 * (1 + Math.abs(a)); n += 1) {
      // Bisection while the bracket is wide, then false position, halving an end that stays.
      let x = b - a > 1 || above === below ? (a + b) / 2 : (a * above - b * below) / (above - below);
      if (!(x > a && x < b)) x = (a + b) / 2;
      if (x === a || x === b) break;
      const found = value(x);
      if (found === 0) return Math.exp(x);
      if (found < 0) {
        [a, below] = [x, found];
        if (side < 0) above /= 2;
        side = -1;
      } else {
        [b, above] = [x, found];
        if (side > 0) below /= 2;
        side = 1;
      }
    }
    return Math.exp((a + b) / 2);
  }

  /* Sums of the k largest probabilities, k = 1..V. */
  function lorenz(logQ) {
    let total = 0;
    return share(logQ).sort((x, y) => y - x).map(x => (total += x));
  }

  /* Largest (top-k sum of q) - (top-k sum of p): p majorises q where it is 0. */
  function majorizationGap(logP, logQ) {
    const [of_p, of_q] = [lorenz(logP), lorenz(logQ)];
    return Math.max(...of_q.map((x, k) => x - of_p[k]));
  }

  const variation = (logP, logQ) =>
    sum(logP.map((x, i) => Math.abs(Math.exp(x) - Math.exp(logQ[i])))) / 2;

  const operators = Object.freeze({
    escort, tsallis, burg, glue, layerCake, matchedEscort, mixing, gini,
  });
  return Object.freeze({
    operators, entropy, exitTemperature, lorenz, majorizationGap, temperatureOfEntropy, variation,
  });
})();
