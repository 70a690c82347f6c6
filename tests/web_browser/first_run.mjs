// Takes a box without a machine to a watched one, with a microphone and without a terminal. See people.mjs.
import { accessible, base, check, input, order, person, report, run } from "./people.mjs";

async function picture(page, name) {
  if (order.pictures) await page.screenshot({ path: `${order.pictures}/${name}.png`, fullPage: true });
}

await run(async () => {
  // An operator sees what to do, and may not do it.
  let [context, page] = await person("otto", { bypassCSP: order.axe });
  await page.waitForSelector(".empty");
  check((await page.$("#new")) === null, "an operator may add machines");
  await context.close();

  [context, page] = await person("carl", { bypassCSP: order.axe, viewport: { width: order.width, height: 900 } });
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("#new");

  // The microphone with its level, and a name.
  const microphone = page.locator("label:has-text('testmic') input");
  await page.waitForSelector("details summary");
  if (!(await microphone.isVisible())) await page.click("details summary");
  await microphone.check();
  await page.waitForFunction(() => /^−[1-5]\d? dBFS$/.test(document.querySelector("#level-text").textContent));
  await accessible(page, "choose");
  await picture(page, "choose");
  await page.fill("#n-name", "press-3");
  await page.fill("#n-machine", "press");
  await page.click("#n-choose");
  await page.waitForSelector("#n-record");
  check((await page.$("#n-learn")) === null, "it can learn from nothing");
  await accessible(page, "record");
  await picture(page, "record");
  report("chosen");

  // A recording: cancelled, then continued.
  await page.click("#n-record");
  await page.waitForSelector(".log li:has-text('testmic')");
  await picture(page, "recording");
  await page.click("#job-cancel");
  await page.waitForSelector("small:has-text('Cancelled')");
  report("put earlier clips there");
  await input.next();
  await page.selectOption("#n-minutes", "2");
  await page.click("#n-record");
  await page.waitForSelector("text=12 of 12 windows of 10 s are recorded");
  report("recorded");

  // Learning, and the result before anything is watched.
  await page.click("#n-learn");
  await page.waitForSelector("#n-watch");
  await accessible(page, "learnt");
  await picture(page, "learnt");
  report("learnt");

  // Watched, on a page of its own, with its live sound.
  await page.click("#n-watch");
  await page.waitForSelector("#watched");
  await accessible(page, "watched");
  await picture(page, "watched");
  await page.goto(base);
  await page.waitForSelector(".tile.normal:has-text('press-3')");
  await page.goto(`${base}machines/press-3/listen`);
  await page.waitForFunction(() => Number(document.querySelector("#listen").dataset.drawn) > 15);
  report("watched");

  // Taken out, and the change taken back.
  await page.goto(`${base}new`);
  await page.click(".row button");
  await page.waitForSelector(".empty:has-text('None now')");
  await page.click("#n-undo");
  await page.waitForSelector(".row strong:has-text('press-3')");
  await page.waitForSelector("#n-undo");
  report("taken out and back");

  // Another bundle from a file, and the way back.
  await page.goto(`${base}bundles`);
  await page.waitForSelector(".row:has-text('press-3')");
  await page.setInputFiles("#b-file", order.bundle);
  await page.fill("#b-name", "press-3");
  await page.click("#b-install");
  await page.waitForSelector(".result.fine");
  await accessible(page, "bundles");
  await picture(page, "bundles");
  check((await page.$$(".row")).length === 2, "the former bundle is gone");
  await page.click(".row button");
  await page.waitForSelector("h2:has-text('Rolling back') small:has-text('done')");
  report("installed and rolled back");
  await context.close();
});
