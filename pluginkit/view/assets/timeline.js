// Draws the runs of each stream along the host's clock; the wheel zooms, dragging moves.
const PARTS = ["to-gpu", "compute", "from-gpu"];
const ROW = 26, TOP = 22, LEFT = 70;

function drawTimeline(canvas, said, runs) {
  const streams = 1 + Math.max(...runs.map(run => run[0]));
  const end = Math.max(...runs.map(run => run[4]));
  let from = 0, to = end;
  canvas.style.height = `${TOP + streams * ROW + 8}px`;
  const width = () => canvas.clientWidth - LEFT - 8;
  const atX = ms => LEFT + (ms - from) / (to - from) * width();
  const atMs = x => from + (x - LEFT) / width() * (to - from);

  function paint() {
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const pen = canvas.getContext("2d");
    const colours = getComputedStyle(document.documentElement);
    const colour = name => colours.getPropertyValue(`--${name}`);
    pen.scale(scale, scale);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("muted");
    pen.strokeStyle = colour("line");
    const step = niceStep((to - from) / 8);
    for (let ms = Math.ceil(from / step) * step; ms <= to; ms += step) {
      const x = Math.round(atX(ms)) + .5;
      pen.beginPath();
      pen.moveTo(x, TOP - 4);
      pen.lineTo(x, canvas.clientHeight);
      pen.stroke();
      pen.fillText(`${+ms.toPrecision(6)} ms`, x + 3, 14);
    }
    for (let at = 0; at < streams; at++) pen.fillText(`stream ${at}`, 8, TOP + at * ROW + 17);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP, width(), streams * ROW);
    pen.clip();
    for (const [stream, ...times] of runs) {
      if (times[3] < from || times[0] > to) continue;
      PARTS.forEach((part, at) => {
        const x = atX(times[at]);
        pen.fillStyle = colour(part);
        pen.fillRect(x, TOP + stream * ROW + 3, Math.max(atX(times[at + 1]) - x - .5, .5), ROW - 6);
      });
    }
    pen.restore();
  }

  function zoom(factor, ms) {
    const span = Math.min(Math.max((to - from) * factor, end * 1e-5), end);
    const share = (ms - from) / (to - from);
    move(ms - share * span, span);
  }
  function move(start, span) {
    from = Math.min(Math.max(start, 0), end - span);
    to = from + span;
    paint();
  }
  function hover(event) {
    const box = canvas.getBoundingClientRect();
    const ms = atMs(event.clientX - box.left);
    const stream = Math.floor((event.clientY - box.top - TOP) / ROW);
    const at = runs.findIndex(run => run[0] === stream && run[1] <= ms && ms < run[4]);
    if (at < 0) { said.textContent = ""; return; }
    const [, start, copied, computed, done] = runs[at];
    const number = runs.slice(0, at).filter(run => run[0] === stream).length;
    said.textContent = `Run ${number} of stream ${stream}: ${(copied - start).toFixed(3)} ms to the GPU, `
      + `${(computed - copied).toFixed(3)} ms computing, ${(done - computed).toFixed(3)} ms back.`;
  }
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(event.deltaY * .002), atMs(event.clientX - canvas.getBoundingClientRect().left));
  }, {passive: false});
  canvas.addEventListener("pointermove", event => {
    if (event.buttons) move(from - event.movementX / width() * (to - from), to - from);
    hover(event);
  });
  canvas.addEventListener("dblclick", () => move(0, end));
  canvas.addEventListener("keydown", event => {
    const span = to - from, keys = {
      "+": () => zoom(.5, (from + to) / 2), "-": () => zoom(2, (from + to) / 2), "0": () => move(0, end),
      ArrowLeft: () => move(from - span / 5, span), ArrowRight: () => move(from + span / 5, span),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  addEventListener("resize", paint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find(factor => factor * power >= rough);
}
