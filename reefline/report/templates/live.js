// The state of a run under way; only `reefline report --serve` shows this section.
(() => {
  "use strict";
  const section = document.getElementById("live");
  if (!section) return;
  const EVERY_MS = 3000;
  const status = document.getElementById("live-status");
  const training = document.getElementById("live-training");
  const bar = document.getElementById("live-progress");
  const facts = document.getElementById("live-facts");
  const components = document.getElementById("live-components");

  const duration = (seconds) => {
    const all = Math.round(seconds);
    const two = (value) => String(value).padStart(2, "0");
    return `${Math.floor(all / 3600)}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  };
  const number = (value, digits) => (value === null ? "–" : value.toFixed(digits));
  const element = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const setStatus = (text) => { if (status.textContent !== text) status.textContent = text; };
  const evaluation = (point) => (point ? `mAP ${number(point.map, 3)}, loss ${number(point.loss, 3)} (step ${point.step})` : "–");

  const showTraining = (state) => {
    training.hidden = !state;
    if (!state) return;
    bar.max = state.total_steps;
    bar.value = state.step;
    const pairs = [
      ["Step", `${state.step} of ${state.total_steps}`],
      ["Loss", number(state.loss, 4)],
      ["Learning rate", state.learning_rate === null ? "–" : state.learning_rate.toPrecision(3)],
      ["Steps per second", number(state.steps_per_s, 2)],
      ["Time left", state.eta_s === null ? "–" : duration(state.eta_s)],
      ["Last evaluation", evaluation(state.last_evaluation)],
      ["Best", evaluation(state.best)],
    ];
    facts.replaceChildren(...pairs.map(([name, value]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }));
  };

  const showComponents = (list) => {
    const table = element("table");
    table.append(element("caption", "Components of this run."), element("thead"), element("tbody"));
    const head = element("tr");
    for (const [text, name] of [["Component"], ["State"], ["Time", "num"]]) {
      const cell = element("th", text, name);
      cell.scope = "col";
      head.append(cell);
    }
    table.tHead.append(head);
    for (const one of list) {
      const row = element("tr");
      const name = element("th", one.component);
      name.scope = "row";
      row.append(name, element("td", one.state), element("td", duration(one.seconds), "num"));
      table.tBodies[0].append(row);
    }
    components.replaceChildren(...(list.length ? [table] : []));
  };

  let wasRunning = false;
  const show = (state) => {
    const about = state.component ? `${state.component} is running` : "starting, or between two components";
    setStatus(state.is_running ? `Run ${state.run_id || "?"}: ${about}.${state.problem ? ` ${state.problem}` : ""}` : "No run is under way.");
    showTraining(state.training);
    showComponents(state.components);
    // The index gets its new row.
    if (wasRunning && !state.is_running && document.getElementById("runs")) location.reload();
    wasRunning = state.is_running;
  };

  const poll = async () => {
    try {
      const answer = await fetch(section.dataset.source, { cache: "no-store" });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      show(await answer.json());
    } catch {
      setStatus("The server does not answer. Is `reefline report --serve` still running?");
    }
    setTimeout(poll, EVERY_MS);
  };
  poll();
})();
