// Set up the page: panes, search, keys, theme.

const byId = (id) => document.getElementById(id);
const KEYS = [
  ["/", "search; Enter and Shift Enter go through what is found"],
  ["↑ ↓ ← →", "to what a node reads, to what reads it, along its row"],
  ["O or Enter", "open or close a body: If, Loop, Scan, a local function"],
  ["N, P", "next and previous refused, rewritten or plugin node"],
  ["X", "the same node in the other model"],
  ["1, 2, 3", "before, after, both"],
  ["F", "the whole graph, in both panes"], ["+, −, 0", "zoom; Ctrl and wheel does, too"],
  ["T", "light or dark"], ["Esc", "select nothing"],
];

class App {
  constructor(models) {
    this.models = models;
    this.colours = readColours();
    this.cursors = new Map();
    this.panel = new Panel(byId("panel"), this);
    this.panes = models.map((model, number) => new Pane(model, number, this));
    this.active = this.panes[0];
    byId("panes").append(...this.panes.map((pane) => pane.element));
    byId("title").textContent = models.map((model) => model.name).join(" → ");
    this.controls();
    this.setMode(models.length > 1 && window.innerWidth >= 1000 ? "both" : "before");
    this.follow();
    window.addEventListener("hashchange", () => this.follow());
    new ResizeObserver(() => this.draw()).observe(byId("panes"));
    this.draw();
    document.body.dataset.ready = "yes";
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = undefined;
    const started = performance.now();
    this.panes.forEach((pane) => pane.draw());
    byId("zoom").textContent = `${Math.round(this.active.k * 100)}%`;
    document.body.dataset.frame = (performance.now() - started).toFixed(1);
  }

  fit() {
    for (const pane of this.panes) if (!pane.element.hidden) pane.fit();
  }

  other(pane) { return this.panes[1 - pane.number]; }

  activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    this.panes.forEach((each) => each.element.classList.toggle("active", each === pane));
    this.panel.show(pane);
    this.search(byId("search").value, { quietly: true });
  }

  // Show the node that the address names: #node=NAME, and &model=after for the second model.
  follow() {
    const link = new URLSearchParams(location.hash.slice(1)), name = link.get("node");
    if (!name) return;
    const pane = this.panes[link.get("model") === "after" ? 1 : 0] ?? this.panes[0];
    const place = linkedPlace(pane.model, name);
    if (pane.element.hidden) this.setMode(pane.number ? "after" : "before");
    this.activate(pane);
    if (place) pane.show(place); else this.search(name);
  }

  linkTo(pane, place) {
    const link = new URLSearchParams({ node: linkName(pane.model, place) });
    if (pane.number) link.set("model", "after");
    return `#${link}`;
  }

  selected(pane) {
    this.activate(pane);
    this.panel.show(pane);
    const place = pane.selected, scope = place && pane.model.scopes[place.number];
    const node = scope?.nodes[place.cell];
    byId("said").textContent = node
      ? `${node.op} ${node.name}, ${STATUS[node.status].title}` : place ? "input or output" : "";
    if (node?.twin && this.mode === "both") this.lookAtTwin(pane, node);
    history.replaceState(null, "", node ? this.linkTo(pane, [place.number, place.cell]) : "#");
    this.redraw();
  }

  lookAtTwin(pane, node) {
    const other = this.other(pane), [number, cell] = node.twin;
    const { key, open } = pathTo(other.model, number);
    if (open.some((place) => !other.open.has(place))) return;
    other.selected = { key, cell, number };
    other.light();
    other.k = pane.k;
    other.centreOn(other.find(key), cell);
  }

  showTwin(pane, node) {
    const other = this.other(pane);
    if (this.mode !== "both") this.setMode(other.number ? "after" : "before");
    other.show(node.twin);
  }

  setMode(mode) {
    this.mode = mode;
    const shown = { before: [0], after: [1], both: [0, 1] }[mode];
    this.panes.forEach((pane, at) => { pane.element.hidden = !shown.includes(at); });
    for (const button of byId("modes").children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    if (!shown.includes(this.active.number)) this.activate(this.panes[shown[0]]);
    this.panes.forEach((pane, at) => pane.element.classList.toggle("active", pane === this.active && at >= 0));
    this.draw();
  }

  search(text, { quietly = false } = {}) {
    const field = byId("search"), pane = this.active;
    field.value = text;
    this.found = searchModel(pane.model, text);
    this.foundAt = -1;
    this.panes.forEach((each) => { each.hits = new Set(); });
    pane.hits = new Set(this.found.map(([scope, cell]) => `${scope}/${cell}`));
    this.sayFound();
    const list = byId("hits");
    list.hidden = quietly || !text.trim();
    list.replaceChildren(...this.found.slice(0, 60).map(([scope, cell], at) => {
      const node = pane.model.scopes[scope].nodes[cell];
      return element("li", {}, element("button", { onclick: () => this.goTo(at) },
        element("i", { className: node.status, textContent: STATUS[node.status].mark || "•" }),
        element("b", { textContent: node.op }), element("span", { textContent: node.name || node.outputs[0] })));
    }));
    if (!this.found.length && text.trim()) list.append(element("li", { className: "muted", textContent: "Nothing found" }));
    this.redraw();
  }

  sayFound() {
    const total = this.found?.length ?? 0, isEmpty = !byId("search").value.trim();
    byId("found").textContent = isEmpty ? "" : this.foundAt < 0 ? figures.format(total)
      : `${figures.format(this.foundAt + 1)} of ${figures.format(total)}`;
    byId("slash").hidden = !isEmpty;
  }

  goTo(at) {
    if (!this.found.length) return;
    this.foundAt = (at + this.found.length) % this.found.length;
    byId("hits").hidden = true;
    this.sayFound();
    this.active.show(this.found[this.foundAt]);
  }

  // Go to the next node of a kind after the selected one, or after the last one of that kind.
  step(pane, name, isWanted, by = 1) {
    const places = placesOf(pane.model, isWanted);
    if (!places.length) return;
    const cursor = `${pane.number} ${name}`, { selected } = pane;
    const here = places.findIndex(([number, cell]) => number === selected?.number && cell === selected.cell);
    const last = here < 0 ? this.cursors.get(cursor) : here;
    const at = last === undefined ? (by > 0 ? 0 : places.length - 1)
      : (last + by + places.length) % places.length;
    this.cursors.set(cursor, at);
    pane.show(places[at]);
  }

  hover(pane, found, event) {
    const tip = byId("tip"), node = found?.view.scope.nodes[found.cell];
    pane.canvas.style.cursor = found ? "pointer" : "";
    tip.hidden = !node;
    if (!node) return;
    const { types } = found.view.scope;
    const line = (arrow, name) => element("div", {}, `${arrow} `, element("b", { textContent: name || "left out" }),
      ` ${types[name] ?? ""}`);
    const most = 6, more = (names) => (names.length > most ? [element("div", {}, `… ${names.length - most} more`)] : []);
    tip.replaceChildren(
      element("h4", {}, node.op, chip(node.status)),
      ...(node.name ? [element("p", { className: "muted", textContent: node.name })] : []),
      ...(node.reason ? [element("p", { className: "why", textContent: node.reason })] : []),
      ...node.inputs.slice(0, most).map((name) => line("←", name)), ...more(node.inputs),
      ...node.outputs.slice(0, most).map((name) => line("→", name)), ...more(node.outputs),
      ...node.attributes.slice(0, most).map(([name, , value]) => element("div", { className: "muted" }, `${name} = ${value}`)),
    );
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${clamp(event.clientX + 16, 4, window.innerWidth - width - 8)}px`;
    tip.style.top = `${event.clientY + 20 + height > window.innerHeight ? Math.max(event.clientY - height - 12, 4) : event.clientY + 20}px`;
  }

  controls() {
    if (this.models.length > 1) {
      byId("modes").append(...["before", "after", "both"].map((mode, at) => {
        const button = element("button", { onclick: () => this.setMode(mode), title: `Key ${at + 1}` },
          mode[0].toUpperCase() + mode.slice(1));
        button.dataset.mode = mode;
        return button;
      }));
    }
    const field = byId("search");
    field.addEventListener("input", () => this.search(field.value));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.goTo(this.foundAt + (event.shiftKey ? -1 : 1));
      if (event.key === "Escape") { this.search(""); this.active.canvas.focus(); }
      if (event.key === "ArrowDown") byId("hits").querySelector("button")?.focus();
      event.stopPropagation();
    });
    byId("hits").addEventListener("keydown", (event) => {
      const item = document.activeElement.closest("li");
      if (event.key === "ArrowDown") item?.nextElementSibling?.firstChild.focus();
      if (event.key === "ArrowUp") (item?.previousElementSibling?.firstChild ?? field).focus();
      if (event.key === "Escape") { byId("hits").hidden = true; field.focus(); }
      if (event.key.startsWith("Arrow")) event.preventDefault();
      event.stopPropagation();
    });
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".search")) byId("hits").hidden = true;
    });
    byId("in").onclick = () => this.active.zoomTo(this.active.k * 1.25);
    byId("out").onclick = () => this.active.zoomTo(this.active.k / 1.25);
    byId("fit").onclick = () => this.fit();
    byId("png").onclick = () => saveAsPng(this.active);
    byId("svg").onclick = () => saveAsSvg(this.active);
    byId("theme").onclick = () => this.switchTheme();
    byId("help").onclick = () => byId("keys").showModal();
    byId("keys").append(element("h2", { textContent: "Keys" }),
      element("dl", {}, ...KEYS.flatMap(([key, what]) => [element("dt", {}, element("kbd", { textContent: key })),
        element("dd", { textContent: what })])),
      element("form", { method: "dialog" }, element("button", { textContent: "Close" })));
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    this.recolour();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const pane = this.active, onButton = event.target.closest?.("button, a, input");
    if (event.key === "Enter" && onButton) return;
    const isBad = (node) => BAD.includes(node.status);
    const actions = {
      "/": () => byId("search").select(), "?": () => byId("keys").showModal(),
      f: () => this.fit(), t: () => this.switchTheme(), 0: () => pane.zoomTo(1),
      "+": () => pane.zoomTo(pane.k * 1.25), "=": () => pane.zoomTo(pane.k * 1.25),
      "-": () => pane.zoomTo(pane.k / 1.25),
      n: () => this.step(pane, "bad", isBad), p: () => this.step(pane, "bad", isBad, -1),
      o: () => this.toggleSelected(), Enter: () => this.toggleSelected(),
      x: () => this.keyTwin(), Escape: () => pane.select(null),
    };
    if (this.models.length > 1) {
      Object.assign(actions, { 1: () => this.setMode("before"), 2: () => this.setMode("after"), 3: () => this.setMode("both") });
    }
    for (const arrow of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) actions[arrow] = () => pane.step(arrow);
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  toggleSelected() {
    const place = this.active.selected;
    if (place) this.active.toggle(this.active.find(place.key).view, place.cell);
  }

  keyTwin() {
    const pane = this.active, place = pane.selected;
    const node = place && pane.model.scopes[place.number].nodes[place.cell];
    if (node?.twin) this.showTwin(pane, node);
  }

  switchTheme() {
    const root = document.documentElement;
    root.dataset.theme = this.isDark() ? "light" : "dark";
    this.recolour();
  }

  isDark() {
    return (document.documentElement.dataset.theme
      ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  }

  recolour() {
    byId("theme").textContent = this.isDark() ? "Light" : "Dark";
    this.colours = readColours();
    this.redraw();
  }
}

const { models } = JSON.parse(byId("data").textContent);
for (const model of models) {
  for (const scope of model.scopes) scope.constantSet = new Set(scope.constants);
  indexModel(model);
}
new App(models);
