"use strict";
// The page of one corpus. It asks nobody for anything: what it knows stands in the page, sounds in it or beside it.

const el = (id) => document.getElementById(id);
const corpus = JSON.parse(el("corpus").textContent);
const ROWS = 20;
const MOST_CHOICES = 300; // nobody finds one of more files in a list; searching for its name does
const KEPT_UNDER = `kelong-corrections:${corpus.digest}`;
const applied = new Map(corpus.applied.map((line) => [line.sha256, line]));
const items = new Map(corpus.clips.map((clip) => [clip.sha256, clip]));
let drafts = new Map(); // by digest: the fields that a person set here; null takes back what was said before
let past = []; // what a clip's draft was before each change, the newest last
let sounds = null; // read when the first clip is shown
let remembers = true;

function both(chinese, english) {
  const span = document.createElement("span");
  span.lang = "en";
  span.textContent = english;
  return [document.createTextNode(`${chinese} `), span];
}

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// As the page's own clock: 1:02:03, or 2:03.4 below an hour.
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (tenths < 36000) return `${Math.floor(tenths / 600)}:${two((tenths % 600) / 10)}.${tenths % 10}`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 3600)}:${two((whole / 60) % 60)}:${two(whole % 60)}`;
}

const value = (number, shown) => make("data", { value: number }, shown);
const nameOf = (reason) => corpus.reasons[reason] ?? [reason, reason];

// ---- what a person says -------------------------------------------------------------------------------------------

function said(sha256) {
  const line = { ...applied.get(sha256), ...drafts.get(sha256) };
  return { text: line.text ?? null, keep: line.keep ?? null, speaker: line.speaker ?? null };
}

function now(clip) {
  const line = said(clip.sha256);
  return {
    text: line.text ?? clip.text,
    speaker: line.speaker ?? corpus.speakers[clip.speaker],
    isKept: line.keep ?? (clip.reason === undefined || clip.reason === "Dropped"),
    keep: line.keep,
  };
}

function differs(sha256) {
  const draft = drafts.get(sha256) ?? {};
  const before = applied.get(sha256) ?? {};
  return Object.keys(draft).some((field) => (draft[field] ?? null) !== (before[field] ?? null));
}

const changed = () => [...drafts.keys()].filter(differs);

function say(clip, fields, isTyping = false) {
  const last = past.at(-1);
  // What is typed into one text in one go is one change.
  if (!(isTyping && last?.isTyping && last.sha256 === clip.sha256)) {
    past.push({ sha256: clip.sha256, isTyping, before: drafts.get(clip.sha256) ?? null });
  }
  drafts.set(clip.sha256, { ...drafts.get(clip.sha256), ...fields });
  if (!differs(clip.sha256)) drafts.delete(clip.sha256);
  remember();
  showChanges();
}

function undo() {
  const last = past.pop();
  if (!last) return;
  if (last.before) drafts.set(last.sha256, last.before);
  else drafts.delete(last.sha256);
  remember();
  showChanges();
  showClips();
  document.querySelector(`[data-sha256="${last.sha256}"] textarea`)?.focus();
}

function remember() {
  try {
    if (drafts.size || past.length) localStorage.setItem(KEPT_UNDER, JSON.stringify({ drafts: [...drafts], past }));
    else localStorage.removeItem(KEPT_UNDER);
    remembers = true;
  } catch {
    remembers = false; // a browser may forbid a page to keep anything: the tray says so
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT_UNDER) ?? "null");
    if (!kept) return;
    drafts = new Map(kept.drafts.filter(([sha256]) => items.has(sha256)));
    past = kept.past.filter((step) => items.has(step.sha256));
  } catch {
    remembers = false;
  }
}

function lines() {
  const all = [...new Set([...applied.keys(), ...drafts.keys()])].sort();
  return all
    .map((sha256) => ({ sha256, ...Object.fromEntries(Object.entries(said(sha256)).filter(([, field]) => field !== null)) }))
    .filter((line) => Object.keys(line).length > 1);
}

function download() {
  const text = lines().map((line) => `${JSON.stringify(line)}\n`).join("");
  const address = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  const link = make("a", { href: address, download: "corrections.jsonl" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function showChanges() {
  const count = changed().length;
  const before = applied.size ? `；已有 ${applied.size} 处` : "";
  const earlier = applied.size ? `, ${applied.size} made before` : "";
  const lost = remembers ? ["", ""] : ["；浏览器不保存草稿，请及时下载", "; this browser keeps no drafts: download before you leave"];
  el("changes").replaceChildren(
    ...both(`${count} 处修改${before}${lost[0]}`, `${count} ${count === 1 ? "change" : "changes"}${earlier}${lost[1]}`),
  );
  el("changes").dataset.count = count;
  el("undo").disabled = past.length === 0;
  el("download").disabled = count === 0 && applied.size === 0;
  const option = el("show").querySelector('[value="changed"]');
  if (option) option.textContent = `改过的 changed (${count})`;
}

// ---- clips --------------------------------------------------------------------------------------------------------

const doubtful = new Set(corpus.doubtful);
const SHOWN = {
  doubtful: ["最可疑的文字 doubtful labels", (clip) => doubtful.has(clip.sha256)],
  kept: ["用于训练 trained on", (clip) => clip.reason === undefined && !clip.heldOut],
  heldOut: ["留作检验 held out", (clip) => Boolean(clip.heldOut)],
  left: ["没有使用 left out", (clip) => clip.reason !== undefined],
  changed: ["改过的 changed", (clip) => differs(clip.sha256)],
};
const MEASURES = [
  ["confidence", "可信 confidence", 2],
  ["agreement", "一致 agreement", 2],
  ["least_agreement", "最不一致处 least agreement", 2],
  ["similarity", "相似 similarity", 2],
  ["dnsmos", "DNSMOS", 2],
  ["snr_db", "SNR dB", 0],
  ["syllables_per_s", "音节/秒 syllables/s", 1],
  ["hum_share", "交流声 hum", 2],
  ["music_share", "音乐 music", 2],
  ["clipped_share", "爆音 clipped", 3],
  ["reading_tone", "朗读腔 reading tone", 2],
];
const CORRECTED = { text: "文字已改 text corrected", keep: "人工保留 kept by hand", speaker: "说话人已改 speaker corrected" };
const graded = (grade) => (clip) => clip.grade === grade && !clip.heldOut; // as the totals count them
let clipPage = 0;

function choices() {
  const options = [];
  for (const [name, [label, belongs]] of Object.entries(SHOWN)) {
    const count = corpus.clips.filter(belongs).length;
    if (count || name === "changed") options.push(make("option", { value: name }, `${label} (${count})`));
  }
  for (const grade of ["A", "B", "C"]) {
    const count = corpus.clips.filter(graded(grade)).length;
    if (count) options.push(make("option", { value: `grade-${grade}` }, `${grade} 级 grade ${grade} (${count})`));
  }
  for (const [reason, [chinese, english]] of Object.entries(corpus.reasons)) {
    const count = corpus.clips.filter((clip) => clip.reason === reason).length;
    if (count) options.push(make("option", { value: `reason-${reason}` }, `${chinese} ${english} (${count})`));
  }
  el("show").replaceChildren(...options);
  const used = [...new Set(corpus.clips.map((clip) => clip.recording))].sort((one, other) => one - other);
  el("of").parentElement.hidden = used.length > MOST_CHOICES;
  if (used.length > MOST_CHOICES) used.length = 0;
  el("of").replaceChildren(
    make("option", { value: "" }, "全部 all"),
    ...used.map((index) => make("option", { value: index }, corpus.recordings[index].name)),
  );
}

function found() {
  const show = el("show").value;
  const [kind, detail] = [show.split("-")[0], show.split("-").slice(1).join("-")];
  const belongs = { grade: graded(detail), reason: (clip) => clip.reason === detail }[kind] ?? SHOWN[show]?.[1];
  const of = el("of").value;
  const words = el("search").value.trim();
  const clips = corpus.clips.filter(
    (clip) =>
      belongs?.(clip) &&
      (of === "" || clip.recording === Number(of)) &&
      (words === "" || now(clip).text.includes(words) || corpus.recordings[clip.recording].name.includes(words)),
  );
  if (show === "doubtful") clips.sort((one, other) => corpus.doubtful.indexOf(one.sha256) - corpus.doubtful.indexOf(other.sha256));
  return clips;
}

function showClips() {
  const clips = found();
  const last = Math.max(0, Math.ceil(clips.length / ROWS) - 1);
  clipPage = Math.min(clipPage, last);
  const shown = clips.slice(clipPage * ROWS, (clipPage + 1) * ROWS);
  el("found").replaceChildren(...both(`${clips.length} 个片段`, clips.length === 1 ? "clip" : "clips"));
  el("found").dataset.count = clips.length;
  el("clips").replaceChildren(...shown.map(row));
  pages(el("clip-pages"), clipPage, last, (page) => {
    clipPage = page;
    showClips();
    el("review").scrollIntoView();
  });
}

function sourceOf(sha256) {
  sounds ??= JSON.parse(el("sounds").textContent);
  return sounds[sha256] ? `data:audio/ogg;base64,${sounds[sha256]}` : `clips/${sha256}.flac`;
}

function row(clip) {
  const number = `${corpus.recordings[clip.recording].name} ${clock(clip.start_s)} – ${clock(clip.end_s)}`;
  const made = make("li", { class: "clip", "data-sha256": clip.sha256 });
  const audio = make("audio", { controls: "", preload: "none", src: sourceOf(clip.sha256), "aria-label": `播放 play ${number}` });
  const problem = make("p", { class: "problem", role: "alert", hidden: "" });
  audio.addEventListener("error", () => {
    problem.replaceChildren(...both("听不到：请把 clips 文件夹放在这个网页旁边。", `clips/${clip.sha256}.flac is not beside this page`));
    problem.hidden = false;
  });
  const text = make("textarea", { rows: "2", spellcheck: "false", autocomplete: "off", "aria-label": `文字 text ${number}` });
  text.value = now(clip).text;
  const refresh = () => mark(made, clip);
  text.addEventListener("input", () => {
    const typed = text.value.replaceAll(/\s*\n\s*/g, "").trim();
    const before = applied.get(clip.sha256);
    const isBack = typed === "" || typed === (before?.text ?? clip.text);
    const fields = { text: isBack ? (before?.text ?? null) : typed };
    // Whoever mends the text of a clip that was left out wants it to be used.
    if (clip.reason !== undefined) fields.keep = isBack ? (before?.keep ?? null) : true;
    say(clip, fields, true);
    refresh();
  });
  made.append(facts(clip, number), make("div", { class: "words" }, text, problem, findings(clip)), controls(clip, audio, number, refresh));
  refresh();
  return made;
}

function controls(clip, audio, number, refresh) {
  const keep = make("button", { type: "button", "data-choice": "keep", "aria-label": `保留 keep ${number}` }, ...both("保留", "keep"));
  const drop = make("button", { type: "button", "data-choice": "drop", "aria-label": `去掉 drop ${number}` }, ...both("去掉", "drop"));
  for (const [button, wanted] of [[keep, true], [drop, false]]) {
    button.addEventListener("click", () => {
      say(clip, { keep: now(clip).keep === wanted ? null : wanted });
      refresh();
    });
  }
  const box = make("div", { class: "hand-controls" }, audio, make("div", { class: "choice" }, keep, drop));
  if (corpus.speakers.length > 1) {
    const speaker = make("select", { "aria-label": `说话人 speaker ${number}` });
    speaker.append(...corpus.speakers.map((name) => make("option", { value: name }, name)));
    speaker.value = now(clip).speaker;
    speaker.addEventListener("change", () => {
      const before = applied.get(clip.sha256)?.speaker ?? null;
      say(clip, { speaker: speaker.value === (before ?? corpus.speakers[clip.speaker]) ? before : speaker.value });
      refresh();
    });
    box.append(speaker);
  }
  return box;
}

function mark(made, clip) {
  const state = now(clip);
  made.classList.toggle("changed", differs(clip.sha256));
  made.classList.toggle("out", !state.isKept);
  made.querySelector('[data-choice="keep"]').setAttribute("aria-pressed", state.keep === true);
  made.querySelector('[data-choice="drop"]').setAttribute("aria-pressed", state.keep === false);
}

function facts(clip, number) {
  const told = make("p", { class: "facts" });
  const badge =
    clip.reason === undefined
      ? make("span", { class: "badge" }, clip.grade ? `${clip.grade} 级` : "—")
      : make("span", { class: "badge rejected" }, ...both(...nameOf(clip.reason)));
  told.append(badge, make("strong", {}, number), value(clip.end_s - clip.start_s, `${(clip.end_s - clip.start_s).toFixed(1)} s`));
  for (const [name, label, digits] of MEASURES) {
    const measured = clip.measures[name];
    if (measured !== undefined && (measured > 0 || !name.endsWith("_share"))) {
      told.append(make("span", {}, `${label} `, value(measured, measured.toFixed(digits))));
    }
  }
  if (clip.marks) told.append(make("span", {}, `停顿与换气 pauses and breaths ${clip.marks}`));
  if (clip.heldOut) told.append(make("span", {}, "留作检验 held out"));
  for (const name of clip.corrected ?? []) told.append(make("span", {}, CORRECTED[name]));
  return told;
}

function findings(clip) {
  const list = make("ul", { class: "findings" });
  if (clip.message) list.append(make("li", {}, clip.message));
  list.append(...(clip.findings ?? []).map((message) => make("li", {}, message)));
  list.hidden = list.childElementCount === 0;
  return list;
}

// ---- recordings, pages, keys --------------------------------------------------------------------------------------

let recordingPage = 0;

function showRecordings() {
  const last = Math.max(0, Math.ceil(corpus.recordings.length / ROWS) - 1);
  const shown = corpus.recordings.slice(recordingPage * ROWS, (recordingPage + 1) * ROWS);
  document.querySelector("#recordings tbody").replaceChildren(...shown.map(recordingRow));
  pages(el("recording-pages"), recordingPage, last, (page) => {
    recordingPage = page;
    showRecordings();
  });
}

function recordingRow(recording) {
  const left = make("td");
  for (const [reason, seconds] of recording.left) {
    left.append(make("div", { "data-reason": reason }, value(seconds, clock(seconds)), " ", ...both(...nameOf(reason))));
  }
  left.append(...recording.remarks.map((remark) => make("span", { class: "remark" }, remark)));
  const figure = (number, digits) => (number === undefined ? ["—"] : [value(number, number.toFixed(digits))]);
  const cells = [
    ["", recording.name],
    ["说话人", recording.speaker],
    ["时长", value(recording.duration_s, clock(recording.duration_s))],
    ["用于训练", value(recording.kept_s, clock(recording.kept_s))],
    null, // what was left out
    ["格式", recording.format ?? "—"],
    ["响度 LUFS", ...figure(recording.loudness_lufs, 1)],
    ["峰值 dBTP", ...figure(recording.true_peak_dbfs, 1)],
    ["底噪 dBFS", ...figure(recording.noise_floor_dbfs, 0)],
  ];
  const isNumber = new Set(["时长", "用于训练", "响度 LUFS", "峰值 dBTP", "底噪 dBFS"]);
  return make(
    "tr",
    {},
    ...cells.map((cell) => {
      if (cell === null) return left;
      const [label, ...content] = cell;
      return make("td", { "data-label": label, class: isNumber.has(label) ? "number" : "" }, ...content);
    }),
  );
}

function pages(nav, page, last, go) {
  if (last === 0) {
    nav.replaceChildren();
    return;
  }
  const button = (chinese, english, to) => {
    const made = make("button", { type: "button", class: "quiet" }, ...both(chinese, english));
    made.disabled = to < 0 || to > last;
    made.addEventListener("click", () => go(to));
    return made;
  };
  nav.replaceChildren(
    button("上一页", "previous", page - 1),
    make("span", { "aria-current": "page" }, `${page + 1} / ${last + 1}`),
    button("下一页", "next", page + 1),
  );
}

function toggle(made) {
  const audio = made?.querySelector("audio");
  if (!audio) return;
  for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
  if (audio.paused) audio.play().catch(() => {}); // why it does not play is said where its error arrives
  else audio.pause();
}

function onKey(event) {
  if (!event.ctrlKey && !event.metaKey) return;
  const made = document.activeElement?.closest(".clip");
  if (event.key === "z" && !event.shiftKey && !document.activeElement?.matches("textarea, input")) {
    event.preventDefault();
    undo();
  } else if (event.key === "Enter" && made) {
    event.preventDefault();
    toggle(made);
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && el("clips").childElementCount) {
    const next = made ? (event.key === "ArrowDown" ? made.nextElementSibling : made.previousElementSibling) : el("clips").firstElementChild;
    if (!next) return;
    event.preventDefault();
    next.querySelector("textarea").focus();
    toggle(next);
  }
}

recall();
choices();
showRecordings();
showClips();
showChanges();
for (const [id, happens] of [["show", "change"], ["of", "change"], ["search", "input"]]) {
  el(id).addEventListener(happens, () => {
    clipPage = 0;
    showClips();
  });
}
el("undo").addEventListener("click", undo);
el("download").addEventListener("click", download);
document.addEventListener("keydown", onKey);
// A clip that begins to play silences the one before.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);
