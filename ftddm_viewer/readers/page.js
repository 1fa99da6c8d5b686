"use strict";
// One reader's way through a study: from a server, which keeps every answer, or from a plain file,
// which keeps them in the browser and saves them as a file.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const scalesOf = (trial) =>
  trial.kind === "rating" ? data.scales.map((scale) => scale.name) : [data.preferred];

const server = {
  async given(reader) {
    const reply = await fetch(`answers?reader=${encodeURIComponent(reader)}`);
    const found = await reply.json();
    if (!reply.ok) throw new Error(found.problem);
    return found;
  },
  async keep(reader, answer) {
    const reply = await fetch("answers", {
      method: "POST",
      keepalive: true, // a page that is closed still sends it
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ reader, answer }),
    });
    if (!reply.ok) throw new Error((await reply.json()).problem);
  },
};

const file = {
  all: [],
  lasting: true,
  unsaved: false,
  place: (reader) => `ftddm-readers:${data.study}:${reader.toLowerCase()}`,
  async given(reader) {
    const plain = reader.trim().replace(/\s+/g, " ");
    if (!new RegExp(data.name, "u").test(plain))
      throw new Error("Give a name of letters, digits, spaces, dots or hyphens.");
    try {
      this.all = JSON.parse(localStorage.getItem(this.place(plain)) ?? "[]");
    } catch {
      this.lasting = false;
    }
    return { reader: plain, answers: this.all };
  },
  async keep(reader, answer) {
    this.all.push(answer);
    this.unsaved = true;
    this.store(reader);
  },
  store(reader) {
    try {
      localStorage.setItem(this.place(reader), JSON.stringify(this.all));
    } catch {
      this.lasting = false;
    }
  },
  save(reader) {
    const content = { ftddm_readers: data.format, study: data.study, reader, answers: this.all };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(
      new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = `answers-${reader.replace(/[^\p{L}\p{N}_-]+/gu, "-")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    this.unsaved = false;
  },
  async load(chosen) {
    const found = JSON.parse(await chosen.text());
    if (found.study !== data.study) throw new Error("This file has answers to another study.");
    const { reader, answers } = await this.given(String(found.reader));
    const known = new Set(answers.map((answer) => JSON.stringify(answer)));
    this.all.push(...found.answers.filter((answer) => !known.has(JSON.stringify(answer))));
    this.all.sort((a, b) => (a.answered_at < b.answered_at ? -1 : 1));
    this.store(reader);
    return reader;
  },
};

const keeper = data.served ? server : file;
let reader = "", index = 0, active = 0, since = 0, ended = false;
let answers = {};
let waiting = Promise.resolve(), pending = 0, leaving = false;

const source = (code) => data.images ? data.images[code] : `images/${code}.png`;
const current = () => data.trials[index];
const valueOf = (trial, scale) => answers[trial.number]?.[scale];
const complete = (trial) => scalesOf(trial).every((scale) => valueOf(trial, scale) !== undefined);
const tell = (words) => { $("problem").textContent = words; };

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function enter(name) {
  try {
    const found = await keeper.given(name);
    reader = found.reader;
    answers = {};
    for (const answer of found.answers)
      (answers[answer.trial] ??= {})[answer.scale] = answer.value;
  } catch (error) {
    tell(error instanceof TypeError ? "The server cannot be reached." : error.message);
    return;
  }
  tell("");
  $("start").hidden = true;
  $("progress").hidden = false;
  $("who").textContent = reader;
  for (const id of ["save", "save-end"]) $(id).hidden = data.served;
  const open = data.trials.findIndex((trial) => !complete(trial));
  index = open < 0 ? data.trials.length - 1 : open;
  if (open < 0) finish(); else show();
}

function show() {
  ended = false;
  $("end").hidden = true;
  $("work").hidden = false;
  const trial = current(), rating = trial.kind === "rating";
  const figures = trial.images.map((code, place) => {
    const words = rating ? "" : `Image ${"AB"[place]}`;
    const image = element("img", {
      src: source(code), alt: `${trial.metabolite} ${words}`, draggable: false });
    const figure = element("figure", {}, image, element("figcaption", { textContent: words }));
    if (!rating) {
      figure.className = "choice";
      figure.dataset.code = code;
      image.addEventListener("click", () => answer(data.preferred, code));
    }
    return figure;
  });
  if (trial.anatomy) {
    const image = element("img", { src: source(trial.anatomy), alt: "T1w", draggable: false });
    figures.unshift(element("figure", { className: "small" }, image,
      element("figcaption", { textContent: "For orientation" })));
  }
  $("trial").className = trial.kind;
  $("images").replaceChildren(...figures);
  $("scales").replaceChildren(...(rating ? data.scales.map(fieldset) : [choice(trial)]));
  $("keys").textContent = rating
    ? "Keys: 1 to 5 rate and go to the next question, ↑ ↓ another question, Enter next image, Backspace back"
    : "Keys: ← or → choose, Enter next pair, Backspace back";
  const first = scalesOf(trial).findIndex((scale) => valueOf(trial, scale) === undefined);
  since = performance.now();
  window.scrollTo(0, 0);
  activate(first < 0 ? 0 : first);
  refresh();
}

function fieldset(scale, place) {
  const levels = data.levels.map((level) => {
    const input = element("input", { type: "radio", name: scale.name, value: String(level) });
    input.addEventListener("change", () => answer(scale.name, input.value));
    return element("label", {}, input, String(level));
  });
  const made = element("fieldset", { id: `scale-${scale.name}`, tabIndex: -1 },
    element("legend", { textContent: scale.question }),
    element("div", { className: "levels" }, ...levels),
    element("div", { className: "ends" },
      element("span", { textContent: `1 ${scale.worst}` }),
      element("span", { textContent: `${scale.best} 5` })));
  made.addEventListener("focusin", () => activate(place, false));
  return made;
}

function choice(trial) {
  const buttons = trial.images.map((code, place) => {
    const made = element("button", {
      type: "button", id: `choose-${place ? "right" : "left"}`,
      textContent: place ? "B is better →" : "← A is better" });
    made.addEventListener("click", () => answer(data.preferred, code));
    return made;
  });
  return element("fieldset", { id: "scale-preferred", tabIndex: -1 },
    element("legend", { textContent: "Which image would you rather work with?" }),
    element("nav", {}, ...buttons));
}

function activate(place, focus = true) {
  active = place;
  [...$("scales").children].forEach((each, i) => each.classList.toggle("active", i === place));
  if (focus) $("scales").children[place]?.focus({ preventScroll: true });
}

function refresh() {
  const trial = current();
  for (const scale of scalesOf(trial)) {
    const value = valueOf(trial, scale);
    for (const input of document.querySelectorAll(`input[name="${scale}"]`))
      input.checked = input.value === value;
    for (const figure of document.querySelectorAll("figure.choice"))
      figure.classList.toggle("chosen", figure.dataset.code === value);
  }
  const done = data.trials.filter(complete).length;
  $("progress").max = data.trials.length;
  $("progress").value = done;
  const kind = trial.kind === "rating" ? "Rating" : "Comparison";
  $("count").textContent =
    `${kind} ${index + 1} of ${data.trials.length}, ${done} answered`;
  $("back").disabled = index === 0;
  $("next").disabled = !complete(trial);
  document.body.dataset.pending = pending;
  if (!data.served && !file.lasting)
    tell("This browser keeps nothing for files: save your answers before you close the page.");
}

function display() {
  const image = document.querySelector("#images figure:not(.small) img");
  const size = image?.getBoundingClientRect();
  return {
    window_width: innerWidth, window_height: innerHeight, pixel_ratio: devicePixelRatio,
    image_width: Math.round(size?.width ?? 0), image_height: Math.round(size?.height ?? 0),
  };
}

function answer(scale, value) {
  const trial = current();
  const given = {
    trial: trial.number, scale, value, answered_at: new Date().toISOString(),
    seconds: Math.round(performance.now() - since) / 1000, display: display(),
  };
  const before = valueOf(trial, scale);
  (answers[trial.number] ??= {})[scale] = value;
  pending += 1;
  if (trial.kind === "rating") {
    const names = scalesOf(trial), place = names.indexOf(scale);
    const later = names.findIndex((name, i) => i > place && valueOf(trial, name) === undefined);
    activate(later < 0 ? place : later);
  }
  refresh();
  waiting = waiting.then(async () => {
    try {
      await keeper.keep(reader, given);
      tell("");
    } catch (error) {
      const words = error instanceof TypeError ? "the server cannot be reached" : error.message;
      tell(`An answer to number ${trial.number} was not kept: ${words}. Answer it once more.`);
      if (before === undefined) delete answers[trial.number][scale];
      else answers[trial.number][scale] = before;
    } finally {
      pending -= 1;
      if (!ended) refresh();
    }
  });
}

function next() {
  if (!complete(current()) || leaving) return;
  if (pending) { // an answer that is not kept must be told beside its image
    leaving = true;
    waiting.then(() => { leaving = false; next(); });
    return;
  }
  if (index + 1 < data.trials.length) {
    index += 1;
    show();
  } else finish();
}

function back() {
  if (ended) { show(); return; }
  if (index > 0) { index -= 1; show(); }
}

function finish() {
  const open = data.trials.findIndex((trial) => !complete(trial));
  if (open >= 0) { index = open; show(); return; }
  ended = true;
  refresh();
  $("work").hidden = true;
  $("end").hidden = false;
  $("keys").textContent = "";
  $("count").textContent = `All ${data.trials.length} answered`;
  $("farewell").textContent = data.served
    ? "All answers are kept. You may close this page."
    : "Save your answers as a file, and send it to whoever runs the study.";
}

document.addEventListener("keydown", (event) => {
  if ($("start").hidden === false || event.ctrlKey || event.altKey || event.metaKey) return;
  if (ended) { if (event.key === "Backspace") { event.preventDefault(); back(); } return; }
  const trial = current(), rating = trial.kind === "rating";
  const onButton = event.target instanceof HTMLButtonElement;
  const act = {
    Enter: () => { if (onButton) return false; next(); },
    Backspace: back,
  };
  if (rating) {
    for (const level of data.levels)
      act[level] = () => { if (!event.repeat) answer(data.scales[active].name, String(level)); };
    act.ArrowUp = () => activate(Math.max(0, active - 1));
    act.ArrowDown = () => activate(Math.min(data.scales.length - 1, active + 1));
  } else {
    act.ArrowLeft = act["1"] = () => answer(data.preferred, trial.images[0]);
    act.ArrowRight = act["2"] = () => answer(data.preferred, trial.images[1]);
  }
  const wanted = act[event.key];
  if (wanted && wanted() !== false) event.preventDefault();
});

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("name").value);
});
$("next").addEventListener("click", next);
$("back").addEventListener("click", back);
$("again").addEventListener("click", back);
for (const id of ["save", "save-end"])
  $(id).addEventListener("click", () => file.save(reader));
if (!data.served) {
  $("resume").hidden = false;
  $("load").addEventListener("change", async (event) => {
    try {
      await enter(await file.load(event.target.files[0]));
    } catch (error) {
      tell(error instanceof SyntaxError ? "This is not a file of answers." : error.message);
    }
  });
  addEventListener("beforeunload", (event) => {
    if (file.unsaved && !file.lasting) event.preventDefault();
  });
}
