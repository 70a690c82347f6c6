// Live sound of a machine: spectrogram, level, clipping, and the sound itself.
import { say } from "./page.js";

const place = document.getElementById("listen");
const canvas = document.getElementById("columns");
const scale = JSON.parse(place.dataset.scale);
const states = JSON.parse(place.dataset.states);
const SECONDS = 20; // width of the picture
const CLIP_SHOWN = 3000; // ms for which a clipped piece stays marked
const HEAT = [[0, [10, 10, 30]], [0.25, [70, 20, 110]], [0.5, [190, 50, 90]], [0.78, [250, 150, 50]], [1, [255, 250, 200]]];
const GREY = [128, 128, 128];

canvas.width = Math.round(SECONDS / scale.column);
const ink = canvas.getContext("2d", { alpha: false });
for (const tick of document.querySelectorAll(".ticks li")) tick.style.bottom = `${100 * Number(tick.dataset.share)}%`;

function heat(share) {
  const above = Math.max(1, HEAT.findIndex(([at]) => at >= Math.min(share, 1)));
  const [[low, from], [high, to]] = [HEAT[above - 1], HEAT[above]];
  const part = Math.max(0, Math.min(1, (share - low) / (high - low)));
  return from.map((value, i) => value + part * (to[i] - value));
}
const palette = Array.from({ length: 256 }, (_, i) => heat(i / 255));

// Darkest and brightest byte, from what was heard lately: a quiet machine shows as much as a loud one.
const seen = new Float64Array(256);
let range = [0, 255];
function adapt(column) {
  for (let i = 0; i < 256; i += 1) seen[i] *= 0.997;
  for (const value of column) if (value > 0) seen[value] += 1;
  const total = seen.reduce((a, b) => a + b, 0);
  let sum = 0;
  let low = 0;
  let high = 255;
  for (let i = 0; i < 256; i += 1) {
    sum += seen[i];
    if (sum < 0.02 * total) low = i;
    if (sum < 0.998 * total) high = i + 1;
  }
  range = [Math.min(low, high - 30 / scale.step), Math.max(high, 1)];
}

let waiting = []; // columns that are not drawn yet; null is a mark for sound that was left out
let due = 0;
function draw(now) {
  if (waiting.length) {
    // As fast as they were recorded, and faster where many wait.
    const late = waiting.length > 2 / scale.column;
    const count = late ? waiting.length : Math.min(waiting.length, Math.floor((now - due) / 1000 / scale.column));
    if (count > 0) {
      due = Math.max(due + count * scale.column * 1000, now - 100);
      paint(waiting.splice(0, count));
    }
  } else {
    due = now;
  }
  if (source) requestAnimationFrame(draw);
}

function paint(columns) {
  const { width, height } = canvas;
  ink.drawImage(canvas, -columns.length, 0);
  const image = ink.createImageData(columns.length, height);
  columns.forEach((column, x) => {
    if (column) adapt(column);
    for (let band = 0; band < height; band += 1) {
      const share = column ? (column[band] - range[0]) / (range[1] - range[0]) : 0;
      const [r, g, b] = column ? palette[Math.max(0, Math.min(255, Math.round(255 * share)))] : GREY;
      image.data.set([r, g, b, 255], 4 * ((height - 1 - band) * columns.length + x));
    }
  });
  ink.putImageData(image, width - columns.length, 0);
  place.dataset.drawn = String(Number(place.dataset.drawn || 0) + columns.length);
}

const note = document.getElementById("source-text");
function tell(text) {
  note.textContent = text;
  note.hidden = !text;
}

const decibels = (value) => (value === null ? "–" : `${value.toFixed(0).replace("-", "−")} dBFS`);
const clipped = document.getElementById("clipped");
let clippedUntil = 0;
function level(found) {
  document.getElementById("level").value = found.level ?? -90;
  document.getElementById("level-text").textContent = decibels(found.level ?? null);
  document.getElementById("peak-text").textContent = decibels(found.peak ?? null);
  if (found.clipped) clippedUntil = Date.now() + CLIP_SHOWN;
  const text = Date.now() < clippedUntil ? clipped.dataset.text : "";
  if (clipped.textContent !== text) clipped.textContent = text; // a screen reader reads it once
  clipped.hidden = !text;
}

function take(found) {
  if (found.refused) return tell(found.refused);
  if (found.away) {
    level({});
    return tell(`${place.dataset.away} ${found.away}`);
  }
  level(found);
  if (!found.columns) return tell(`${states[found.state] ?? found.state} ${found.reason || ""}`);
  tell(found.state === "healthy" ? "" : states[found.state] ?? found.state);
  const bytes = Uint8Array.from(atob(found.columns), (c) => c.charCodeAt(0));
  if (found.lost) waiting.push(null);
  for (let at = 0; at < bytes.length; at += scale.bands) waiting.push(bytes.subarray(at, at + scale.bands));
  return undefined;
}

let source = null;
function look() {
  if (source) return;
  source = new EventSource(place.dataset.columns);
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    level({});
    tell(place.dataset.lost);
    if (source.readyState === EventSource.CLOSED) {
      // Refused: logged out, or too many listeners.
      source = null;
      ask();
    }
  };
  due = performance.now();
  requestAnimationFrame(draw);
}

async function ask() {
  const answer = await fetch(place.dataset.columns, { headers: { "X-Asd": "1" } }).catch(() => null);
  if (answer && answer.status === 401) return location.reload();
  if (answer && answer.status >= 400) tell(await answer.text());
  answer?.body?.cancel().catch(() => undefined);
  setTimeout(() => !document.hidden && look(), 10000);
  return undefined;
}

// Nobody looks at a hidden tab; its sound goes on.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return look();
  source?.close();
  source = null;
  waiting = [];
  return undefined;
});

const sound = document.getElementById("sound");
const button = document.getElementById("play");
function playing(on) {
  button.textContent = on ? place.dataset.stop : place.dataset.play;
}
function stop() {
  sound.pause();
  sound.removeAttribute("src"); // ends the stream; a player that only pauses goes on reading
  sound.load();
  playing(false);
}
button.addEventListener("click", () => {
  if (sound.hasAttribute("src")) return stop();
  sound.src = `${place.dataset.sound}?n=${Date.now()}`;
  playing(true);
  sound.play().catch(() => undefined); // the event `error` reports it
  return undefined;
});
sound.addEventListener("error", () => {
  if (!sound.hasAttribute("src")) return;
  stop();
  say(place.dataset.failed, true);
});
sound.addEventListener("ended", () => {
  stop();
  say(place.dataset.ended);
});
addEventListener("pagehide", stop);
look();
