// Show one model on one canvas: camera, selection, open nodes.

const MIN_ZOOM = 0.01, MAX_ZOOM = 3;

class Pane {
  constructor(model, number, app) {
    Object.assign(this, { model, number, app, k: 1, tx: 0, ty: 0, selected: null });
    this.open = new Set();
    this.lit = new Set();
    this.hits = new Set();
    this.element = document.createElement("section");
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", `Graph of ${model.name}. Arrow keys move from node to node.`);
    this.rail = document.createElement("canvas");
    this.rail.className = "rail";
    this.rail.title = "Where the coloured nodes are; click to go there";
    this.element.append(this.canvas, this.rail);
    if (app.models.length > 1) {
      const title = document.createElement("h2");
      title.textContent = `${number ? "After" : "Before"} · ${model.name}`;
      this.element.append(title);
    }
    this.layout();
    this.listen();
  }

  layout() {
    this.view = layoutScope(this.model, 0, "", this.open);
    this.light();
    this.app.redraw();
  }

  get width() { return this.canvas.clientWidth; }
  get titleHeight() { return this.app.models.length > 1 ? 34 : 0; }
  get height() { return this.canvas.clientHeight; }

  draw() {
    if (!this.width || !this.height) return;
    if (!this.isStarted) this.start();
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.rail]) {
      const width = Math.round(canvas.clientWidth * ratio);
      const height = Math.round(canvas.clientHeight * ratio);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    const painter = new Painter(this.canvas.getContext("2d"), this, this.app.colours);
    this.canvas.dataset.drawn = painter.paint(this.width, this.height, ratio);
    this.canvas.dataset.zoom = this.k.toFixed(3);
    this.drawRail(ratio);
  }

  // Draw an overview of the whole height, like the marks next to an editor's scroll bar.
  drawRail(ratio) {
    const context = this.rail.getContext("2d"), { colours } = this.app;
    const width = this.rail.clientWidth, height = this.rail.clientHeight, scale = height / this.view.h;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const top = clamp(-this.ty / this.k * scale, 0, height);
    const bottom = clamp((this.height - this.ty) / this.k * scale, 0, height);
    context.fillStyle = colours.edge;
    context.globalAlpha = 0.35;
    context.fillRect(0, top, width, Math.max(bottom - top, 3));
    context.globalAlpha = 1;
    for (const [y, colour] of this.marks()) {
      context.fillStyle = colours[colour];
      context.fillRect(3, y * scale - 1, width - 6, 3);
    }
  }

  marks() {
    const found = [];
    const walk = (view, top) => view.scope.nodes.forEach((node, cell) => {
      const y = top + view.y[cell];
      const inside = view.children.get(cell);
      const status = inside ? node.status : worse(node.status, worstInside(this.model, node));
      if (this.hits.has(`${view.number}/${cell}`)) found.push([y + 10, "accent"]);
      else if (BAD.includes(status)) found.push([y + 10, status]);
      else if (node.differs) found.push([y + 10, "changed"]);
      inside?.forEach((child) => walk(child.view, y + child.y));
    });
    if (this.marked !== this.view || this.markedHits !== this.hits) {
      walk(this.view, 0);
      found.sort((a, b) => BAD.indexOf(a[1]) - BAD.indexOf(b[1]));
      Object.assign(this, { marked: this.view, markedHits: this.hits, found });
    }
    return this.found;
  }

  // Find what is at a point of the canvas: { view, cell, x, y }, the innermost one, or null.
  at(px, py) {
    const look = (view, x, y) => {
      const [first, last] = rowsBetween(view, y, y);
      for (let row = first; row <= last; row++) {
        for (const cell of view.rows[row]) {
          if (cell >= view.scope.nodes.length + view.scope.cells.length) continue;
          const left = view.x[cell] - view.cw[cell] / 2, top = view.y[cell];
          const dx = x - left, dy = y - top;
          if (dx < 0 || dy < 0 || dx > view.cw[cell] || dy > view.ch[cell]) continue;
          for (const child of view.children.get(cell) ?? []) {
            const found = look(child.view, dx - child.x, dy - child.y);
            if (found) return found;
          }
          return { view, cell, x: dx, y: dy };
        }
      }
      return null;
    };
    return look(this.view, (px - this.tx) / this.k, (py - this.ty) / this.k);
  }

  // Find the view of an instance, and its position in the whole drawing.
  find(key) {
    const look = (view, x, y) => {
      if (view.key === key) return { view, x, y };
      for (const [cell, inside] of view.children) {
        for (const child of inside) {
          if (!key.startsWith(child.view.key)) continue;
          const left = view.x[cell] - view.cw[cell] / 2 + x;
          const found = look(child.view, left + child.x, view.y[cell] + y + child.y);
          if (found) return found;
        }
      }
      return null;
    };
    return look(this.view, 0, 0);
  }

  select(key, cell, { centre = false } = {}) {
    const found = key === null ? null : this.find(key);
    this.selected = found && { key, cell, number: found.view.number };
    this.light();
    if (found && centre) this.centreOn(found, cell);
    this.app.selected(this);
  }

  // Open the nodes that hide a node, and return it as a selection.
  reveal([number, cell]) {
    const { key, open } = pathTo(this.model, number);
    if (open.some((place) => !this.open.has(place))) {
      open.forEach((place) => this.open.add(place));
      this.layout();
    }
    return { key, cell, number };
  }

  // Reveal a node, select it, and move it into view.
  show(place) {
    const { key, cell } = this.reveal(place);
    if (this.k < 0.5) this.k = 0.9;
    this.select(key, cell, { centre: true });
  }

  centreOn({ view, x, y }, cell) {
    this.tx = this.width / 2 - this.k * (x + view.x[cell]);
    this.ty = this.height / 2 - this.k * (y + view.y[cell] + Math.min(view.ch[cell], NODE) / 2);
    this.app.redraw();
  }

  toggle(view, cell) {
    const place = `${view.key}/${cell}`, before = this.find(view.key);
    if (!view.scope.nodes[cell]?.inside.length) return;
    const y = before.y + view.y[cell], x = before.x + view.x[cell];
    if (this.open.has(place)) {
      for (const one of [...this.open]) {
        if (one === place || one.startsWith(`${place}.`)) this.open.delete(one);
      }
      if (this.selected?.key.startsWith(`${place}.`)) this.selected = null;
    } else this.open.add(place);
    this.layout();
    const after = this.find(view.key); // keep the clicked node under the pointer
    this.tx += this.k * (x - after.x - after.view.x[cell]);
    this.ty += this.k * (y - after.y - after.view.y[cell]);
    this.app.selected(this);
  }

  // Highlight the wires of the selected cell: those of its outputs, and that of each input.
  light() {
    this.lit = new Set();
    const found = this.selected && this.find(this.selected.key);
    if (!found) return;
    const { gaps, rows, scope } = found.view, { cell } = this.selected;
    const row = rows.findIndex((each) => each.includes(cell));
    let wanted = new Set([cell]);
    for (let at = row - 1; at >= 0 && wanted.size; at--) {
      const above = new Set();
      for (const wire of gaps[at]) if (wanted.has(wire[4])) { this.lit.add(wire); above.add(wire[3]); }
      wanted = new Set([...above].filter((each) => each >= scope.nodes.length + scope.cells.length));
    }
    wanted = new Set([cell]);
    for (let at = row; at < rows.length && wanted.size; at++) {
      const below = new Set();
      for (const wire of gaps[at]) if (wanted.has(wire[3])) { this.lit.add(wire); below.add(wire[4]); }
      wanted = new Set([...below].filter((each) => each >= scope.nodes.length + scope.cells.length));
    }
  }

  zoomTo(k, px = this.width / 2, py = this.height / 2) {
    k = clamp(k, MIN_ZOOM, MAX_ZOOM);
    this.tx = px - (px - this.tx) * k / this.k;
    this.ty = py - (py - this.ty) * k / this.k;
    this.k = k;
    this.app.redraw();
  }

  // Fit the whole graph, below the pane's title.
  fit() {
    const { w, h } = this.view, above = this.titleHeight;
    this.k = Math.min(this.width / w, (this.height - above) / h, 1.2);
    this.tx = (this.width - this.k * w) / 2;
    this.ty = (this.height + above - this.k * h) / 2;
    this.app.redraw();
  }

  // Start with the whole of a small graph, or with a large one's first node that needs attention.
  start() {
    this.isStarted = true;
    const place = firstPlace(this.model);
    if (place) this.selected = this.reveal(place);
    this.light();
    if (this.app.active === this) this.app.panel.show(this);
    this.fit();
    if (this.k >= 0.55) return;
    this.k = 0.9;
    if (place) {
      this.centreOn(this.find(this.selected.key), this.selected.cell);
      return;
    }
    const row = this.view.rows[0] ?? [0];
    this.k = clamp(this.width / this.view.w, 0.75, 0.9);
    const middle = this.view.w * this.k <= this.width ? this.view.w / 2
      : (this.view.x[row[0]] + this.view.x[row[row.length - 1]]) / 2;
    this.tx = this.width / 2 - this.k * middle;
    this.ty = Math.max(this.titleHeight, 8);
  }

  // Move from node to node: to its producers, to its readers, or along its row.
  step(key) {
    if (!this.selected) {
      const row = this.view.rows[0];
      if (row) this.select("", row[0], { centre: true });
      return;
    }
    const { view } = this.find(this.selected.key), { scope } = view, { cell } = this.selected;
    const node = scope.nodes[cell], name = scope.cells[cell - scope.nodes.length]?.[1];
    let next;
    if (key === "ArrowUp") {
      const reads = node ? node.inputs : [name];
      next = reads.map((each) => scope.producer.get(each)).find((each) => each !== undefined && each !== cell);
    } else if (key === "ArrowDown") {
      const gives = node ? node.outputs : [name];
      next = gives.flatMap((each) => scope.readers.get(each) ?? []).find((each) => each !== cell);
    } else {
      const row = view.rows.find((each) => each.includes(cell));
      const cells = row.filter((each) => each < scope.nodes.length + scope.cells.length);
      next = cells[cells.indexOf(cell) + (key === "ArrowLeft" ? -1 : 1)];
    }
    if (next !== undefined) this.select(view.key, next, { centre: true });
  }

  listen() {
    const { canvas } = this;
    let drag = null;
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.element.addEventListener("pointerdown", () => this.app.activate(this));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 1) return;
      drag = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) { this.app.hover(this, this.at(...point(event)), event); return; }
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      this.tx += dx; this.ty += dy;
      drag = { x: event.clientX, y: event.clientY, moved: true };
      this.app.hover(this, null, event);
      this.app.redraw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved) this.click(this.at(...point(event)));
      drag = null;
    });
    canvas.addEventListener("pointercancel", () => { drag = null; });
    canvas.addEventListener("pointerleave", (event) => this.app.hover(this, null, event));
    canvas.addEventListener("dblclick", (event) => {
      const found = this.at(...point(event));
      if (found && !this.isOpener(found)) this.toggle(found.view, found.cell);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      if (event.ctrlKey || event.metaKey || event.altKey) {
        this.zoomTo(this.k * Math.exp(-event.deltaY * lines * 0.01), ...point(event));
      } else if (event.shiftKey && !event.deltaX) {
        this.tx -= event.deltaY * lines;
      } else {
        this.tx -= event.deltaX * lines;
        this.ty -= event.deltaY * lines;
      }
      this.app.redraw();
    }, { passive: false });
    const jump = (event) => {
      if (!event.buttons) return;
      const y = event.offsetY / this.rail.clientHeight * this.view.h;
      const row = this.view.rows[rowsBetween(this.view, y, y)[0]] ?? [];
      this.ty = this.height / 2 - this.k * y;
      if (row.length) this.tx = this.width / 2 - this.k * this.view.x[row[row.length >> 1]];
      this.app.redraw();
    };
    this.rail.addEventListener("pointerdown", jump);
    this.rail.addEventListener("pointermove", jump);
  }

  isOpener({ view, cell, x, y }) {
    return Boolean(view.scope.nodes[cell]?.inside.length) && x > view.cw[cell] - 32 && y < NODE;
  }

  click(found) {
    if (!found) { this.select(null); return; }
    if (this.isOpener(found)) this.toggle(found.view, found.cell);
    else this.select(found.view.key, found.cell);
  }
}
