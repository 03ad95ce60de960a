// Who reads what: hover a token to preview its row of attention, click to lock it.
// Rows are numbers 0..65535 (share of the attention); 0 is "may not look". Row r of a token:
// layer * heads + head, and the last one is the rollout.

const COLORS = { prompt: "#E69F00", state: "#56B4E9", subtask: "#009E73", tokens: "#CC79A7",
                 flow: "#D55E00", padding: "#8a8f98" };
const NAMES = { tokens: "action tokens", flow: "flow: action steps" };
const PICTURE = "#0072B2", HEAT = [232, 115, 26], SIDE = 160;

function make(tag, where, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  if (where) where.append(node);
  return node;
}

const percent = (x) => (100 * x).toFixed(x < 0.0995 ? 1 : 0) + " %";

// ---- the rows of attention ------------------------------------------------------------------

class Rows {
  constructor(model, data) {
    Object.assign(this, { model, data, found: new Map(), waiting: new Set() });
    this.each = data.layers * data.heads + 1;
    const bytes = model.get("rows");
    this.all = bytes.byteLength
      ? new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
      : null;
  }

  length(key) { return key < this.data.T ? this.data.T : this.data.T + this.data.H; }

  get(key) {
    if (this.found.has(key)) return this.found.get(key);
    if (this.all) {
      const { T } = this.data, n = this.length(key);
      const before = Math.min(key, T) * T + Math.max(0, key - T) * n;
      const row = this.all.subarray(before * this.each, (before + n) * this.each);
      this.found.set(key, row);
      return row;
    }
    if (!this.waiting.has(key)) {
      this.waiting.add(key);
      this.model.send({ need: key });
    }
    return null;
  }

  take(key, buffer) {
    this.waiting.delete(key);
    this.found.set(key, new Uint16Array(buffer.buffer.slice(
      buffer.byteOffset, buffer.byteOffset + buffer.byteLength)));
  }

  // Shares of one view of a row: a head, the mean of a layer's heads, of all, or the rollout.
  shares(row, n, layer, head) {
    const { layers, heads } = this.data, out = new Float32Array(n);
    let chosen = [];
    if (layer === -2) chosen = [layers * heads];
    else for (let l = 0; l < layers; l++) for (let h = 0; h < heads; h++) {
      if ((layer < 0 || l === layer) && (head < 0 || h === head)) chosen.push(l * heads + h);
    }
    for (const r of chosen) for (let i = 0; i < n; i++) out[i] += row[r * n + i];
    for (let i = 0; i < n; i++) out[i] /= 65535 * chosen.length;
    return out;
  }

  sees(row, n, i) {
    for (let r = 0; r < this.each; r++) if (row[r * n + i]) return true;
    return false;
  }
}

// ---- the page -------------------------------------------------------------------------------

function controls(el, data) {
  const bar = make("div", el, "pi05-bar");
  const view = make("select", bar);
  view.title = "which attention is shown";
  make("option", view, "", "mean of all layers and heads").value = "-1,-1";
  make("option", view, "", "rollout over the layers").value = "-2,-1";
  for (let l = 0; l < data.layers; l++) {
    make("option", view, "", `layer ${l + 1}, mean of heads`).value = `${l},-1`;
    for (let h = 0; h < data.heads; h++) {
      make("option", view, "", `layer ${l + 1}, head ${h + 1}`).value = `${l},${h}`;
    }
  }
  const scale = make("select", bar);
  scale.title = "what gets the full colour";
  for (const [text, value] of [["full colour: the strongest", 0], ["full colour: 5 %", 0.05],
                               ["full colour: 20 %", 0.2], ["full colour: 100 %", 1]]) {
    make("option", scale, "", text).value = value;
  }
  const label = make("label", bar, "", "denoising step ");
  const step = make("input", label);
  Object.assign(step, { type: "range", min: 0, max: data.steps - 1, step: 1 });
  const time = make("span", bar, "pi05-time");
  const lock = make("button", bar, "pi05-lock", "locked");
  lock.title = "click: hovering previews again";
  return { bar, view, scale, step, time, lock };
}

function blocks(el, data) {
  const cells = [], pictures = [], heads = [];
  const box = make("div", el, "pi05-blocks");
  box.tabIndex = 0;
  box.setAttribute("aria-label", "tokens: arrow keys choose, enter locks");
  const block = (color, label, first, count) => {
    const b = make("div", box, "pi05-block");
    const title = make("div", b, "pi05-title");
    title.style.borderColor = color;
    make("span", title, "", label);
    heads.push({ first, count, node: make("b", title, "", "") });
    return make("div", b, "pi05-body");
  };
  for (const camera of data.cameras) {
    const canvas = make("canvas", block(PICTURE, camera.slot, camera.first,
                                         camera.rows * camera.columns));
    canvas.width = canvas.height = SIDE;
    const image = new Image();
    image.src = camera.src;
    pictures.push({ ...camera, canvas, image });
  }
  let part = null, body = null;
  data.tokens.forEach((label, i) => {
    if (data.parts[i] in COLORS) {
      if (data.parts[i] !== part) {
        part = data.parts[i];
        let end = i;
        while (data.parts[end] === part) end++;
        body = block(COLORS[part], NAMES[part] || part, i, end - i);
      }
      cells[i] = make("span", body, "pi05-token", label.replace(/\n/g, "⏎").replace(/ /g, "\u00a0"));
      cells[i].dataset.token = i;
    }
  });
  body = block(COLORS.flow, NAMES.flow, data.T, data.H);
  for (let h = 0; h < data.H; h++) {
    const i = data.T + h;
    cells[i] = make("span", body, "pi05-token pi05-step", h + 1);
    cells[i].dataset.token = i;
  }
  return { box, cells, pictures, heads };
}

function headGrid(el, data) {
  const box = make("div", el, "pi05-heads"), cells = [];
  make("div", el.insertBefore(make("div"), box), "pi05-caption",
       "what each head reads: pictures above, share of each block below; click one");
  box.style.gridTemplateColumns = `auto repeat(${data.heads + 1}, minmax(40px, 92px))`;
  make("span", box);
  for (let h = 0; h < data.heads; h++) make("span", box, "", `head ${h + 1}`);
  make("span", box, "", "mean");
  for (let l = 0; l < data.layers; l++) {
    make("span", box, "", `layer ${l + 1}`);
    for (let h = 0; h <= data.heads; h++) {
      const cell = make("button", box, "pi05-cell"), head = h < data.heads ? h : -1;
      const canvas = make("canvas", cell), bar = make("div", cell, "pi05-share");
      canvas.width = data.cameras.reduce((n, c) => n + c.columns, 0) || 1;
      canvas.height = data.cameras.length ? data.cameras[0].rows : 1;
      cells.push({ cell, canvas, bar, layer: l, head });
    }
  }
  return cells;
}

// ---- drawing --------------------------------------------------------------------------------

function drawPicture(p, shares, full, chosen) {
  const g = p.canvas.getContext("2d"), w = SIDE / p.columns, h = SIDE / p.rows;
  g.imageSmoothingEnabled = false;
  g.clearRect(0, 0, SIDE, SIDE);
  if (p.image.complete) g.drawImage(p.image, 0, 0, SIDE, SIDE);
  for (let i = 0; i < p.columns * p.rows; i++) {
    const x = (i % p.columns) * w, y = Math.floor(i / p.columns) * h;
    const a = Math.min(1, shares[p.first + i] / full);
    g.fillStyle = `rgba(0, 0, 0, ${0.4 * (1 - a)})`;
    g.fillRect(x, y, w, h);
    g.fillStyle = `rgba(${HEAT}, ${0.72 * a})`;
    g.fillRect(x, y, w, h);
    if (chosen === p.first + i) {
      g.strokeStyle = "#fff";
      g.lineWidth = 3;
      g.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
    }
  }
}

function drawHead(c, data, shares, sums) {
  const g = c.canvas.getContext("2d"), width = c.canvas.width;
  const pixels = g.createImageData(width, c.canvas.height);
  let left = 0, most = 1e-6;
  for (const p of data.cameras) {
    for (let i = 0; i < p.columns * p.rows; i++) most = Math.max(most, shares[p.first + i]);
  }
  for (const p of data.cameras) {
    for (let i = 0; i < p.columns * p.rows; i++) {
      const at = 4 * (Math.floor(i / p.columns) * width + left + (i % p.columns));
      const a = shares[p.first + i] / most;
      pixels.data.set([40 + (HEAT[0] - 40) * a, 44 + (HEAT[1] - 44) * a, 52 - 26 * a, 255], at);
    }
    left += p.columns;
  }
  g.putImageData(pixels, 0, 0);
  let from = 0;
  const stops = [];
  for (const [part, share] of sums) {
    const color = COLORS[part] || PICTURE;
    stops.push(`${color} ${100 * from}%`, `${color} ${100 * (from += share)}%`);
  }
  c.bar.style.background = `linear-gradient(to right, ${stops})`;
  c.cell.title = `layer ${c.layer + 1}, ${c.head < 0 ? "mean" : `head ${c.head + 1}`}: ` +
    [...sums].map(([part, share]) => `${NAMES[part] || part} ${percent(share)}`).join(", ");
}

function render({ model, el }) {
  hideStill(el);
  const data = model.get("data"), rows = new Rows(model, data);
  el.classList.add("pi05-attention");
  const parts = [...data.parts, ...Array(data.H).fill("flow")];
  const c = controls(el, data);
  const said = make("div", el, "pi05-said");
  said.setAttribute("aria-live", "polite");
  const b = blocks(el, data), grid = headGrid(el, data);
  let hovered = null, drawn = 0;

  const pick = () => (hovered === null ? model.get("selected") : hovered);
  const name = (i) => i >= data.T ? `action step ${i - data.T + 1} (${data.seconds[i - data.T]} s)`
    : data.parts[i] in COLORS ? `“${data.tokens[i].trim() || data.tokens[i]}” (${NAMES[parts[i]] || parts[i]})`
    : `patch ${data.tokens[i].split(" ").pop()} of ${parts[i]}`;
  const sum = (shares) => {
    const out = new Map();
    shares.forEach((x, i) => out.set(parts[i], (out.get(parts[i]) || 0) + x));
    return out;
  };

  function draw() {
    const i = pick(), step = model.get("step"), layer = model.get("layer"), head = model.get("head");
    c.view.value = `${layer},${head}`;
    c.step.value = step;
    c.time.textContent = `flow time ${data.tau[step].toFixed(2)}`;
    c.lock.style.visibility = model.get("locked") ? "visible" : "hidden";
    const key = i < data.T ? i : data.T + step * data.H + (i - data.T);
    const n = rows.length(key), row = rows.get(key);
    b.cells.forEach((cell, k) => cell.classList.toggle("pi05-chosen", k === i));
    if (!row) { said.textContent = `${name(i)} …`; return; }
    const shares = rows.shares(row, n, layer, head), sums = sum(shares);
    const full = Number(c.scale.value) || Math.max(...shares) || 1;
    b.cells.forEach((cell, k) => {
      const a = k < n ? Math.min(1, shares[k] / full) : 0;
      cell.style.background = `rgba(${HEAT}, ${0.75 * a})`;
      cell.classList.toggle("pi05-unseen", !(k < n && rows.sees(row, n, k)));
      cell.title = k < n ? `${name(k)}: ${percent(shares[k])}` : `${name(k)}: not seen`;
    });
    for (const p of b.pictures) drawPicture(p, shares, full, i);
    for (const { first, count, node } of b.heads) {
      const share = shares.subarray(first, first + count).reduce((x, y) => x + y, 0);
      node.textContent = first < n ? percent(share) : "–";
    }
    for (const g of grid) {
      const mine = rows.shares(row, n, g.layer, g.head);
      drawHead(g, data, mine, sum(mine));
      g.cell.classList.toggle("pi05-chosen", g.layer === layer && g.head === head);
    }
    const view = c.view.selectedOptions[0].textContent;
    said.textContent = `${name(i)} reads (${view}): ` +
      [...sums].map(([part, x]) => `${NAMES[part] || part} ${percent(x)}`).join(" · ") +
      ` · full colour is ${percent(full)}`;
    el.dataset.drawn = ++drawn;
  }

  const change = (values) => {
    for (const [k, v] of Object.entries(values)) model.set(k, v);
    model.save_changes();
    draw();
  };
  const hover = (i) => { if (i !== hovered) { hovered = i; draw(); } };
  const asked = (i) => parts[i] !== "padding";
  const lockOn = (i) => { hovered = null; change({ selected: i, locked: true }); };

  b.box.addEventListener("mouseover", (event) => {
    const token = event.target.dataset && event.target.dataset.token;
    if (token !== undefined && asked(+token)) hover(+token);
  });
  b.box.addEventListener("mouseleave", () => hover(null));
  b.box.addEventListener("click", (event) => {
    const token = event.target.dataset && event.target.dataset.token;
    if (token !== undefined && asked(+token)) lockOn(+token);
  });
  for (const p of b.pictures) {
    const patch = (event) => {
      const r = p.canvas.getBoundingClientRect();
      const x = Math.floor((event.clientX - r.left) / r.width * p.columns);
      const y = Math.floor((event.clientY - r.top) / r.height * p.rows);
      return p.first + Math.max(0, Math.min(p.rows - 1, y)) * p.columns +
        Math.max(0, Math.min(p.columns - 1, x));
    };
    p.canvas.addEventListener("mousemove", (event) => hover(patch(event)));
    p.canvas.addEventListener("click", (event) => lockOn(patch(event)));
    p.image.onload = draw;
  }
  for (const g of grid) g.cell.addEventListener("click", () => change({ layer: g.layer, head: g.head }));
  c.view.addEventListener("change", () => {
    const [layer, head] = c.view.value.split(",").map(Number);
    change({ layer, head });
  });
  c.scale.addEventListener("change", draw);
  c.step.addEventListener("input", () => change({ step: +c.step.value }));
  c.lock.addEventListener("click", () => change({ locked: false }));
  b.box.addEventListener("keydown", (event) => {
    const views = [...c.view.options].map((o) => o.value);
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const time = { "]": 1, "[": -1 }[event.key];
    if (move) {
      let i = pick() + move;
      while (i >= 0 && i < parts.length && !asked(i)) i += move;
      if (i >= 0 && i < parts.length) { hovered = null; change({ selected: i }); }
    } else if (turn) {
      const k = (views.indexOf(c.view.value) + turn + views.length) % views.length;
      const [layer, head] = views[k].split(",").map(Number);
      change({ layer, head });
    } else if (time) {
      change({ step: Math.max(0, Math.min(data.steps - 1, model.get("step") + time)) });
    } else if (event.key === "Enter") lockOn(pick());
    else if (event.key === "Escape") change({ locked: false });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const redraw = () => draw();
  for (const k of ["selected", "locked", "step", "layer", "head"]) model.on(`change:${k}`, redraw);
  const take = (message, buffers) => {
    if (message.row === undefined) return;
    rows.take(message.row, buffers[0]);
    draw();
  };
  model.on("msg:custom", take);
  draw();
  return () => {
    for (const k of ["selected", "locked", "step", "layer", "head"]) model.off(`change:${k}`, redraw);
    model.off("msg:custom", take);
  };
}

export default { render };
