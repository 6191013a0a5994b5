// The import map in headless Chromium, with web security on: modules come from another origin, under fingerprinted names.
// Usage: formats_browser.mjs PAGES_URL DIRECTORY NPM_DIR CHROMIUM, with DIRECTORY/flat.json.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [pages, directory, npm, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${npm}/`)("playwright-core");
const urls = JSON.parse(readFileSync(`${directory}/flat.json`, "utf8"));
const is = (name, expected, found) =>
  console.log(expected === found ? `pass: ${name}` : `fail: ${name}: expected '${expected}', found '${found}'`);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });

/** What the page came to: its title, the scripts it asked for, and what the console complained of. */
async function visit(path) {
  const page = await browser.newPage();
  const [asked, complaints] = [[], []];
  page.on("request", (request) => request.resourceType() === "script" && asked.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`${pages}/${path}`, { waitUntil: "networkidle" });
  return { title: await page.title(), asked: asked.sort().join(" "), complaints: complaints.join("; ") };
}

const whole = await visit("whole.html");
is("Chromium: the modules of the map run", "etalage", whole.title);
is("Chromium: only fingerprinted names are asked for", [urls["js/app.js"], urls["js/dep.js"]].sort().join(" "), whole.asked);
is("Chromium: no complaint in the console", "", whole.complaints);

const other = await visit("other.html");
is("Chromium: a module with other bytes than the map's does not run", "", other.title);
is("Chromium: its integrity is why", true, /integrity/i.test(other.complaints));

await browser.close();
