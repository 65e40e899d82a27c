// Puts what was measured on the page.
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function table({title, columns, rows}) {
  element("h2", title, byId("tables"));
  const made = element("table", "", byId("tables"));
  const head = element("tr", "", element("thead", "", made));
  for (const column of columns) element("th", column, head).scope = "col";
  const body = element("tbody", "", made);
  for (const row of rows) {
    const line = element("tr", "", body);
    for (const cell of row) element("td", cell, line);
  }
}

// The keys of a layer, and the head of each column.
const COLUMNS = [["name", "layer"], ["mean", "mean ms"], ["p50", "p50 ms"], ["p99", "p99 ms"], ["share", "share"]];
let sorted = {key: "mean", down: true};

function drawLayers() {
  const wanted = byId("filter").value.toLowerCase();
  const {key, down} = sorted;
  const order = (a, b) => key === "name" ? a.name.localeCompare(b.name, "en", {numeric: true}) : a[key] - b[key];
  const shown = data.layers.filter(layer => layer.name.toLowerCase().includes(wanted)).sort(order);
  if (down) shown.reverse();
  const head = document.querySelector("#layers thead tr");
  head.replaceChildren();
  for (const [column, text] of COLUMNS) {
    const cell = element("th", "", head);
    cell.scope = "col";
    if (column === key) cell.ariaSort = down ? "descending" : "ascending";
    element("button", text, cell).addEventListener("click", () => {
      sorted = {key: column, down: column === key ? !down : column !== "name"};
      drawLayers();
    });
  }
  element("th", "", head);
  const body = document.querySelector("#layers tbody");
  body.replaceChildren();
  const most = Math.max(...data.layers.map(layer => layer.share));
  for (const layer of shown) {
    const line = element("tr", "", body);
    line.className = layer.plugin ? "plugin" : "";
    element("td", layer.plugin ? `${layer.name} (plugin)` : layer.name, line);
    for (const name of ["mean", "p50", "p99"]) element("td", layer[name].toFixed(4), line);
    element("td", `${(100 * layer.share).toFixed(1)} %`, line);
    const bar = element("td", "", line);
    bar.className = "bar";
    element("i", "", bar).style.width = `${100 * layer.share / (most || 1)}%`;
  }
}

byId("title").textContent = data.title;
for (const [name, value] of data.facts) {
  element("dt", name, byId("facts"));
  element("dd", value, byId("facts"));
}
data.tables.forEach(table);
drawTimeline(byId("timeline"), byId("hovered"), data.runs);
if (data.layers) {
  byId("layers").hidden = false;
  byId("share").textContent = data.share;
  byId("filter").addEventListener("input", drawLayers);
  drawLayers();
}
document.body.dataset.ready = "yes";
