// Save a graph as PNG or SVG: the painter draws on a canvas, or on what records SVG in its place.

const SVG = "http://www.w3.org/2000/svg";
const round = (number) => Math.round(number * 100) / 100;

class SvgPath {
  constructor() { this.d = ""; }
  add(letter, ...numbers) { this.d += letter + numbers.map(round).join(" "); }
  moveTo(...to) { this.add("M", ...to); }
  lineTo(...to) { this.add("L", ...to); }
  bezierCurveTo(...to) { this.add("C", ...to); }
  rect(x, y, w, h) { this.roundRect(x, y, w, h, 0); }
  roundRect(x, y, w, h, r) {
    const corner = (dx, dy) => { if (r) this.add("a", r, r, 0, 0, 1, dx, dy); };
    this.add("M", x + r, y);
    this.add("h", w - 2 * r); corner(r, r);
    this.add("v", h - 2 * r); corner(-r, r);
    this.add("h", 2 * r - w); corner(-r, -r);
    this.add("v", 2 * r - h); corner(r, -r);
    this.d += "z";
  }
  arc(x, y, r) { // the painter draws whole circles only
    this.add("M", x - r, y);
    this.add("a", r, r, 0, 0, 1, 2 * r, 0);
    this.add("a", r, r, 0, 0, 1, -2 * r, 0);
  }
}

// The part of a canvas's context that the painter uses, at scale 1; it builds SVG.
class SvgContext {
  constructor(width, height) {
    const size = { width: Math.ceil(width), height: Math.ceil(height) };
    this.root = document.createElementNS(SVG, "svg");
    this.set(this.root, { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
    Object.assign(this, { x: 0, y: 0, dash: [], path: new SvgPath(), textAlign: "start" });
  }
  set(target, attributes) {
    for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, value);
  }
  add(tag, attributes, text = "") {
    const made = document.createElementNS(SVG, tag);
    if (this.x || this.y) attributes.transform = `translate(${round(this.x)} ${round(this.y)})`;
    this.set(made, attributes);
    made.textContent = text;
    this.root.append(made);
  }
  setTransform() {}
  translate(x, y) { this.x += x; this.y += y; }
  setLineDash(dash) { this.dash = dash; }
  beginPath() { this.path = new SvgPath(); }
  moveTo(...to) { this.path.moveTo(...to); }
  lineTo(...to) { this.path.lineTo(...to); }
  rect(...box) { this.path.rect(...box); }
  roundRect(...box) { this.path.roundRect(...box); }
  arc(...circle) { this.path.arc(...circle); }
  fill() { this.add("path", { d: this.path.d, fill: this.fillStyle }); }
  fillRect(x, y, width, height) { this.add("rect", { x, y, width, height, fill: this.fillStyle }); }
  stroke({ d } = this.path) {
    if (!d) return;
    const dash = this.dash.length ? { "stroke-dasharray": this.dash.join(" ") } : {};
    this.add("path", {
      d, fill: "none", stroke: this.strokeStyle, "stroke-width": round(this.lineWidth), ...dash,
    });
  }
  fillText(text, x, y) {
    const anchor = this.textAlign === "center" ? { "text-anchor": "middle" } : {};
    const [, weight = "400", size, family] = /^(?:(\d+) )?([\d.]+)px (.*)$/.exec(this.font);
    this.add("text", { // attributes: the page's policy forbids inline styles
      x: round(x), y: round(y), fill: this.fillStyle, ...anchor,
      "font-weight": weight, "font-size": size, "font-family": family,
    }, text);
  }
}

// Most browsers refuse canvases beyond these sizes.
const MOST_PIXELS = 1e8, LONGEST_SIDE = 16000;

function paintWhole(pane, context, k, Path) {
  const { w, h } = pane.view, whole = Object.assign(Object.create(pane), { k, tx: 0, ty: 0 });
  new Painter(context, whole, pane.app.colours, Path).paint(w * k, h * k, 1);
}

function saveAsPng(pane) {
  const { w, h } = pane.view;
  const k = Math.min(2, LONGEST_SIDE / w, LONGEST_SIDE / h, Math.sqrt(MOST_PIXELS / (w * h)));
  const canvas = element("canvas", { width: Math.ceil(w * k), height: Math.ceil(h * k) });
  paintWhole(pane, canvas.getContext("2d"), k);
  canvas.toBlob((blob) => save(pane, blob, "png"));
}

function saveAsSvg(pane) {
  const context = new SvgContext(pane.view.w, pane.view.h);
  paintWhole(pane, context, 1, SvgPath);
  const text = new XMLSerializer().serializeToString(context.root);
  save(pane, new Blob([text], { type: "image/svg+xml" }), "svg");
}

function save(pane, blob, suffix) {
  const href = URL.createObjectURL(blob);
  element("a", { href, download: `${pane.model.name.replace(/\.onnx$/, "")}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
