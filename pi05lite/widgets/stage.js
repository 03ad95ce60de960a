// A stage plays plain plotly figures, pictures and words side by side, one slider for all of them.
// Everything moves in the browser; the kernel is only asked for what it has to compute.

async function plotly(model) {
  if (globalThis.Plotly && globalThis.Plotly.newPlot) return globalThis.Plotly;
  if (!globalThis.pi05Plotly) {
    globalThis.pi05Plotly = (async () => {
      const library = await model.widget_manager.get_model(model.get("library").slice(10));
      const source = new Blob([library.get("source")], { type: "text/javascript" });
      await import(URL.createObjectURL(source));
      return globalThis.Plotly;
    })();
  }
  return globalThis.pi05Plotly;
}

function add(tag, where, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  where.append(node);
  return node;
}

// ---- panes: each has set(pane), show(n) and theme() ----------------------------------------------

function figurePane(box, library, report) {
  const node = add("div", box, "pi05-figure");
  let names = [], redraw = false, ready = Promise.resolve(), wanted = 0;
  let busy = 0, turn = 1; // plotly never ends an animation whose figure is replaced: a turn each
  const ink = () => getComputedStyle(box).color;
  const fits = new ResizeObserver(() => {
    if (node.offsetParent && node.layout) library.Plots.resize(node);
  });
  fits.observe(box);
  const draw = async () => {
    const mine = turn;
    if (busy === mine) return;
    busy = mine;
    let drawn = -1;
    while (mine === turn && drawn !== wanted) {
      drawn = wanted;
      if (drawn < names.length) {
        await library.animate(node, [names[drawn]], {
          mode: "immediate", frame: { duration: 0, redraw }, transition: { duration: 0 },
        }).catch(() => {});
      }
    }
    if (mine === turn) busy = 0;
  };
  return {
    set(pane) {
      const figure = JSON.parse(pane.json);
      turn += 1;
      const layout = { ...figure.layout, autosize: true, sliders: [], updatemenus: [],
                       font: { ...figure.layout.font, color: ink() } };
      delete layout.width;
      if (figure.layout.sliders) layout.height = (layout.height || 450) - 60; // their room
      names = (figure.frames || []).map((f) => f.name);
      redraw = pane.redraw;
      node.style.height = `${layout.height || 400}px`;
      node.setAttribute("role", "img");
      node.setAttribute("aria-label", (layout.title && layout.title.text) || "figure");
      const camera = node.layout && node.layout.scene && node.layout.scene.camera;
      if (camera && layout.scene) layout.scene = { ...layout.scene, camera };
      ready = library.newPlot(node, { data: figure.data, layout, frames: figure.frames || [],
                                      config: { responsive: true, displaylogo: false,
                                                displayModeBar: false } })
        .then(() => {
          node.removeAllListeners && node.removeAllListeners("plotly_click");
          node.on("plotly_click", (event) => report(event.points[0]));
          wanted = Math.min(wanted, Math.max(0, names.length - 1));
          return draw();
        });
      return ready;
    },
    show(n) { wanted = n; return ready.then(draw); },
    theme() { ready.then(() => library.relayout(node, { "font.color": ink() })); },
    close() { fits.disconnect(); library.purge(node); },
  };
}

function picturesPane(box) {
  let images = [], frames = [];
  return {
    set(pane) {
      box.replaceChildren();
      frames = pane.frames;
      images = pane.names.map((name) => {
        const holder = add("figure", box, "pi05-picture");
        const image = add("img", holder);
        image.alt = name;
        image.style.width = image.style.height = `${pane.size}px`;
        add("figcaption", holder, "", name);
        return image;
      });
    },
    show(n) { (frames[n] || []).forEach((src, k) => { images[k].src = src; }); },
    theme() {}, close() {},
  };
}

function textPane(box) {
  let frames = [];
  const node = add("div", box, "pi05-words");
  return {
    set(pane) { frames = pane.frames; },
    show(n) { node.textContent = frames[n] || ""; },
    theme() {}, close() {},
  };
}

const PANES = { figure: figurePane, pictures: picturesPane, text: textPane };

// ---- the slider ------------------------------------------------------------------------------

function player(el, model) {
  const bar = add("div", el, "pi05-player");
  const play = add("button", bar, "pi05-play", "play");
  const slider = add("input", bar, "pi05-at");
  const said = add("span", bar, "pi05-label");
  Object.assign(slider, { type: "range", min: 0, step: 1 });
  slider.setAttribute("aria-label", model.get("caption"));
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "play"; };
  const move = (n) => { model.set("at", n); model.save_changes(); };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (model.get("at") >= model.get("count") - 1) move(0);
    play.textContent = "pause";
    timer = setInterval(() => {
      if (model.get("at") >= model.get("count") - 1) return stop();
      move(model.get("at") + 1);
    }, model.get("beat"));
  });
  slider.addEventListener("input", () => { stop(); move(+slider.value); });
  bar.addEventListener("keydown", (event) => { // the notebook keeps what is meant for it: saving
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  return {
    draw() {
      bar.style.display = model.get("count") > 1 ? "" : "none";
      slider.max = model.get("count") - 1;
      slider.value = model.get("at");
      said.textContent = model.get("labels")[model.get("at")] || "";
    },
    stop,
  };
}

async function render({ model, el }) {
  hideStill(el);
  el.classList.add("pi05-stage");
  // A notebook puts a cell into the page when it comes into sight; a figure needs its room before.
  while (!el.isConnected) await new Promise((go) => setTimeout(go, 50));
  const bar = player(el, model), room = add("div", el, "pi05-panes");
  const needs = model.get("panes").some((pane) => pane.kind === "figure");
  const library = needs ? await plotly(model) : null;
  let panes = [], kinds = "", drawn = 0;

  const report = (k) => (point) => {
    const plain = (x) => (typeof x === "bigint" ? Number(x) : x);
    model.set("clicked", { pane: k, curve: point.curveNumber, x: plain(point.x), y: plain(point.y),
                           count: (model.get("clicked").count || 0) + 1 });
    model.save_changes();
  };
  async function fill() {
    const wanted = model.get("panes"), now = wanted.map((pane) => pane.kind).join();
    if (now !== kinds) {
      panes.forEach((pane) => pane.close());
      room.replaceChildren();
      panes = wanted.map((pane, k) => {
        const box = add("div", room, "pi05-pane");
        box.style.flex = pane.flex || "1 1 100%";
        return PANES[pane.kind](box, library, report(k));
      });
      kinds = now;
    }
    await Promise.all(wanted.map((pane, k) => panes[k].set(pane)));
    await show();
  }
  async function show() {
    bar.draw();
    await Promise.all(panes.map((pane) => pane.show(model.get("at"))));
    el.dataset.drawn = ++drawn;
  }
  const theme = () => setTimeout(() => panes.forEach((pane) => pane.theme()), 50);
  const watch = new MutationObserver(theme);
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  model.on("change:at", show);
  model.on("change:panes", fill);
  model.on("change:count", bar.draw);
  model.on("change:labels", bar.draw);
  await fill();
  el.dataset.ready = "yes";
  return () => {
    bar.stop();
    watch.disconnect();
    model.off("change:at", show);
    model.off("change:panes", fill);
    panes.forEach((pane) => pane.close());
  };
}

export default { render };
