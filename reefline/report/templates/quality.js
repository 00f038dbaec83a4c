// Sortable tables, the confusion matrix at the reader's threshold, and the filters of the error gallery.
(() => {
  "use strict";

  const read = (cell) => {
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value);
  };
  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [read(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      // Unknown values come last in both directions.
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const isRising = header.getAttribute("aria-sort") === "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", isRising ? "descending" : "ascending");
        sort(table, column, isRising ? -1 : 1);
      });
    });
  }

  const showMatrix = (data, rows, place) => {
    const counts = rows.map(() => new Array(data.size).fill(0));
    const cells = data.cells[place];
    for (let at = 0; at < cells.length; at += 3) counts[cells[at]][cells[at + 1]] = cells[at + 2];
    const last = data.size - 1;
    let right = 0, confused = 0, missed = 0, invented = 0;
    counts.forEach((row, y) => {
      const total = row.reduce((sum, count) => sum + count, 0);
      row.forEach((count, x) => {
        if (y === last && x === last) return;
        if (y === last) invented += count;
        else if (x === last) missed += count;
        else if (x === y) right += count;
        else confused += count;
        const cell = rows[y].cells[x + 1];
        cell.textContent = count;
        const heat = total ? Math.ceil(data.levels * count / total) : 0;
        cell.className = heat ? `num ${x === y ? "right" : "wrong"} h${heat}` : "num";
      });
    });
    return `At confidence ${data.thresholds[place]} and above: ${right} correct, ${confused} as another class, ` +
      `${missed} missed, ${invented} on background`;
  };
  const block = document.getElementById("confusion-data");
  if (block) {
    const data = JSON.parse(block.textContent);
    const rows = [...document.getElementById("confusion").tBodies[0].rows];
    const slider = document.getElementById("confusion-threshold");
    const update = () => {
      document.getElementById("confusion-sum").textContent = showMatrix(data, rows, Number(slider.value));
      slider.setAttribute("aria-valuetext", data.thresholds[slider.value]);
    };
    slider.addEventListener("input", update);
    slider.setAttribute("aria-valuetext", data.thresholds[data.start]);
    document.getElementById("confusion-controls").hidden = false;
  }

  const gallery = document.getElementById("gallery");
  if (gallery) {
    const [label, kind, score] = ["class", "kind", "score"].map((name) => document.getElementById(`gallery-${name}`));
    const figures = [...gallery.children].map((figure) => [figure, [...figure.querySelectorAll("li")].map((item) => ({
      item,
      box: figure.querySelector(`g[data-error="${item.dataset.error}"]`),
      classes: item.dataset.classes.split(" "),
    }))]);
    const matches = ({ item, classes }) =>
      (label.value === "" || classes.includes(label.value)) &&
      (kind.value === "" || item.dataset.kind === kind.value) &&
      (item.dataset.score === undefined || Number(item.dataset.score) >= Number(score.value));
    const update = () => {
      let shown = 0, errors = 0;
      for (const [figure, entries] of figures) {
        let count = 0;
        for (const entry of entries) {
          const isShown = matches(entry);
          entry.item.hidden = !isShown;
          entry.box.toggleAttribute("hidden", !isShown);
          count += isShown;
        }
        figure.hidden = !count;
        shown += count > 0;
        errors += count;
      }
      score.setAttribute("aria-valuetext", Number(score.value).toFixed(2));
      document.getElementById("gallery-sum").textContent =
        `${errors} error${errors === 1 ? "" : "s"} in ${shown} of ${figures.length} images, ` +
        `score ${Number(score.value).toFixed(2)} or higher`;
    };
    for (const control of [label, kind, score]) control.addEventListener("input", update);
    for (const name of ["controls", "status"]) document.getElementById(`gallery-${name}`).hidden = false;
    update();
  }
})();
