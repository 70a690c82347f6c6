// Charts of scores and levels over time: gaps grey, alarms as marks.
const SPANS = { "6h": 21600, "24h": 86400, "7d": 604800, "30d": 2592000, "1y": 31622400, "2y": 63244800 };
const zone = document.body.dataset.zone;

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

// Columns for uPlot, with a row of nulls wherever windows are missing, so that no line crosses a gap.
function columns(found) {
  const rows = [[], [], [], [], []];
  const gaps = [];
  const most = 2.5 * Math.max(found.step, 1);
  let before = found.start;
  found.time.forEach((time, i) => {
    if (time - before > most) {
      gaps.push([before, time]);
      [(before + time) / 2, null, null, null, null].forEach((v, c) => rows[c].push(v));
    }
    [time, found.high[i], found.mean[i], found.low[i], found.level[i]].forEach((v, c) => rows[c].push(v));
    if (found.mean[i] === null) gaps.push([time, time + found.step]);
    before = time + found.step;
  });
  if (found.end - before > most) gaps.push([before, found.end]);
  return [rows, gaps];
}

class Chart {
  constructor(place) {
    this.place = place;
    this.tried = null;
    this.plot = null;
    this.span = null;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    if (place.dataset.try) {
      document.addEventListener("asd:level", (event) => {
        this.tried = event.detail;
        this.plot?.redraw();
      });
    }
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 200), height: this.place.classList.contains("tall") ? 300 : 220 };
  }

  async load(query = "") {
    const answer = await fetch(this.place.dataset.series + query, { headers: { "X-Asd": "1" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) {
      this.place.textContent = await answer.text();
      return undefined;
    }
    this.found = await answer.json();
    this.draw();
    return undefined;
  }

  show(name) {
    this.span = SPANS[name];
    const end = Date.now() / 1000;
    return this.load(`?start=${end - this.span}&end=${end}`);
  }

  draw() {
    if (!this.found) return;
    const { place, found } = this;
    this.plot?.destroy();
    this.plot = null;
    place.replaceChildren();
    if (!found.time.length) {
      const none = document.createElement("p");
      none.className = "empty";
      none.textContent = place.dataset.none;
      place.append(none);
      return;
    }
    const [rows, gaps] = columns(found);
    const colour = colours();
    const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const finite = rows[4].filter((v) => v !== null);
    const level = finite.length ? finite[finite.length - 1] : null;
    this.plot = new uPlot(
      {
        ...this.size(),
        scales: {
          x: { min: found.start, max: found.end },
          y: {
            range: (_u, low, high) => {
              const floor = Math.min(low ?? 0, 0);
              const top = Math.max(high ?? 1, this.tried ?? -Infinity, level ?? 1);
              // A fault may be a hundred times above the level: the rest must stay readable.
              return [floor - 0.2, level === null ? top : Math.min(top, floor + 5 * Math.max(level - floor, 1)) * 1.05];
            },
          },
        },
        tzDate: zone ? (t) => uPlot.tzDate(new Date(t * 1000), zone) : undefined,
        axes: [{ ...axis, values: axisTimes }, { ...axis, size: 46 }],
        cursor: { drag: { x: true, y: false } },
        series: [
          { value: (_u, t) => (t === null ? "–" : moment(t)) },
          { label: `${place.dataset.score} ${place.dataset.range}`, stroke: colour("accent"), width: 1, points: { show: false }, value: twoDigits },
          { label: place.dataset.score, stroke: colour("ink"), width: 1.4, points: { show: false }, value: twoDigits },
          { stroke: "transparent", points: { show: false }, label: "", value: () => "" },
          { label: place.dataset.level, stroke: colour("bad"), dash: [6, 4], width: 1.4, points: { show: false }, value: twoDigits },
        ],
        bands: [{ series: [1, 3], fill: `${colour("accent")}44` }],
        hooks: {
          drawClear: [(u) => shade(u, gaps, colour("rest-paper"))],
          draw: [(u) => marks(u, found.alarms, colour), (u) => this.tried !== null && line(u, this.tried, colour("hold"))],
          setSelect: [
            (u) => {
              if (u.select.width > 4 && place.dataset.live) {
                const from = u.posToVal(u.select.left, "x");
                const to = u.posToVal(u.select.left + u.select.width, "x");
                if (to - from >= 120) {
                  this.span = null;
                  press(null);
                  this.load(`?start=${from}&end=${to}`);
                }
              }
            },
          ],
        },
      },
      rows,
      place,
    );
    place.querySelector("canvas").setAttribute("aria-hidden", "true");
    this.list();
  }

  // The marks as links, for the keyboard and for screen readers.
  list() {
    if (!this.place.dataset.alarms || !this.found.alarms.length) return;
    const list = document.createElement("ul");
    list.className = "marks";
    for (const alarm of this.found.alarms.slice(0, 20)) {
      const link = document.createElement("a");
      link.href = this.place.dataset.alarms + encodeURIComponent(alarm.id);
      link.textContent = `▼ ${moment(alarm.raised)}`;
      const entry = document.createElement("li");
      entry.append(link);
      list.append(entry);
    }
    this.place.append(list);
  }
}

const twoDigits = (_u, v) => (v === null || v === undefined ? "–" : v.toFixed(2));

function moment(t) {
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat("sv-SE", zone ? { ...options, timeZone: zone } : options).format(new Date(t * 1000));
}

function axisTimes(_u, splits, _axis, _space, step) {
  let day = "";
  return splits.map((t) => {
    const [date, clock] = moment(t).split(" ");
    if (step >= 86400) return date;
    const text = date === day ? clock : `${clock}\n${date.slice(5)}`;
    day = date;
    return text;
  });
}

function shade(u, gaps, fill) {
  u.ctx.save();
  u.ctx.fillStyle = fill;
  for (const [from, to] of gaps) {
    const left = Math.max(u.valToPos(from, "x", true), u.bbox.left);
    const right = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
    if (right > left) u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
  }
  u.ctx.restore();
}

function marks(u, alarms, colour) {
  u.ctx.save();
  for (const alarm of alarms) {
    const x = u.valToPos(alarm.raised, "x", true);
    const end = Math.min(u.valToPos(alarm.cleared ?? u.scales.x.max, "x", true), u.bbox.left + u.bbox.width);
    if (end < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    u.ctx.fillStyle = colour(alarm.verdict === "false" ? "fine" : "bad");
    u.ctx.globalAlpha = 0.15;
    u.ctx.fillRect(Math.max(x, u.bbox.left), u.bbox.top, Math.max(end - Math.max(x, u.bbox.left), 1), u.bbox.height);
    u.ctx.globalAlpha = 1;
    const size = 6 * devicePixelRatio;
    u.ctx.beginPath();
    u.ctx.moveTo(x - size, u.bbox.top);
    u.ctx.lineTo(x + size, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + 1.6 * size);
    u.ctx.fill();
  }
  u.ctx.restore();
}

function line(u, level, stroke) {
  const y = u.valToPos(level, "y", true);
  u.ctx.save();
  u.ctx.strokeStyle = stroke;
  u.ctx.lineWidth = 2 * devicePixelRatio;
  u.ctx.beginPath();
  u.ctx.moveTo(u.bbox.left, y);
  u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
  u.ctx.stroke();
  u.ctx.restore();
}

function press(name) {
  for (const button of document.querySelectorAll("[data-range-of]")) {
    button.setAttribute("aria-pressed", String(button.dataset.rangeOf === name));
  }
}

for (const place of document.querySelectorAll(".chart")) {
  const chart = new Chart(place);
  if (!place.dataset.live) {
    chart.load();
    continue;
  }
  chart.show("24h");
  for (const button of document.querySelectorAll("[data-range-of]")) {
    button.addEventListener("click", () => {
      press(button.dataset.rangeOf);
      chart.show(button.dataset.rangeOf);
    });
  }
  let name = () => document.querySelector("[data-range-of][aria-pressed=true]")?.dataset.rangeOf;
  let drawn = Date.now();
  document.body.addEventListener("asd:update", () => {
    // A stretch that was dragged open stays; the others follow the clock, at most every ten seconds.
    if (chart.span && Date.now() - drawn > 10000) {
      drawn = Date.now();
      chart.show(name());
    }
  });
}
