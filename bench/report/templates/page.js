// Draw every group of charts on the page with uPlot: trials and sides on and off, zoom, and a line of values.
"use strict";
(() => {
  const PERCENTS = [50, 90, 99, 99.9, 99.99, 99.999];
  const DASHES = [[], [8, 4], [2, 3], [6, 2, 2, 2], [12, 4], [3, 3]];
  const HEIGHT = 280;
  const LABEL_WIDTH = 58;
  const groups = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const sideColour = (group, side) => colour(`--side-${group.sides[side].colour}`);

  function element(tag, attributes = {}, text = "") {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
  }

  function format(value) {
    if (value === null || value === undefined) return "–";
    const digits = value !== 0 && Math.abs(value) < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 };
    return value.toLocaleString("en-US", digits);
  }

  function formatX(chart, x) {
    if (chart.x === "percentile") return `${Number((100 * (1 - 1 / x)).toPrecision(6))} %`;
    const tick = chart.ticks.find(([at]) => Math.abs(at - x) < 1e-9);
    if (tick) return tick[1];
    return chart.x === "seconds" ? `${x.toFixed(1)} s` : format(x);
  }

  function isShown(group, line) {
    const ofTrial = line.trial === null || group.trials.has(line.trial);
    return group.shown.has(line.side) && ofTrial;
  }

  function choosePaths(chart) {
    if (chart.scattered) return () => null;
    return chart.step ? uPlot.paths.stepped({ align: 1 }) : undefined;
  }

  function describeSeries(group, chart, line) {
    const isMedian = line.trial === null;
    return {
      stroke: sideColour(group, line.side),
      width: isMedian ? 2.4 : 1,
      alpha: line.void && !line.dotted ? 0.35 : isMedian ? 1 : 0.5,
      dash: line.dotted ? [3, 5] : DASHES[line.dashes % DASHES.length],
      spanGaps: !chart.sparse,
      show: isShown(group, line),
      points: { show: chart.sparse, size: 7, fill: sideColour(group, line.side) },
      paths: choosePaths(chart),
    };
  }

  // Powers of ten, and where there are few of them also their doubles and fives.
  function listLogTicks(low, high) {
    const found = [];
    const factors = high / low > 1000 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      factors.forEach((factor) => found.push(Number(`${factor}e${power}`)));
    }
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  }

  // Ticks whose labels do not touch: on a narrow screen not all of them have room.
  function keepApart(u, values) {
    const kept = [];
    values.forEach((value) => {
      const before = kept[kept.length - 1];
      if (before === undefined || u.valToPos(value, "x") - u.valToPos(before, "x") >= LABEL_WIDTH) kept.push(value);
    });
    return kept;
  }

  function describeAxes(chart) {
    const look = { stroke: colour("--quiet"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid") } };
    const x = { ...look, label: chart.xLabel || null, labelSize: 22, size: 36, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
    if (chart.x === "percentile") {
      x.splits = (u, axis, low, high) => keepApart(u, PERCENTS.map((p) => 1 / (1 - p / 100)).filter((v) => v >= low && v <= high * 1.001));
      x.values = (u, splits) => splits.map((v) => formatX(chart, v));
      x.filter = (u, splits) => splits;
    } else if (chart.ticks.length) {
      x.splits = (u, axis, low, high) => keepApart(u, chart.ticks.map(([at]) => at).filter((at) => at >= low && at <= high));
      x.values = (u, splits) => splits.map((v) => formatX(chart, v));
      x.filter = (u, splits) => splits;
    } else if (chart.x !== "seconds") {
      x.values = (u, splits) => splits.map((v) => (v === null ? "" : format(v)));
    }
    const y = { ...look, size: 62, font: x.font, values: (u, splits) => splits.map((v) => (v === null ? "" : format(v))) };
    if (chart.y === "log") {
      y.splits = (u, axis, low, high) => listLogTicks(low, high);
      y.filter = (u, splits) => splits;
    }
    return [x, y];
  }

  function describeScales(chart) {
    const isLogX = chart.x === "percentile" || chart.x === "log";
    const levels = chart.marks.map((mark) => mark.y).filter((y) => y !== null);
    const linear = (u, low, high) => [0, Math.max(high || 0, ...levels) * 1.06 || 1];
    return {
      x: { time: false, distr: isLogX ? 3 : 1 },
      y: chart.y === "log" ? { distr: 3 } : { range: linear },
    };
  }

  function drawMarks(u, group, chart) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    chart.marks.forEach((mark) => {
      if (mark.side !== null && !group.shown.has(mark.side)) return;
      ctx.strokeStyle = mark.side === null ? colour("--ink") : sideColour(group, mark.side);
      ctx.beginPath();
      if (mark.x !== null) {
        const x = u.valToPos(mark.x, "x", true);
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
      } else {
        const y = u.valToPos(mark.y, "y", true);
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
      }
      ctx.stroke();
    });
    ctx.restore();
  }

  function shade(u, chart) {
    if (!chart.shaded) return;
    const { ctx, bbox } = u;
    const left = Math.max(bbox.left, u.valToPos(0, "x", true));
    const right = Math.min(bbox.left + bbox.width, u.valToPos(chart.shaded, "x", true));
    ctx.save();
    ctx.fillStyle = colour("--shade");
    if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.restore();
  }

  // The values under the cursor: of each line its median, and the least and the greatest of the trials shown.
  function readOut(group, chart, index) {
    const parts = new Map();
    chart.lines.forEach((line) => {
      const value = index === null ? null : line.y[index];
      if (value === null || value === undefined || !isShown(group, line)) return;
      const key = `${line.side} ${line.label}`;
      const part = parts.get(key) || { line, median: null, trials: [] };
      if (line.trial === null) part.median = value;
      else part.trials.push(value);
      parts.set(key, part);
    });
    chart.out.replaceChildren();
    if (index === null) return;
    chart.out.append(element("b", {}, formatX(chart, chart.xs[index])));
    parts.forEach(({ line, median, trials }) => {
      const name = [group.sides[line.side].name, line.label].filter(Boolean).join(" ");
      const spread = trials.length > 1 ? ` (${format(Math.min(...trials))} to ${format(Math.max(...trials))})` : "";
      const text = `${name} ${format(median === null ? trials[0] : median)}${trials.length > 1 || median !== null ? spread : ""}`;
      const item = element("span", { class: "value" }, text);
      item.style.setProperty("--swatch", sideColour(group, line.side));
      chart.out.append(item);
    });
  }

  function zoom(group, chart, low, high) {
    const same = group.charts.filter((each) => each.x === chart.x && each.plot);
    same.forEach((each) => each.plot.setScale("x", { min: low, max: high }));
  }

  function zoomBy(group, chart, factor) {
    const isLog = chart.x === "percentile" || chart.x === "log";
    const [forth, back] = isLog ? [Math.log, Math.exp] : [(v) => v, (v) => v];
    const { min, max } = chart.plot.scales.x;
    const [low, high] = [forth(min), forth(max)];
    const at = chart.plot.cursor.left >= 0 ? forth(chart.plot.posToVal(chart.plot.cursor.left, "x")) : (low + high) / 2;
    const [first, last] = [chart.xs[0], chart.xs[chart.xs.length - 1]];
    zoom(group, chart, Math.max(first, back(at - (at - low) * factor)), Math.min(last, back(at + (high - at) * factor)));
  }

  function draw(group, chart) {
    if (chart.plot) chart.plot.destroy();
    const width = Math.max(200, chart.place.clientWidth);
    const options = {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, sync: { key: `${group.key} ${chart.x}`, setSeries: false }, drag: { x: true, y: false, setScale: false } },
      scales: describeScales(chart),
      axes: describeAxes(chart),
      series: [{}, ...chart.lines.map((line) => describeSeries(group, chart, line))],
      hooks: {
        drawClear: [(u) => shade(u, chart)],
        draw: [(u) => drawMarks(u, group, chart)],
        setCursor: [(u) => readOut(group, chart, u.cursor.idx === undefined ? null : u.cursor.idx)],
        setSelect: [(u) => {
          if (u.select.width > 4) zoom(group, chart, u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    };
    chart.plot = new uPlot(options, [chart.xs, ...chart.lines.map((line) => line.y)], chart.place);
    chart.width = width;
    readOut(group, chart, null);
  }

  function redraw() {
    groups.forEach((group) => group.charts.forEach((chart) => draw(group, chart)));
  }

  function showChosen(group) {
    group.charts.forEach((chart) => {
      chart.plot.batch(() => chart.lines.forEach((line, index) => chart.plot.setSeries(index + 1, { show: isShown(group, line) })));
      readOut(group, chart, null);
    });
  }

  function addSwitch(group, place, set, key, text, look) {
    const label = element("label", { class: look.isVoid ? "switch void" : "switch" });
    const box = element("input", { type: "checkbox" });
    box.checked = set.has(key);
    box.addEventListener("change", () => {
      if (box.checked) set.add(key);
      else set.delete(key);
      showChosen(group);
    });
    label.append(box, element("span", {}, text));
    if (look.colour !== undefined) label.style.setProperty("--swatch", `var(--side-${look.colour})`);
    place.append(label);
  }

  function addSwitches(group) {
    const sides = element("div", { class: "switches", role: "group", "aria-label": "sides" });
    group.sides.forEach((side, index) => addSwitch(group, sides, group.shown, index, side.name, { colour: side.colour, isVoid: side.void }));
    const trials = element("div", { class: "switches trials", role: "group", "aria-label": "trials" }, "");
    const seen = new Map();
    group.charts.forEach((chart) => chart.lines.forEach((line) => line.trial !== null && seen.set(line.trial, line)));
    if (seen.size > 1) trials.append(element("span", {}, "trials"));
    [...seen.keys()].sort((a, b) => a - b).forEach((trial) => {
      const line = seen.get(trial);
      if (seen.size > 1) addSwitch(group, trials, group.trials, trial, String(trial), { colour: group.sides[line.side].colour, isVoid: line.void });
    });
    group.root.querySelector(".controls").append(sides, trials);
  }

  function addZoom(group, chart, figure) {
    const buttons = element("span", { class: "zoom" });
    const add = (text, name, act) => {
      const button = element("button", { type: "button", title: name, "aria-label": name }, text);
      button.addEventListener("click", act);
      buttons.append(button);
    };
    add("+", "zoom in", () => zoomBy(group, chart, 0.5));
    add("−", "zoom out", () => zoomBy(group, chart, 2));
    add("all", "show all", () => zoom(group, chart, chart.xs[0], chart.xs[chart.xs.length - 1]));
    figure.querySelector("figcaption").append(buttons);
  }

  function begin(root, number) {
    const group = { ...JSON.parse(root.querySelector("script").textContent), root, key: `group ${number}` };
    group.shown = new Set(group.sides.keys());
    const lines = group.charts.flatMap((chart) => chart.lines);
    const hasValid = (side) => lines.some((line) => line.side === side && line.trial !== null && !line.void);
    // A trial that does not count is off at first, unless its side has no other.
    group.trials = new Set(lines.filter((line) => line.trial !== null && (!line.void || !hasValid(line.side))).map((line) => line.trial));
    const figures = root.querySelectorAll("figure");
    group.charts.forEach((chart, index) => {
      chart.place = figures[index].querySelector(".plot");
      chart.out = figures[index].querySelector("output");
      addZoom(group, chart, figures[index]);
    });
    addSwitches(group);
    groups.push(group);
    group.charts.forEach((chart) => draw(group, chart));
    root.classList.add("drawn");
  }

  document.querySelectorAll(".charts").forEach(begin);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => { document.documentElement.classList.add("print"); redraw(); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("print"); redraw(); });
  const resized = new ResizeObserver(() => groups.forEach((group) => group.charts.forEach((chart) => {
    const width = Math.max(200, chart.place.clientWidth);
    if (width !== chart.width) draw(group, chart);
  })));
  groups.forEach((group) => group.charts.forEach((chart) => resized.observe(chart.place)));
  document.documentElement.dataset.drawnMs = String(Math.round(performance.now()));
})();
