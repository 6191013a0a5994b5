// A visitor in headless Chromium: nothing fails, every asset has a fingerprinted, immutable URL, and the parts work.
// Usage: browser.mjs URL SCREENSHOT_DIR NPM_DIR CHROMIUM
import { createRequire } from "node:module";

const [url, shots, npm, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${npm}/`)("playwright-core");
const FINGERPRINTED = /\.[a-z2-7]{16,}\.[a-z0-9]+$/;
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const check = (name, wrong) => console.log(wrong.length ? `fail: ${name}: ${wrong.slice(0, 5).join("; ")}` : `pass: ${name}`);

/** Everything that goes wrong or over the wire in one tab. */
function watch(page) {
  const seen = { complaints: [], failed: [], plain: [], mutable: [], assets: new Set() };
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && seen.complaints.push(`${m.type()}: ${m.text()}`));
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("requestfailed", (request) => seen.failed.push(`${request.url()} ${request.failure()?.errorText}`));
  page.context().on("response", (response) => judge(response, seen));
  return seen;
}

function judge(response, seen) {
  const { pathname, protocol } = new URL(response.url());
  if (!protocol.startsWith("http")) return;
  if (response.status() >= 400) seen.failed.push(`${pathname} ${response.status()}`);
  const isDocument = pathname === "/sw.js" || pathname.endsWith("/") || pathname.endsWith(".html");
  if (isDocument) return;
  seen.assets.add(pathname);
  if (!FINGERPRINTED.test(pathname)) seen.plain.push(pathname);
  if (!/immutable/.test(response.headers()["cache-control"] ?? "")) seen.mutable.push(pathname);
}

async function readToTheEnd(page) {
  await page.evaluate(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 300) {
      scrollTo({ top: y, behavior: "instant" });
      await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
    }
    scrollTo({ top: 0, behavior: "instant" });
  });
  await page.waitForLoadState("networkidle");
}

async function look(context, scheme, width) {
  for (const [name, path] of [["home", "/"], ["wulp", "/lampen/wulp.html"], ["over-ons", "/over-ons.html"]]) {
    const page = await context.newPage();
    const seen = watch(page);
    await page.goto(url + path, { waitUntil: "networkidle" });
    await readToTheEnd(page);
    const where = `${name}, ${width} wide, ${scheme}`;
    check(`${where}: no complaint in the console`, seen.complaints);
    check(`${where}: no request failed`, seen.failed);
    check(`${where}: every asset has a fingerprinted name`, seen.plain);
    check(`${where}: every asset is immutable`, seen.mutable);
    check(`${where}: assets were loaded`, seen.assets.size > 8 ? [] : [`${seen.assets.size} assets`]);
    check(`${where}: no image is broken`, await page.evaluate(() =>
      [...document.images].filter((i) => i.complete && !i.naturalWidth).map((i) => i.currentSrc)));
    check(`${where}: the own font is there`, await page.evaluate(() => document.fonts.check('1em "Schemer"')) ? [] : ["no"]);
    check(`${where}: nothing sticks out`, await page.evaluate(() =>
      document.documentElement.scrollWidth > innerWidth ? [String(document.documentElement.scrollWidth)] : []));
    await page.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png`, fullPage: true });
    await page.close();
  }
}

/** What a visitor does: choose, put in the basket, measure, switch the light. */
async function use(context) {
  const page = await context.newPage();
  const seen = watch(page);
  await page.goto(url, { waitUntil: "networkidle" });
  const lamps = () => page.locator("#rek > li").count();
  check("the page shows six lamps", (await lamps()) === 6 ? [] : [String(await lamps())]);
  await page.click("text=Hangend");
  await page.waitForFunction(() => document.querySelectorAll("#rek > li").length === 2);
  check("a fragment replaces the lamps on click", []);
  await page.click("[data-pak=Kievit]");
  check("a lamp from a fragment goes into the basket", (await page.innerText("#mandje output")).includes("189") ? [] : ["no"]);
  check("a sprite's lamp is drawn", await page.evaluate(() =>
    document.querySelector("#rek use").getBBox().height > 0 ? [] : ["empty"]));
  await page.goto(`${url}/lampen/wulp.html`, { waitUntil: "networkidle" });
  await page.fill("#plafond", "300");
  await page.waitForFunction(() => /Ruim/.test(document.querySelector("[data-passen] output").textContent));
  check("a module is fetched when it is first needed", []);
  await page.waitForFunction(() => /van \d+ cm/.test(document.querySelector("[data-passen] img[alt]")?.alt));
  check("a worker of modules answers", []);
  check("a module's own image is drawn", await page.evaluate(async () => {
    const img = document.querySelector("[data-passen] img");
    await img.decode();
    return img.naturalWidth ? [] : ["no"];
  }));
  await page.click("[data-lichtknop]");
  const scheme = await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  check("the light switch works", scheme === "dark" ? [] : [scheme]);
  const scope = await page.evaluate(async () => (await navigator.serviceWorker.ready).scope);
  check("the service worker takes the whole site", scope === `${url}/` ? [] : [scope]);
  const missing = await context.request.get(`${url}/fragments/is-er-niet.html`);
  check("a page that is not there is 404", missing.status() === 404 ? [] : [String(missing.status())]);
  check("in use: no complaint in the console", seen.complaints);
  check("in use: no request failed", seen.failed);
  check("in use: every asset has a fingerprinted name", seen.plain);
  await page.close();
}

const browser = await chromium.launch({ executablePath, args: ARGS });
try {
  for (const width of [1280, 390]) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 840 } });
      await look(context, colorScheme, width);
      await context.close();
    }
  }
  const context = await browser.newContext({ colorScheme: "light", viewport: { width: 1280, height: 840 } });
  await use(context);
} catch (error) {
  console.log(`fail: the browser: ${String(error).split("\n")[0]}`);
} finally {
  await browser.close();
}
