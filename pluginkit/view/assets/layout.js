// Compute coordinates: the data has rows and their order; x and y depend on which nodes are open.

const GAP_X = 24, LANE = 10, GAP_Y = 48, NODE = 46, PILL = 26, PAD = 18, HEAD = 28;
const FONT = '600 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const SMALL = '11px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const MONO = '10.5px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace';

const ruler = document.createElement("canvas").getContext("2d");
const widths = new Map();

function textWidth(text, font) {
  const key = font + text;
  let width = widths.get(key);
  if (width === undefined) {
    if (ruler.font !== font) ruler.font = font;
    widths.set(key, width = ruler.measureText(text).width);
  }
  return width;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// Lay out one scope. `key` identifies the instance: a function's body may be open twice.
function layoutScope(model, number, key, open) {
  const scope = model.scopes[number], nodes = scope.nodes.length;
  const cells = nodes + scope.cells.length;
  let count = cells;
  for (const row of scope.rows) for (const cell of row) count = Math.max(count, cell + 1);
  const w = new Float64Array(count).fill(LANE), h = new Float64Array(count);
  const children = new Map();
  for (let cell = 0; cell < cells; cell++) {
    const node = scope.nodes[cell];
    if (!node) {
      w[cell] = clamp(textWidth(scope.cells[cell - nodes][1], SMALL) + 28, 56, 190);
      h[cell] = PILL;
      continue;
    }
    const badge = node.inside.length ? 26 : 0;
    const name = Math.min(textWidth(node.name, SMALL), 150);
    w[cell] = clamp(Math.max(textWidth(node.op, FONT) + 40 + badge, name + 26), 96, 240);
    h[cell] = NODE;
    const place = `${key}/${cell}`;
    if (!node.inside.length || !open.has(place)) continue;
    let x = PAD, tallest = 0;
    const inside = node.inside.map(([title, inner], at) => {
      const view = layoutScope(model, inner, `${place}.${at}`, open);
      const width = Math.max(view.w, textWidth(title, FONT) + 30);
      const child = { title, view, x, y: NODE + HEAD, w: width };
      x += width + PAD;
      tallest = Math.max(tallest, view.h);
      return child;
    });
    children.set(cell, inside);
    w[cell] = Math.max(x, w[cell]);
    h[cell] = NODE + HEAD + tallest + PAD;
  }
  const view = { scope, number, key, w: 0, h: 0, cw: w, ch: h, children, rows: scope.rows };
  view.x = new Float64Array(count);
  view.gaps = scope.wires.map((gap) => gap.map((wire) => [0, 0, wire[2], wire[0], wire[1]]));
  packRows(view);
  pullTogether(view, cells, 12);
  fanOut(view, cells); // needs the order of cells from left to right
  pullTogether(view, cells, 12);
  placeY(view);
  return view;
}

function packRows({ rows, x, cw }) {
  for (const row of rows) {
    let at = 0;
    for (const cell of row) { x[cell] = at + cw[cell] / 2; at += cw[cell] + GAP_X; }
    for (const cell of row) x[cell] -= at / 2;
  }
}

// Sweep down and up, and pull each cell towards its neighbours. Lanes pull hardest, so that long
// wires are straight.
function pullTogether({ rows, gaps, x, cw }, cells, sweeps) {
  const want = new Float64Array(x.length), pull = new Float64Array(x.length);
  const gather = (gap, isDown) => {
    for (const [leaves, arrives, , upper, lower] of gap ?? []) {
      const to = isDown ? lower : upper;
      const at = isDown ? x[upper] + leaves - arrives : x[lower] + arrives - leaves;
      const lanes = (upper >= cells) + (lower >= cells);
      // Near cells pull harder: a single bend looks better than a slope over many rows.
      const strength = [1, 2, 24][lanes] / (Math.abs(at - x[to]) + 1.5);
      want[to] += strength * at;
      pull[to] += strength;
    }
  };
  const settle = (row) => {
    for (const cell of row) {
      if (pull[cell]) want[cell] /= pull[cell];
      else { want[cell] = x[cell]; pull[cell] = 0.01; }
    }
    spread(row, want, pull, cw, x, cells);
    for (const cell of row) want[cell] = pull[cell] = 0;
  };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const isDown = sweep % 2 === 0, both = sweep > sweeps / 2;
    for (let step = 0; step < rows.length; step++) {
      const at = isDown ? step : rows.length - 1 - step;
      if (isDown || both) gather(gaps[at - 1], true);
      if (!isDown || both) gather(gaps[at], false);
      settle(rows[at]);
    }
  }
}

// Find the least-squares movement that keeps the order and avoids overlaps: an isotonic fit.
function spread(row, want, pull, w, x, cells) {
  const means = [], weights = [], sizes = [], offsets = new Float64Array(row.length);
  for (let at = 0; at < row.length; at++) {
    const cell = row[at], last = row[at - 1];
    if (at) {
      const gap = cell >= cells && last >= cells ? 4 : cell >= cells || last >= cells ? 12 : GAP_X;
      offsets[at] = offsets[at - 1] + (w[last] + w[cell]) / 2 + gap;
    }
    let mean = want[cell] - offsets[at], weight = pull[cell], size = 1;
    while (means.length && means[means.length - 1] >= mean) {
      const other = weights.pop();
      mean = (mean * weight + means.pop() * other) / (weight + other);
      weight += other;
      size += sizes.pop();
    }
    means.push(mean); weights.push(weight); sizes.push(size);
  }
  let at = 0;
  means.forEach((mean, block) => {
    for (let left = sizes[block]; left > 0; left--, at++) x[row[at]] = mean + offsets[at];
  });
}

function placeY(view) {
  const { rows, x, cw, ch } = view;
  let left = Infinity, right = -Infinity, y = PAD;
  view.top = new Float64Array(rows.length);
  view.bottom = new Float64Array(rows.length);
  view.y = new Float64Array(x.length);
  rows.forEach((row, at) => {
    let tallest = PILL;
    for (const cell of row) {
      tallest = Math.max(tallest, ch[cell]);
      left = Math.min(left, x[cell] - cw[cell] / 2);
      right = Math.max(right, x[cell] + cw[cell] / 2);
    }
    for (const cell of row) view.y[cell] = y + (tallest - ch[cell]) / 2;
    view.top[at] = y;
    view.bottom[at] = y + tallest;
    y += tallest + GAP_Y;
  });
  if (!rows.length) { left = 0; right = 60; }
  for (let cell = 0; cell < x.length; cell++) x[cell] += PAD - left;
  view.w = right - left + 2 * PAD;
  view.h = Math.max(y - GAP_Y, PAD) + PAD;
}

// Compute where a gap's wires [leaves, arrives, value, upper, lower] meet their cells, relative to
// the centre: a cell's wires fan out along its edge.
function fanOut({ gaps, x, cw }, cells) {
  const offset = (cell, at, of) => {
    if (cell >= cells || of < 2) return 0;
    return (at - (of - 1) / 2) * Math.min(14, (Math.min(cw[cell], 240) - 24) / (of - 1));
  };
  for (const wires of gaps) {
    for (const [cell, leaving] of group(wires, 3)) {
      const values = [...new Set(leaving.map((wire) => wire[2]))].sort((a, b) => a - b);
      for (const wire of leaving) wire[0] = offset(cell, values.indexOf(wire[2]), values.length);
    }
    for (const [cell, arriving] of group(wires, 4)) {
      arriving.sort((a, b) => x[a[3]] - x[b[3]]);
      arriving.forEach((wire, at) => { wire[1] = offset(cell, at, arriving.length); });
    }
  }
}

function group(wires, field) {
  const groups = new Map();
  for (const wire of wires) {
    if (!groups.has(wire[field])) groups.set(wire[field], []);
    groups.get(wire[field]).push(wire);
  }
  return groups;
}
