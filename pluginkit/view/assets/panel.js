// Fill the right column: the selected node, else the model. Everything is set as text, not markup.

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const section = (title, ...children) => element("section", {}, element("h3", { textContent: title }), ...children);

const figures = new Intl.NumberFormat("en");

function chip(status) {
  const { title, mark } = STATUS[status];
  return element("span", { className: `chip ${status}` }, mark ? `${mark} ${title}` : title);
}

class Panel {
  constructor(root, app) {
    Object.assign(this, { root, app });
  }

  show(pane) {
    const place = pane.selected, scope = place && pane.model.scopes[place.number];
    const node = scope?.nodes[place.cell];
    let parts;
    if (!place) parts = this.model(pane);
    else if (node) parts = this.node(pane, scope, node, place);
    else parts = this.cell(pane, scope, place);
    this.root.replaceChildren(...parts.filter(Boolean));
    this.root.scrollTop = 0;
  }

  model(pane) {
    const { model } = pane, { counts } = model;
    const legend = Object.keys(STATUS).filter((status) => counts[status]).map((status) =>
      this.stepper(pane, status, STATUS[status].title, STATUS[status].meaning, counts[status],
        (node) => node.status === status));
    const changed = placesOf(model, (node) => node.differs).length;
    if (changed) {
      legend.push(this.stepper(pane, "changed", pane.number ? "New or changed" : "Changed or gone",
        "the other model has no equal node", changed, (node) => node.differs));
    }
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const first = model.scopes[0], ends = (kind) => first.cells.filter((cell) => cell[0] === kind);
    const ops = new Map();
    for (const [scope, cell] of placesOf(model, () => true)) {
      const { op } = model.scopes[scope].nodes[cell];
      ops.set(op, (ops.get(op) ?? 0) + 1);
    }
    const common = [...ops].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 40);
    return [
      element("h2", { textContent: model.name }),
      element("p", { className: "muted" }, `${figures.format(total)} node${total === 1 ? "" : "s"}`
        + (model.scopes.length > 1 ? ` in ${figures.format(model.scopes.length)} graphs` : "")),
      element("div", { className: "legend" }, ...legend),
      ...model.notes.map((note) => element("p", { className: "note", textContent: note })),
      section("Inputs", ...ends("input").map(([, name]) => this.value(pane, first, 0, name, false))),
      section("Outputs", ...ends("output").map(([, name]) => this.value(pane, first, 0, name, true))),
      section("Operators", element("div", { className: "ops" }, ...common.map(([op, count]) =>
        element("button", { title: `Search ${op}`, onclick: () => this.app.search(op) },
          op, element("b", { textContent: figures.format(count) }))))),
      section("Model", this.table(model.facts)),
    ];
  }

  stepper(pane, className, title, meaning, count, isWanted) {
    return element("button", {
      className: `step ${className}`, title: `${meaning}; click for the next one`,
      onclick: () => this.app.step(pane, className, isWanted),
    }, element("i", { textContent: STATUS[className]?.mark ?? "" }),
    element("span", { textContent: title }), element("b", { textContent: figures.format(count) }));
  }

  node(pane, scope, node, place) {
    const twin = node.twin && this.app.other(pane);
    const view = pane.find(place.key)?.view;
    const isOpen = pane.open.has(`${place.key}/${place.cell}`);
    return [
      element("h2", {}, node.op, chip(node.status)),
      node.name ? element("p", { className: "name", textContent: node.name }) : null,
      node.reason ? element("div", { className: `reason ${node.status}` },
        ...node.reason.split("\n").map((line) => element("p", { textContent: line }))) : null,
      node.next ? section("Next step", element("p", {}, "Begin a plugin for it:"),
        element("code", { className: "next", textContent: node.next })) : null,
      element("div", { className: "actions" },
        node.inside.length ? element("button", {
          onclick: () => pane.toggle(view, place.cell),
        }, isOpen ? "Close" : "Open", element("kbd", { textContent: "O" })) : null,
        twin ? element("button", { onclick: () => this.app.showTwin(pane, node) },
          `Show ${pane.number ? "before" : "after"}`, element("kbd", { textContent: "X" })) : null,
        element("a", { textContent: "Link", title: "A link to this node",
          href: this.app.linkTo(pane, [place.number, place.cell]) })),
      node.differs ? element("p", { className: "note" },
        "The other model has no equal node here.") : null,
      section("Inputs", ...node.inputs.map((name) => this.value(pane, scope, place.number, name, true, place))),
      section("Outputs", ...node.outputs.map((name) => this.value(pane, scope, place.number, name, false, place))),
      node.attributes.length ? section("Attributes", this.table(
        node.attributes.map(([name, kind, value]) => [name, value, kind]))) : null,
      section("Where", this.table([
        ["graph", scope.path], ["domain", node.domain || "ai.onnx"], ["position", String(place.cell)],
        ...(node.doc ? [["doc", node.doc]] : []),
      ])),
    ];
  }

  cell(pane, scope, place) {
    const [kind, name] = scope.cells[place.cell - scope.nodes.length];
    const titles = { input: "Input", output: "Output", outer: "Value of an outer graph" };
    return [
      element("h2", { textContent: titles[kind] }),
      this.value(pane, scope, place.number, name, kind === "output", place),
      element("p", { className: "muted", textContent: scope.path }),
    ];
  }

  // Show a value with its type; a click goes to its producer or its reader.
  value(pane, scope, number, name, isRead, place) {
    if (!name) return element("div", { className: "value muted", textContent: "left out" });
    const isConstant = scope.constantSet.has(name);
    const cells = isRead ? [scope.producer.get(name)] : scope.readers.get(name) ?? [];
    const targets = cells.filter((cell) => cell !== undefined && cell !== place?.cell);
    const type = scope.types[name] || "type unknown";
    const row = element(targets.length ? "button" : "div", { className: "value" },
      element("span", { className: "name", textContent: name }),
      element("code", { textContent: isConstant ? `constant ${type}` : type }));
    if (targets.length) {
      row.title = isRead ? "Go to what produces it" : `Go to what reads it (${targets.length})`;
      const key = place?.key ?? "";
      row.onclick = () => pane.select(key, targets[0], { centre: true });
    }
    return row;
  }

  table(rows) {
    return element("dl", {}, ...rows.flatMap(([name, value, kind]) => [
      element("dt", { textContent: name, title: kind ?? "" }), element("dd", { textContent: value }),
    ]));
  }
}
