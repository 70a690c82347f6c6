// People in a real browser, behind a reverse proxy with a prefix or without one, and a report of one JSON line a step.
// The first line of standard input is {"page": URL, "chromium": path, "axe": whether to check accessibility,
// "patience": milliseconds, "prefix": path or ""}; further lines answer the steps that ask for something.
import http from "node:http";
import { createRequire } from "node:module";
import readline from "node:readline";
import { chromium } from "playwright-core";

const axeSource = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
export const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const order = JSON.parse((await input.next()).value);
export const report = (step, more = {}) => process.stdout.write(`${JSON.stringify({ step, ...more })}\n`);
export const check = (good, what) => {
  if (!good) throw new Error(what);
};

// A reverse proxy as Home Assistant's ingress: it takes the prefix away and names it in a header.
const target = new URL(order.page);
const proxy = http.createServer((request, answer) => {
  const path = request.url.slice(order.prefix.length);
  const named = order.prefix ? { "x-ingress-path": order.prefix } : {};
  const headers = { ...request.headers, ...named, "x-forwarded-for": "10.0.0.7" };
  const on = http.request({ host: target.hostname, port: target.port, path, method: request.method, headers }, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  on.on("error", () => answer.destroy());
  answer.on("close", () => on.destroy());
  request.pipe(on);
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
export const base = `http://127.0.0.1:${proxy.address().port}${order.prefix}/`;

const browser = await chromium.launch({ executablePath: order.chromium, args: ["--no-sandbox"] });
export const troubles = [];
export const streams = new Set();
export const failures = { expected: false }; // those while the service is away are meant

export async function person(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(order.patience);
  context.on("page", (page) => {
    page.on("console", (m) => ["error", "warning"].includes(m.type()) && !failures.expected && troubles.push(`${page.url()}: ${m.text()}`));
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
  await page.waitForSelector("#tiles");
  return [context, page];
}

export async function accessible(page, name) {
  const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
  if (scrollWidth > clientWidth) troubles.push(`${name}: wider than the screen of ${clientWidth}`);
  if (!order.axe) return;
  await page.addScriptTag({ path: axeSource });
  const found = await page.evaluate(() => window.axe.run(document));
  check(found.passes.length > 10, `${name}: axe found nothing to check`);
  const serious = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  for (const v of serious) troubles.push(`${name}: ${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" ")}`);
}

// Runs the steps, reports how they ended, and ends the process.
export async function run(steps) {
  try {
    await steps();
    report("end", { troubles });
  } catch (error) {
    report("failed", { error: String(error), troubles });
  } finally {
    await browser.close();
    proxy.closeAllConnections();
    proxy.close();
    process.exit(0);
  }
}
