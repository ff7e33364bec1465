"use strict";
// The page of one server. It knows the speech endpoint and the list of models, and asks nobody else for anything.

const el = (id) => document.getElementById(id);
const SLIDERS = ["length", "sdp_ratio", "noise", "noise_w"];
const RETRY_MS = 1500;
let model = null;
let limit = 4096;
let spoken = null; // the request that made the audio on the page, its seed filled in

// Positions count characters as people and the server do, not UTF-16 units.
const characters = (text) => [...text];

function both(chinese, english) {
  const span = document.createElement("span");
  span.lang = "en";
  span.textContent = english;
  return [document.createTextNode(chinese), span];
}

function count() {
  const length = characters(el("text").value).length;
  el("count").textContent = `${length} / ${limit}`;
  el("count").classList.toggle("over", length > limit);
}

function forgetProblem() {
  el("problem").hidden = true;
  el("marks").replaceChildren();
  el("text").removeAttribute("aria-invalid");
}

function showProblem(message, position) {
  const where = position === null || position === undefined ? "" : ` · 第 ${position + 1} 个字`;
  el("problem").replaceChildren(...both(`说不了${where}`, message));
  el("problem").hidden = false;
  if (where) markAt(position);
}

function markAt(position) {
  const text = characters(el("text").value);
  const mark = document.createElement("mark");
  mark.textContent = text[position] ?? " ";
  const rest = text.slice(position + 1).join("");
  el("marks").replaceChildren(text.slice(0, position).join(""), mark, rest + "\n");
  el("text").setAttribute("aria-invalid", "true");
  const caret = text.slice(0, position).join("").length;
  el("text").focus();
  el("text").setSelectionRange(caret, caret);
  follow();
}

function follow() {
  el("marks").scrollTop = el("text").scrollTop;
}

function showSliders() {
  for (const name of SLIDERS) {
    document.querySelector(`output[for="${name}"]`).textContent = Number(el(name).value).toFixed(name === "length" ? 2 : 1);
  }
}

async function problemOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { message: `the server answered ${response.status}`, position: null };
  }
}

async function connect() {
  try {
    const response = await fetch("v1/models");
    if (!response.ok) throw new Error((await problemOf(response)).message);
    [model] = (await response.json()).data;
  } catch (error) {
    el("model").replaceChildren(...both("还没准备好，稍后再试…", `${error.message}; trying again`));
    setTimeout(connect, RETRY_MS);
    return;
  }
  limit = model.kelong.max_characters;
  for (const [name, value] of Object.entries(model.kelong.defaults)) {
    const isUntouched = el(name).value === el(name).defaultValue;
    el(name).defaultValue = value;
    if (isUntouched) el(name).value = value;
  }
  showSliders();
  el("speaker").replaceChildren(...model.kelong.speakers.map((name) => new Option(name, name)));
  el("speaker").disabled = false;
  el("speak").disabled = false;
  el("model").replaceChildren(...both(`${model.id} · 第 ${model.kelong.step} 步`, "training step"));
  count();
}

function asked() {
  const seed = el("seed").value.trim();
  const request = {
    model: model.id,
    voice: el("speaker").value,
    input: el("text").value,
    response_format: "wav",
    speed: 1 / Number(el("length").value),
    sdp_ratio: Number(el("sdp_ratio").value),
    noise: Number(el("noise").value),
    noise_w: Number(el("noise_w").value),
  };
  if (seed !== "") request.seed = Number(seed);
  return request;
}

function ask(request) {
  return fetch("v1/audio/speech", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
}

async function speak(event) {
  event.preventDefault();
  forgetProblem();
  el("speak").disabled = true;
  el("form").setAttribute("aria-busy", "true");
  const begun = performance.now();
  try {
    const request = asked();
    const response = await ask(request);
    if (!response.ok) {
      const problem = await problemOf(response);
      showProblem(problem.message, problem.position);
      return;
    }
    spoken = { ...request, seed: Number(response.headers.get("X-Kelong-Seed")) };
    show(await response.blob(), response.headers.get("X-Kelong-Step"), performance.now() - begun);
  } catch (error) {
    showProblem(`the server cannot be reached (${error.message})`, null);
  } finally {
    el("speak").disabled = false;
    el("form").removeAttribute("aria-busy");
  }
}

function show(blob, step, took) {
  const audio = el("audio");
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  audio.hidden = false;
  el("take").hidden = false;
  el("download").href = audio.src;
  el("download").download = fileName("wav");
  audio.onloadedmetadata = () => {
    const facts = `时长 ${audio.duration.toFixed(2)} s · 种子 ${spoken.seed} · 第 ${step} 步`;
    el("facts").textContent = `${facts} · 用时 ${(took / 1000).toFixed(2)} s`;
  };
  audio.play().catch(() => {}); // a browser that forbids playing by itself leaves the button to the user
}

function fileName(format) {
  return `${model.id}-${spoken.voice}-${spoken.seed}.${format}`;
}

// The same speech in another format: same words, settings and seed give the same samples.
async function fetchAs(format) {
  const response = await ask({ ...spoken, response_format: format });
  if (!response.ok) {
    showProblem((await problemOf(response)).message, null);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = fileName(format);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

el("form").addEventListener("submit", speak);
el("defaults").addEventListener("click", () => {
  for (const name of [...SLIDERS, "seed"]) el(name).value = el(name).defaultValue;
  showSliders();
});
el("text").addEventListener("input", () => { forgetProblem(); count(); });
el("text").addEventListener("scroll", follow);
el("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !el("speak").disabled) el("form").requestSubmit();
});
for (const name of SLIDERS) el(name).addEventListener("input", showSliders);
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => fetchAs(button.dataset.format));
}
showSliders();
count();
connect();
