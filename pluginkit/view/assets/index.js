// Find nodes: the node that opens a scope, the producer and readers of a value, search results.

const STATUS = {
  refused: { title: "Refused", mark: "✕", meaning: "TensorRT's parser refuses it" },
  rewritten: { title: "Rewritten", mark: "↻", meaning: "a rewrite puts other nodes in its place" },
  plugin: { title: "Plugin", mark: "◆", meaning: "a plugin runs it" },
  native: { title: "Native", mark: "", meaning: "TensorRT takes it unchanged" },
  unknown: { title: "Not asked", mark: "", meaning: "no parser was asked" },
};

function indexModel(model) {
  // For each scope that can be shown: its parent scope, the node to open, and which body it is.
  model.home = model.scopes.map(() => null);
  model.home[0] = { parent: -1 };
  model.order = [];
  const queue = [0];
  for (let next; (next = queue.shift()) !== undefined;) {
    model.order.push(next);
    model.scopes[next].nodes.forEach((node, cell) => node.inside.forEach(([, inner], body) => {
      if (model.home[inner]) return;
      model.home[inner] = { parent: next, cell, body };
      queue.push(inner);
    }));
  }
  for (const scope of model.scopes) {
    scope.producer = new Map();
    scope.readers = new Map();
    scope.nodes.forEach((node, cell) => {
      for (const name of node.outputs) if (name) scope.producer.set(name, cell);
      for (const name of node.inputs) {
        if (!name) continue;
        if (!scope.readers.has(name)) scope.readers.set(name, []);
        if (!scope.readers.get(name).includes(cell)) scope.readers.get(name).push(cell);
      }
    });
    scope.cells.forEach(([kind, name], at) => {
      const cell = scope.nodes.length + at;
      if (kind !== "output") scope.producer.set(name, cell);
      else scope.readers.set(name, [...(scope.readers.get(name) ?? []), cell]);
    });
    scope.far = scope.far.map(([value, cell]) => ({ name: scope.values[value], value, cell }));
    scope.farOf = new Map();
    for (const far of scope.far) {
      const source = scope.producer.get(far.name);
      for (const cell of [source, far.cell]) {
        if (!scope.farOf.has(cell)) scope.farOf.set(cell, []);
        const said = `${cell === source ? "↓" : "↑"} ${far.name}`;
        if (!scope.farOf.get(cell).includes(said)) scope.farOf.get(cell).push(said);
      }
    }
  }
  model.inside = model.scopes.map(() => null);
  model.named = new Map(); // name -> the places of the nodes that have it
  for (const place of placesOf(model, (node) => node.name)) {
    const { name } = nodeAt(model, place);
    model.named.set(name, [...(model.named.get(name) ?? []), place]);
  }
  return model;
}

const nodeAt = (model, [number, cell]) => model.scopes[number]?.nodes[cell];

// Return the text of a node in a link: its name, or the numbers of its scope and its position.
function linkName(model, place) {
  const { name } = nodeAt(model, place);
  return model.named.get(name)?.length === 1 ? name : place.join("/");
}

// Return the place of the node in a link: by its name, one of its outputs, or two numbers.
function linkedPlace(model, text) {
  const numbers = /^(\d+)\/(\d+)$/.exec(text)?.slice(1).map(Number);
  return model.named.get(text)?.[0]
    ?? placesOf(model, (node) => node.outputs.includes(text))[0]
    ?? (numbers && nodeAt(model, numbers) ? numbers : undefined);
}

// Return the place of the first node with the worst status.
function firstPlace(model) {
  const worst = BAD.findLast((status) => model.counts[status]);
  return worst && placesOf(model, (node) => node.status === worst)[0];
}

// Return the worst status inside a node, which the node shows while it is closed.
function worstInside(model, node) {
  let worst = "";
  for (const [, inner] of node.inside) {
    if (model.inside[inner] === null) {
      model.inside[inner] = "";
      for (const each of model.scopes[inner].nodes) {
        model.inside[inner] = worse(worse(model.inside[inner], each.status), worstInside(model, each));
      }
    }
    worst = worse(worst, model.inside[inner]);
  }
  return worst;
}

// The statuses that are highlighted, the worst last.
const BAD = ["plugin", "rewritten", "refused"];
const worse = (a, b) => (BAD.indexOf(b) > BAD.indexOf(a) ? b : a);

// Return the places [scope, cell] of the nodes that `isWanted` accepts, in reading order.
function placesOf(model, isWanted) {
  const places = [];
  for (const number of model.order) {
    model.scopes[number].nodes.forEach((node, cell) => {
      if (isWanted(node)) places.push([number, cell]);
    });
  }
  return places;
}

function searchModel(model, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const has = (name) => name.toLowerCase().includes(wanted);
  const rank = (node) => {
    if (node.op.toLowerCase() === wanted || node.name.toLowerCase() === wanted) return 0;
    if (has(node.name) || has(node.op)) return 1;
    return node.outputs.some(has) || node.inputs.some(has) ? 2 : 3;
  };
  const found = [[], [], []];
  for (const place of placesOf(model, () => true)) {
    const at = rank(model.scopes[place[0]].nodes[place[1]]);
    if (at < 3) found[at].push(place);
  }
  return found.flat();
}

// Return the key of a scope's first instance, and the nodes to open to show it.
function pathTo(model, number) {
  const open = [];
  const keyOf = (scope) => {
    const { parent, cell, body } = model.home[scope];
    if (parent < 0) return "";
    const place = `${keyOf(parent)}/${cell}`;
    open.push(place);
    return `${place}.${body}`;
  };
  return { key: keyOf(number), open };
}
