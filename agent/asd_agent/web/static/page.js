// Header of every request of the page's own scripts, messages, and the live updates.
import { follow } from "./live.js";

const body = document.body;

body.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Asd"] = "1";
});

export function say(text, bad = false) {
  const line = document.createElement("p");
  line.textContent = text;
  if (bad) line.className = "bad";
  document.getElementById("messages").append(line);
  setTimeout(() => line.remove(), bad ? 12000 : 5000);
}

body.addEventListener("asd:message", (event) => say(event.detail.text));
for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  body.addEventListener(failure, (event) => {
    const answer = event.detail.xhr;
    if (answer && answer.status === 401 && answer.getResponseHeader("HX-Refresh")) return;
    const plain = answer && (answer.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    const text = plain && answer.responseText ? answer.responseText : body.dataset.failed;
    const place = event.detail.elt.closest("form")?.querySelector(".form-error");
    if (place) {
      place.textContent = text;
      place.hidden = false;
    } else if (event.detail.requestConfig?.verb !== "get" || event.detail.elt.id === "what-if") {
      say(text, true);
    }
  });
}

// The slider and the number of the level are one value.
const slide = document.getElementById("w-slide");
const level = document.getElementById("w-level");
if (slide && level) {
  const shown = () => document.dispatchEvent(new CustomEvent("asd:level", { detail: Number(level.value) }));
  slide.addEventListener("input", () => { level.value = slide.value; shown(); });
  level.addEventListener("input", () => { slide.value = level.value; shown(); });
  slide.removeAttribute("name");
}

// A refreshed list keeps what was picked.
let picked = [];
body.addEventListener("htmx:beforeSwap", () => {
  picked = [...document.querySelectorAll("input[name=pick]:checked")].map((box) => box.id);
});
body.addEventListener("htmx:afterSwap", () => {
  for (const id of picked) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
});

if (body.dataset.live) {
  const banner = document.getElementById("live");
  let alarms = "";
  let away = false;
  const show = (text, bad) => {
    banner.textContent = text;
    banner.classList.toggle("bad", bad);
    banner.hidden = !text;
  };
  follow(new URL("updates", new URL(body.dataset.base, location.href)), {
    states(update) {
      if (!update.running) {
        away = true;
        show(`${body.dataset.away} ${update.reason || ""}`, true);
      } else {
        show("", false);
        if (away) say(body.dataset.back);
        away = false;
      }
      const now = JSON.stringify(Object.entries(update.monitors || {}).map(([n, m]) => [n, m.state, m.seq]));
      if (now !== alarms && alarms) body.dispatchEvent(new CustomEvent("asd:alarm"));
      alarms = now;
      body.dispatchEvent(new CustomEvent("asd:update", { detail: update }));
    },
    lost() {
      away = true;
      show(body.dataset.lost, true);
    },
  });
}
