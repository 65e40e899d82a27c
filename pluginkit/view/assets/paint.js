// Draw on a canvas: only what is visible, and only as much detail as the scale shows.

const COLOURS = ["bg", "ink", "muted", "wire", "lit", "node", "edge", "pill", "body", "accent",
  "changed", "refused", "rewritten", "plugin", "native", "unknown",
  "refused-bg", "rewritten-bg", "plugin-bg", "native-bg", "unknown-bg"];

function readColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const shortened = new Map();

function elide(text, font, room) {
  if (textWidth(text, font) <= room) return text;
  const key = `${room | 0} ${font}${text}`;
  if (!shortened.has(key)) {
    let low = 0, high = text.length;
    while (low < high) { // keep the end of a name, which tells more than its beginning
      const middle = (low + high) >> 1;
      if (textWidth("…" + text.slice(middle), font) <= room) high = middle; else low = middle + 1;
    }
    shortened.set(key, low < text.length ? "…" + text.slice(low) : "");
  }
  return shortened.get(key);
}

class Painter {
  constructor(context, pane, colours, Path = Path2D) {
    Object.assign(this, { context, pane, colours, Path, k: pane.k, drawn: 0 });
  }

  paint(width, height, ratio) {
    const { context, pane } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.colours.bg;
    context.fillRect(0, 0, width, height);
    context.setTransform(ratio * pane.k, 0, 0, ratio * pane.k, ratio * pane.tx, ratio * pane.ty);
    context.lineJoin = "round";
    context.textBaseline = "alphabetic";
    this.view(pane.view, 0, 0, {
      left: -pane.tx / pane.k, top: -pane.ty / pane.k,
      right: (width - pane.tx) / pane.k, bottom: (height - pane.ty) / pane.k,
    });
    return this.drawn;
  }

  view(view, x, y, sight) {
    const inner = {
      left: sight.left - x, right: sight.right - x, top: sight.top - y, bottom: sight.bottom - y,
    };
    const [first, last] = rowsBetween(view, inner.top, inner.bottom);
    this.context.translate(x, y);
    this.wires(view, first, last, inner);
    for (let at = first; at <= last; at++) {
      for (const cell of view.rows[at]) {
        if (cell >= view.scope.nodes.length + view.scope.cells.length) continue;
        const half = view.cw[cell] / 2;
        if (view.x[cell] + half < inner.left || view.x[cell] - half > inner.right) continue;
        this.cell(view, cell, inner);
      }
    }
    this.context.translate(-x, -y);
  }

  wires(view, first, last, sight) {
    const { context, k, pane } = this;
    const plain = new this.Path(), lit = new this.Path(), heads = [];
    for (let at = Math.max(first - 1, 0); at <= last && at < view.gaps.length; at++) {
      for (const wire of view.gaps[at]) {
        const [leaves, arrives, , upper, lower] = wire;
        const above = view.x[upper] + leaves, below = view.x[lower] + arrives;
        if (Math.max(above, below) < sight.left || Math.min(above, below) > sight.right) continue;
        const isLit = pane.lit.has(wire);
        this.wire(isLit ? lit : plain, view, at, above, below, upper, lower);
        if (k > 0.3 && lower < view.scope.nodes.length + view.scope.cells.length) {
          heads.push([below, view.y[lower], isLit]);
        }
        if (k > 0.62 && upper < view.scope.nodes.length) this.shape(view, wire, above, below);
      }
    }
    context.lineWidth = clamp(1.3, 0.6 / k, 1.3 / Math.min(k, 1));
    context.strokeStyle = this.colours.wire;
    context.stroke(plain);
    context.strokeStyle = this.colours.lit;
    context.lineWidth = 2.2 / Math.min(k, 1);
    context.stroke(lit);
    for (const [x, y, isLit] of heads) {
      context.fillStyle = isLit ? this.colours.lit : this.colours.wire;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x - 3.6, y - 7);
      context.lineTo(x + 3.6, y - 7);
      context.fill();
    }
  }

  wire(path, view, at, above, below, upper, lower) {
    const cells = view.scope.nodes.length + view.scope.cells.length;
    const from = view.bottom[at], to = view.top[at + 1], middle = (from + to) / 2;
    path.moveTo(above, upper >= cells ? view.top[at] : view.y[upper] + view.ch[upper]);
    path.lineTo(above, from);
    if (above === below) path.lineTo(below, to);
    else path.bezierCurveTo(above, middle, below, middle, below, to);
    if (lower < cells) path.lineTo(below, view.y[lower]);
  }

  // Draw the shape of a value where it leaves its node, once for each value.
  shape(view, [, , value, upper], above, below) {
    if (this.shaped !== undefined && this.shaped === view && this.last === value) return;
    this.shaped = view;
    this.last = value;
    const text = /\[(.*)\]/.exec(view.scope.types[view.scope.values[value]] ?? "")?.[1];
    if (!text || text === "…") return;
    const said = elide(text, MONO, 130), y = view.y[upper] + view.ch[upper] + 13;
    this.context.font = MONO;
    this.context.fillStyle = this.colours.muted;
    this.context.fillText(said, below > above ? above - 5 - textWidth(said, MONO) : above + 5, y);
  }

  cell(view, cell, sight) {
    const node = view.scope.nodes[cell];
    const x = view.x[cell] - view.cw[cell] / 2, y = view.y[cell];
    if (!node) this.pill(view, cell, x, y);
    else if (view.children.has(cell)) this.opened(view, cell, node, x, y, sight);
    else this.node(view, cell, node, x, y, view.cw[cell], view.ch[cell]);
    const far = view.scope.farOf.get(cell);
    if (far && this.k > 0.5) this.far(far, x, y, view.cw[cell], view.ch[cell]);
  }

  pill(view, cell, x, y) {
    const { context, colours, k } = this, [kind, name] = view.scope.cells[cell - view.scope.nodes.length];
    const width = view.cw[cell];
    context.fillStyle = colours.pill;
    context.strokeStyle = this.isLitCell(view, cell) ? colours.accent : colours.edge;
    context.lineWidth = (this.isLitCell(view, cell) ? 2 : 1) / Math.min(k, 1);
    if (kind === "outer") context.setLineDash([4, 3]);
    context.beginPath();
    context.roundRect(x, y, width, PILL, PILL / 2);
    context.fill();
    context.stroke();
    context.setLineDash([]);
    if (k <= 0.3) return;
    context.font = SMALL;
    context.fillStyle = colours.muted;
    context.textAlign = "center";
    context.fillText(elide(name, SMALL, width - 18), x + width / 2, y + 17);
    context.textAlign = "start";
  }

  isLitCell(view, cell) {
    const { selected } = this.pane;
    return selected !== null && selected.key === view.key && selected.cell === cell;
  }

  box(view, cell, node, x, y, width, height, fill) {
    const { context, colours, k } = this;
    context.fillStyle = fill;
    context.strokeStyle = BAD.includes(node.status) ? colours[node.status] : colours.edge;
    context.lineWidth = 1.2 / Math.min(k, 1);
    context.beginPath();
    if (k > 0.25) context.roundRect(x, y, width, height, 7); else context.rect(x, y, width, height);
    context.fill();
    context.stroke();
    if (this.isLitCell(view, cell)) {
      context.strokeStyle = colours.accent;
      context.lineWidth = 2.6 / Math.min(k, 1);
      context.beginPath();
      context.roundRect(x - 2, y - 2, width + 4, height + 4, 8);
      context.stroke();
    }
    if (node.differs) {
      context.strokeStyle = colours.changed;
      context.lineWidth = 1.6 / Math.min(k, 1);
      context.setLineDash([5, 3]);
      context.beginPath();
      context.roundRect(x - 4, y - 4, width + 8, height + 8, 10);
      context.stroke();
      context.setLineDash([]);
    }
    if (this.pane.hits.has(`${view.number}/${cell}`)) {
      context.strokeStyle = colours.accent;
      context.lineWidth = 1.4 / Math.min(k, 1);
      context.beginPath();
      context.roundRect(x - 2, y - 2, width + 4, height + 4, 8);
      context.stroke();
    }
  }

  node(view, cell, node, x, y, width, height) {
    const { context, colours, k } = this;
    this.drawn++;
    const status = node.status;
    if (k * height < 5 && BAD.includes(status)) { // keep important nodes visible from afar
      const grown = 5 / k;
      context.fillStyle = colours[status];
      context.fillRect(x, y + height / 2 - grown / 2, Math.max(width, grown), grown);
      return;
    }
    this.box(view, cell, node, x, y, width, height,
      k > 0.25 ? colours[`${status}-bg`] : BAD.includes(status) ? colours[status] : colours.edge);
    if (k <= 0.25) return;
    const mark = STATUS[status].mark, indent = mark ? 27 : 12, opens = node.inside.length > 0;
    const room = width - indent - 10 - (opens ? 24 : 0);
    context.fillStyle = colours.ink;
    context.font = FONT;
    const line = node.name ? y + 19 : y + height / 2 + 5;
    context.fillText(elide(node.op, FONT, room), x + indent, line);
    if (mark) {
      context.fillStyle = colours[status];
      context.fillText(mark, x + 10, line);
    }
    if (node.name && k > 0.4) {
      context.font = SMALL;
      context.fillStyle = colours.muted;
      context.fillText(elide(node.name, SMALL, width - 22 - (opens ? 20 : 0)), x + 12, y + 36);
    }
    if (opens) this.opener(x + width - 18, y + height / 2, "+", worstInside(this.pane.model, node));
  }

  opener(x, y, sign, status) {
    const { context, colours } = this;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.fillStyle = status ? colours[status] : colours.muted;
    context.fill();
    context.fillStyle = colours.bg;
    context.fillRect(x - 4.5, y - 1, 9, 2);
    if (sign === "+") context.fillRect(x - 1, y - 4.5, 2, 9);
  }

  opened(view, cell, node, x, y, sight) {
    const { context, colours } = this, width = view.cw[cell];
    this.drawn++;
    this.box(view, cell, node, x, y, width, view.ch[cell], colours.body);
    context.font = FONT;
    context.fillStyle = colours.ink;
    const title = elide(node.op, FONT, width - 60);
    context.fillText(title, x + 14, y + 28);
    const used = textWidth(title, FONT) + 24;
    context.font = SMALL;
    context.fillStyle = colours.muted;
    if (width - used > 70) context.fillText(elide(node.name, SMALL, width - used - 40), x + used, y + 28);
    this.opener(x + width - 20, y + NODE / 2, "−", "");
    for (const child of view.children.get(cell)) {
      context.fillStyle = colours.bg;
      context.strokeStyle = colours.edge;
      context.lineWidth = 1;
      context.beginPath();
      context.roundRect(x + child.x, y + NODE, child.w, child.view.h + HEAD, 6);
      context.fill();
      context.stroke();
      context.font = SMALL;
      context.fillStyle = colours.muted;
      context.fillText(elide(child.title, SMALL, child.w - 20), x + child.x + 10, y + NODE + 18);
      this.view(child.view, x + child.x, y + child.y, sight);
    }
  }

  // Draw the names of values whose other end is too far away for a wire.
  far(said, x, y, width, height) {
    const { context, colours } = this;
    context.font = MONO;
    context.fillStyle = colours.lit;
    const up = said.filter((each) => each[0] === "↑"), down = said.filter((each) => each[0] === "↓");
    const room = Math.max(width, 110);
    if (up.length) context.fillText(elide(up.join("  "), MONO, room), x + 4, y - 5);
    if (down.length) context.fillText(elide(down.join("  "), MONO, room), x + 4, y + height + 24);
  }
}

// Return the first and last row that overlap a range of y, with the wires above and below them.
function rowsBetween(view, top, bottom) {
  let low = 0, high = view.rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (view.bottom[middle] < top - GAP_Y) low = middle + 1; else high = middle;
  }
  let last = low;
  while (last < view.rows.length && view.top[last] <= bottom + GAP_Y) last++;
  return [low, last - 1];
}
