// The index of runs: filter by model, two runs side by side.
(() => {
  "use strict";
  const block = document.getElementById("comparison-data");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  const runOf = new Map(data.runs.map((run) => [run.id, run]));
  const NAMES = 50;

  const rows = [...document.querySelectorAll("#run-table tbody tr")];
  const boxes = [...document.querySelectorAll("#run-table .choose")];
  const filter = document.getElementById("model-filter");
  const count = document.getElementById("filter-count");
  const hint = document.getElementById("comparison-hint");
  const result = document.getElementById("comparison-result");

  const applyFilter = () => {
    const model = filter ? filter.value : "";
    for (const item of document.querySelectorAll("#run-table tbody tr, #charts [data-model]")) {
      item.hidden = model !== "" && item.dataset.model !== model;
    }
    const shown = rows.filter((row) => !row.hidden).length;
    const runs = `${rows.length} run${rows.length === 1 ? "" : "s"}`;
    if (count) count.textContent = model ? `${shown} of ${runs}` : runs;
    let unchosen = false;
    for (const box of boxes) {
      if (!box.checked || !box.closest("tr").hidden) continue;
      box.checked = false;
      unchosen = true;
    }
    if (unchosen) choose(null);
  };

  const element = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const number = (value, digits = 4) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const difference = (a, b, digits = 4) => {
    if (typeof a !== "number" || typeof b !== "number") return element("td", "–", "num");
    const value = b - a;
    const text = (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
    return element("td", text, Math.abs(value) < 1e-9 ? "num muted" : "num");
  };

  // A table with a caption; the first cell of each row is its header. A cell is text or an element.
  const table = (caption, heads, body, numeric = true) => {
    const made = element("table");
    made.append(element("caption", caption));
    const head = element("tr");
    heads.forEach((text, index) => {
      const cell = element("th", text, index && numeric ? "num" : "");
      cell.scope = "col";
      head.append(cell);
    });
    made.append(element("thead"), element("tbody"));
    made.tHead.append(head);
    for (const cells of body) {
      const row = element("tr");
      cells.forEach((cell, index) => {
        if (!index) {
          const header = element("th", cell);
          header.scope = "row";
          row.append(header);
        } else row.append(cell instanceof Node ? cell : element("td", cell, numeric ? "num" : ""));
      });
      made.tBodies[0].append(row);
    }
    const scroll = element("div", undefined, "scroll");
    scroll.append(made);
    return scroll;
  };

  const folded = (title, inside) => {
    const box = element("details");
    box.append(element("summary", title), inside);
    return box;
  };

  const showConfig = (a, b) => {
    if (!a.config || !b.config) return element("p", "The config of at least one of them was not kept.");
    const keys = [...new Set([...Object.keys(a.config), ...Object.keys(b.config)])];
    const differing = keys.filter((key) => a.config[key] !== b.config[key]).map((key) => [
      data.keys[key],
      ...[a, b].map((run) => (key in run.config ? data.values[run.config[key]] : "not set")),
    ]).sort((one, other) => (one[0] < other[0] ? -1 : 1));
    if (!differing.length) return element("p", `All ${keys.length} values are the same.`);
    return table(`${differing.length} of ${keys.length} values differ.`, ["Key", a.id, b.id], differing, false);
  };

  const showData = (a, b) => {
    const body = [];
    const row = (title, read) => {
      const [before, after] = [read(a), read(b)];
      body.push([title, number(before, 0), number(after, 0), difference(before, after, 0)]);
    };
    for (const split of new Set([...Object.keys(a.splits || {}), ...Object.keys(b.splits || {})])) {
      const of = (run) => (run.splits || {})[split];
      row(`${split}: images`, (run) => of(run)?.[0]);
      row(`${split}: boxes`, (run) => of(run)?.[1]);
      const classes = new Set([a, b].flatMap((run) => Object.keys(of(run)?.[2] || {})));
      for (const index of classes) row(`${split}: ${data.classes[index]}`, (run) => of(run)?.[2][index]);
    }
    for (const rule of new Set([a, b].flatMap((run) => Object.keys(run.findings || {})))) {
      row(`findings: ${rule}`, (run) => (run.findings ? run.findings[rule] || 0 : undefined));
    }
    if (!body.length) return element("p", "Neither of them has read its data.");
    return table("Images and boxes by split and class, and findings by rule.", ["", a.id, b.id, "Difference"], body);
  };

  // What leads from the images of one data set to those of a later one; null where a list was not kept.
  const walk = (from, to) => {
    const steps = data.imageSteps.slice(from, to);
    if (steps.some((step) => step === null)) return null;
    if (steps.length === 1) return steps[0];
    if (steps.some((step) => !step.complete)) return null;
    const ends = new Map();
    for (const step of steps) {
      for (const [image, before, after] of step.changes) {
        ends.set(image, [ends.has(image) ? ends.get(image)[0] : before, after]);
      }
    }
    const changes = [...ends].filter(([, [before, after]]) => before !== after)
      .map(([image, [before, after]]) => [image, before, after]);
    return { counts: count3(changes), complete: true, changes };
  };
  const kindOf = ([, before, after]) => (before === null ? 0 : after === null ? 1 : 2);
  const count3 = (changes) => {
    const counts = [0, 0, 0];
    for (const change of changes) counts[kindOf(change)] += 1;
    return counts;
  };

  const showImages = (a, b) => {
    if (a.images === null || b.images === null) return element("p", "The images of at least one of them were not kept.");
    if (a.images === b.images) return element("p", "Both saw the same images.");
    const backwards = a.images > b.images;
    const found = backwards ? walk(b.images, a.images) : walk(a.images, b.images);
    if (!found) return element("p", "Too many images changed in between to list them. Compare runs that are closer together.");
    const changes = backwards ? found.changes.map(([image, before, after]) => [image, after, before]) : found.changes;
    const counts = backwards ? [found.counts[1], found.counts[0], found.counts[2]] : found.counts;
    if (!changes.length) return element("p", "Both saw the same images.");
    const box = element("div");
    box.append(element("p", `${counts[0]} added, ${counts[1]} removed, ${counts[2]} with other content, boxes or split.`));
    ["Added", "Removed", "Changed"].forEach((title, kind) => {
      const names = changes.filter((change) => kindOf(change) === kind).map(([image]) => image);
      if (!names.length) return;
      const list = element("ul");
      for (const name of names.slice(0, NAMES)) list.append(element("li", name));
      const more = counts[kind] - Math.min(names.length, NAMES);
      if (more > 0) list.append(element("li", `and ${more} more`, "muted"));
      box.append(folded(`${title} (${counts[kind]})`, list));
    });
    return box;
  };

  const COLUMNS = [["float", 0], ["int8", 1]];
  const heads = (a, b) => ["", ...COLUMNS.flatMap(([name]) => [`${a.id} ${name}`, `${b.id} ${name}`, "Difference"])];
  const showMetrics = (a, b) => {
    const at = (run, column, index) => run.metrics?.[column]?.[index];
    const body = data.metricNames.map((name, index) => [name, ...COLUMNS.flatMap(([, column]) => {
      const [before, after] = [at(a, column, index), at(b, column, index)];
      return [number(before), number(after), difference(before, after)];
    })]);
    if (![a, b].some((run) => run.metrics?.some((column) => column))) return element("p", "Neither of them was scored.");
    return table("COCO metrics, each on its own eval split.", heads(a, b), body);
  };
  const showClasses = (a, b) => {
    const classes = [...new Set([a, b].flatMap((run) => Object.keys(run.perClass || {})))];
    if (!classes.length) return null;
    const body = classes.map((index) => [data.classes[index], ...COLUMNS.flatMap(([, column]) => {
      const [before, after] = [a, b].map((run) => run.perClass?.[index]?.[column]);
      return [number(before), number(after), difference(before, after)];
    })]);
    const made = table("AP by class.", heads(a, b), body);
    return classes.length > 30 ? folded(`AP of ${classes.length} classes`, made) : made;
  };

  const showGate = (a, b) => {
    const rules = [...new Set([a, b].flatMap((run) => (run.gate || []).map((rule) => rule[0])))];
    if (!rules.length) return element("p", "Neither of them reached the gate.");
    const cell = (run, rule) => {
      const found = (run.gate || []).find((one) => one[0] === rule);
      if (!found) return "–";
      const made = element("td");
      made.append(element("span", found[3] ? "passed" : "failed", `badge ${found[3] ? "ok" : "bad"}`),
        ` ${number(found[1])} (threshold ${number(found[2])})`);
      return made;
    };
    return table("Rules of the gate.", ["Rule", a.id, b.id], rules.map((rule) => [rule, cell(a, rule), cell(b, rule)]), false);
  };

  const compare = (a, b) => {
    const parts = [
      ["Metrics", showMetrics(a, b)], ["", showClasses(a, b)], ["Gate", showGate(a, b)], ["Config", showConfig(a, b)],
      ["Data", showData(a, b)], ["Images", showImages(a, b)],
    ];
    const all = [];
    for (const run of [a, b]) if (run.problem) all.push(element("p", `${run.id}: ${run.problem}`, "warn"));
    for (const [title, part] of parts) {
      if (title) all.push(element("h3", title));
      if (part) all.push(part);
    }
    result.replaceChildren(...all);
    dispatchEvent(new Event("resize")); // wide tables become focusable
  };

  // The last two that were chosen, oldest choice first.
  let chosen = [];
  const choose = (box) => {
    if (!hint) return;
    chosen = chosen.filter((one) => one.checked && one !== box);
    if (box && box.checked) chosen.push(box);
    while (chosen.length > 2) chosen.shift().checked = false;
    const order = (one) => data.runs.indexOf(runOf.get(one.value));
    const [a, b] = [...chosen].sort((one, other) => order(one) - order(other)).map((one) => runOf.get(one.value));
    result.replaceChildren();
    hint.textContent = !a ? "Select two runs in the table." : !b ? `${a.id} is selected. Select another run.` : `${a.id} and ${b.id}, the older one first.`;
    if (a && b) compare(a, b);
  };
  for (const box of boxes) {
    box.checked = false; // browsers restore it after a reload
    box.addEventListener("change", () => choose(box));
  }
  if (filter) filter.addEventListener("change", applyFilter);
  applyFilter();
})();
