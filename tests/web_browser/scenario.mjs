// Uses the page as people do: alarms, live sound, levels, a calibration, and a service that goes away. See people.mjs.
import { accessible, base, check, failures, input, person, report, run, streams } from "./people.mjs";

await run(async () => {
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
  failures.expected = true;
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
  failures.expected = false;
  report("recovered");
  await context.close();

  // Every page, light and dark, wide and narrow, for a screen reader.
  for (const options of [{ bypassCSP: true }, { bypassCSP: true, colorScheme: "dark", viewport: { width: 390, height: 844 } }]) {
    [context, page] = await person("carl", options);
    const alarm = await page.evaluate(() => document.querySelector(".tile a[id^=open]")?.getAttribute("href"));
    const pages = ["", "alarms", "history", "machines/m", "machines/m/listen", "machines/m/calibrate", "new", "box", "history?days=1&verdict=test", alarm];
    for (const path of pages.filter((p) => p !== null && p !== undefined)) {
      await page.goto(new URL(path, base).href);
      await page.waitForSelector("h1");
      await accessible(page, `${path || "machines"} ${options.colorScheme || "light"}`);
    }
    await page.click("header button"); // logs out
    await page.waitForSelector("#password");
    await accessible(page, `login ${options.colorScheme || "light"}`);
    await context.close();
  }
  report("every page");
});
