// Uses the page as people do, in a real browser, behind a proxy with a prefix. Writes one JSON line a step.
// The first line of standard input is {"page": URL, "chromium": path, "axe": whether to check accessibility,
// "patience": milliseconds}; further lines answer the steps that ask for something.
import http from "node:http";
import { createRequire } from "node:module";
import readline from "node:readline";
import { chromium } from "playwright-core";

const axeSource = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const order = JSON.parse((await input.next()).value);
const report = (step, more = {}) => process.stdout.write(`${JSON.stringify({ step, ...more })}\n`);
const check = (good, what) => {
  if (!good) throw new Error(what);
};

// A reverse proxy as Home Assistant's ingress: it takes the prefix away and names it in a header.
const target = new URL(order.page);
const proxy = http.createServer((request, answer) => {
  const path = request.url.replace(/^\/prefix/, "");
  const headers = { ...request.headers, "x-ingress-path": "/prefix", "x-forwarded-for": "10.0.0.7" };
  const on = http.request({ host: target.hostname, port: target.port, path, method: request.method, headers }, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  on.on("error", () => answer.destroy());
  answer.on("close", () => on.destroy());
  request.pipe(on);
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${proxy.address().port}/prefix/`;

const browser = await chromium.launch({ executablePath: order.chromium, args: ["--no-sandbox"] });
const troubles = [];
const streams = new Set();
let expected = false; // failures while the service is away are meant

async function person(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(order.patience);
  context.on("page", (page) => {
    page.on("console", (m) => ["error", "warning"].includes(m.type()) && !expected && troubles.push(`${page.url()}: ${m.text()}`));
    page.on("pageerror", (e) => troubles.push(`${page.url()}: ${e.message}`));
    page.on("request", (r) => {
      if (!r.url().startsWith(base)) troubles.push(`request to ${r.url()}`);
      if (r.url().endsWith("/updates")) streams.add(r);
    });
    for (const end of ["requestfinished", "requestfailed"]) page.on(end, (r) => streams.delete(r));
  });
  const page = await context.newPage();
  await page.goto(`${base}login`);
  await page.fill("#name", name);
  await page.fill("#password", `secret-${name}`);
  await page.click("button.main");
  await page.waitForSelector(".tiles");
  return [context, page];
}

async function accessible(page, name) {
  if (!order.axe) return;
  await page.addScriptTag({ path: axeSource });
  const found = await page.evaluate(() => window.axe.run(document));
  check(found.passes.length > 10, `${name}: axe found nothing to check`);
  const serious = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  for (const v of serious) troubles.push(`${name}: ${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" ")}`);
}

try {
  // An operator: the wrong password first, then the alarm from the tile to its verdict.
  let [context, page] = await person("otto");
  await page.waitForSelector(".tile.active");
  report("tiles");
  const others = [await context.newPage(), await context.newPage()];
  await others[0].goto(`${base}alarms`);
  await others[1].goto(`${base}machines/m`);
  await others[1].waitForSelector(".chart canvas");
  await page.waitForFunction(() => document.querySelector("#live").hidden);
  check(streams.size === 1, `${streams.size} streams of three tabs`);
  report("one stream for three tabs");

  await page.click("text=open the alarm");
  await page.waitForSelector(".picture img");
  check(await page.$eval(".picture img", (i) => i.decode().then(() => i.naturalWidth > 100)), "no picture");
  await page.waitForFunction(() => document.querySelector("audio").duration > 3);
  await page.fill("#ack-note", "bearing <b>ordered</b>");
  await page.click("text=Acknowledge");
  await page.waitForSelector(".badge.acknowledged");
  await page.waitForSelector("q:has-text('bearing <b>ordered</b>')");
  await page.check("#verdict-true");
  await page.fill("#verdict-label", "bearing");
  await page.click("text=Judge");
  await page.waitForSelector(".verdict.true:has-text('bearing')");
  report("acknowledged and judged");
  await others[0].waitForSelector(".row.acknowledged");
  report("another tab shows it");

  // Live sound: the picture moves, the sound plays, and both end with the page.
  await page.goto(`${base}machines/m`);
  await page.click("a[href$='/listen']");
  await page.waitForFunction(() => Number(document.querySelector("#listen").dataset.drawn) > 45);
  check(/^−\d+ dBFS$/.test(await page.textContent("#level-text")), "no level");
  await page.click("#play");
  await page.waitForFunction(() => document.querySelector("#sound").currentTime > 0.2);
  await page.click("#play:has-text('Stop')");
  await page.waitForSelector("#play:has-text('Play')");
  report("live sound");
  await context.close();

  // An admin: another level, tried and applied.
  [context, page] = await person("carl");
  await page.goto(`${base}machines/m`);
  await page.fill("#w-level", "5.8");
  await page.click("#what-if button.main");
  await page.waitForSelector(".effects >> text=False alarms that would be spared: 1");
  await page.check("#w-sure");
  await page.click("#what-if-result button.main");
  await page.waitForSelector("pre:has-text('domain: site')");
  report("level tried and applied");

  // A calibration: started and cancelled; the one that was just applied is taken back.
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(`${base}machines/m/calibrate`);
  await page.click("form button.main");
  await page.click("#job-cancel");
  await page.waitForSelector("h2:has-text('Cancelled')");
  await page.click("#c-undo");
  await page.waitForSelector("#c-undo", { state: "detached" });
  report("calibration cancelled, another taken back");

  // The service goes away and comes back while the page is open.
  await page.goto(base);
  await page.waitForSelector(".tile.acknowledged");
  const live = await context.newPage();
  const drawn = (more) => live.waitForFunction((n) => Number(document.querySelector("#listen").dataset.drawn) > n, more);
  await live.goto(`${base}machines/m/listen`);
  await drawn(0);
  expected = true;
  report("kill the service");
  await input.next();
  await page.waitForSelector("#live:not([hidden])");
  await page.waitForSelector(".tile.unknown");
  await live.waitForSelector("#source-text:has-text('The service does not answer')");
  const before = Number(await live.getAttribute("#listen", "data-drawn"));
  report("start the service");
  await input.next();
  await page.waitForSelector("#live", { state: "hidden" });
  await page.waitForSelector(".tile:not(.unknown)");
  await drawn(before + 45);
  await live.waitForSelector("#source-text", { state: "hidden" });
  expected = false;
  report("recovered");
  await context.close();

  // Every page, light and dark, wide and narrow, for a screen reader.
  for (const options of [{ bypassCSP: true }, { bypassCSP: true, colorScheme: "dark", viewport: { width: 390, height: 844 } }]) {
    [context, page] = await person("carl", options);
    const alarm = await page.evaluate(() => document.querySelector(".tile a[id^=open]")?.getAttribute("href"));
    const pages = ["", "alarms", "history", "machines/m", "machines/m/listen", "machines/m/calibrate", "box", "history?days=1&verdict=test", alarm];
    for (const path of pages.filter((p) => p !== null && p !== undefined)) {
      await page.goto(new URL(path, base).href);
      await page.waitForSelector("h1");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      if (wide) troubles.push(`${path || "machines"}: wider than the screen of ${options.viewport?.width ?? 1280}`);
      await accessible(page, `${path || "machines"} ${options.colorScheme || "light"}`);
    }
    await page.click("header button"); // logs out
    await page.waitForSelector("#password");
    await accessible(page, `login ${options.colorScheme || "light"}`);
    await context.close();
  }
  report("every page");
  report("end", { troubles });
} catch (error) {
  report("failed", { error: String(error), troubles });
} finally {
  await browser.close();
  proxy.closeAllConnections();
  proxy.close();
  process.exit(0);
}
