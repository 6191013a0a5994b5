// The module pages in headless Chromium, web security on: each really runs, nothing fails, every module has its fingerprinted name and
// is fetched once, and a module with other bytes than the map says is refused.
// Usage: module_pages.mjs NAME URL NPM_DIR CHROMIUM
import { createRequire } from "node:module";

const [where, url, npm, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${npm}/`)("playwright-core");
const FINGERPRINTED = /\.[a-z2-7]{16,}\.[a-z0-9]+$/;
const ARGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
  // A page that was changed on its way counts as one from nowhere, which may not ask this machine.
  "--disable-features=LocalNetworkAccessChecks"];
const check = (name, wrong) => {
  name = `${where}: ${name}`;
  console.log(wrong.length ? `fail: ${name}: ${wrong.slice(0, 5).join("; ")}` : `pass: ${name}`);
};
const is = (name, expected, found) => check(name, JSON.stringify(expected) === JSON.stringify(found) ? [] : [JSON.stringify(found)]);

const browser = await chromium.launch({ executablePath, args: ARGS });

/** Visits a page; `edit` may change its HTML on the way. */
async function visit(path, edit) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const seen = { complaints: [], failed: [], scripts: [] };
  page.on("console", (m) => m.type() === "error" && seen.complaints.push(m.text()));
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  context.on("requestfailed", (request) => seen.failed.push(`${request.url()} ${request.failure()?.errorText}`));
  context.on("response", (response) => response.status() >= 400 && seen.failed.push(`${response.url()} ${response.status()}`));
  context.on("request", (request) => {
    if (/\.m?js(\?|$)/.test(request.url()) && !request.url().startsWith("blob:")) seen.scripts.push(request.url());
  });
  if (edit) {
    await page.route(`${url}/${path}`, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: edit(await response.text()) });
    });
  }
  await page.goto(`${url}/${path}`, { waitUntil: "load" });
  await page.waitForLoadState("networkidle");
  seen.title = await page.title();
  return { context, page, seen };
}

async function runs(path, limit, shares, judge) {
  const { context, page, seen } = await visit(path);
  is(`${path}: its modules ran`, "runs", seen.title);
  const proof = seen.title === "runs" && (await Promise.race([
    page.evaluate(() => window.proof()).catch((error) => String(error)),
    new Promise((resolve) => setTimeout(resolve, 60_000, "no proof within a minute")),
  ]));
  await page.waitForLoadState("networkidle");
  judge(proof);
  check(`${path}: no complaint in the console`, seen.complaints);
  check(`${path}: no request failed`, seen.failed);
  const map = await page.evaluate(() => JSON.parse(document.querySelector("script[type=importmap]").textContent));
  const own = seen.scripts.filter((script) => map.integrity[script] ?? map.integrity[new URL(script).pathname]);
  check(`${path}: every module of the page was asked for once`, own.filter((script, n) => own.indexOf(script) !== n));
  check(`${path}: there were modules`, own.length >= limit ? [] : [`${own.length} modules`]);
  // What the page's workers share with other scripts they ask for by its logical name, on the page's own origin. A page asks there for
  // nothing where its modules are of another.
  const plain = seen.scripts.filter((script) => !FINGERPRINTED.test(new URL(script).pathname));
  check(`${path}: every script has a fingerprinted name, or a worker shares it`, plain.filter((s) => !s.startsWith(`${url}/_a/`)));
  is(`${path}: ${shares ? "its workers share modules" : "its workers share no module"}`, shares, plain.length > 0);
  console.log(`note: ${where}: ${path}: ${seen.scripts.length} scripts, ${plain.length} of them shared, ${JSON.stringify(proof)}`);
  await context.close();
  return seen;
}

/** Another integrity than that of its bytes for the module that `name` matches. */
const tampered = (name) => (html) => {
  const other = `sha384-${"A".repeat(64)}`;
  let count = 0;
  html = html.replace(new RegExp(`("[^"]*${name}\\.[a-z2-7]{16,}\\.m?js":")sha384-[^"]*`, "g"), (_, key) => (count++, key + other));
  if (!count) console.log(`fail: ${where}: ${name} has no integrity in the map`);
  return html;
};

async function refuses(path, name) {
  const { context, seen } = await visit(path, tampered(name));
  is(`${path}: with another integrity for ${name} nothing runs`, "waiting", seen.title);
  check(`${path}: integrity is why`, seen.complaints.some((c) => /integrity/i.test(c)) ? [] : ["no complaint about it", ...seen.complaints, ...seen.failed]);
  await context.close();
}

try {
  await runs("graph.html", 5, true, (proof) => {
    is("graph.html: circles, later imports, workers and images work", { one: 21, later: 22, answer: 50, drawn: 7, runs: 1 },
      { ...proof, inline: undefined });
    is("graph.html: an inline script has the same modules", { runs: 1, fingerprinted: true },
      { runs: proof.inline?.runs, fingerprinted: FINGERPRINTED.test(proof.inline?.resolved) });
  });
  await runs("three.html", 4, false, (proof) => {
    is("three.html: the scene is there", 1, proof.children);
    check("three.html: it is drawn", ["255 0 0 255", "no WebGL"].includes(proof.drawn) ? [] : [String(proof.drawn)]);
  });
  await runs("pdf.html", 2, false, (proof) => is("pdf.html: its worker reads a PDF", { pages: 1, text: "Schemer" }, proof));
  await runs("swagger.html", 3, false, (proof) => {
    is("swagger.html: it shows the paths", true, /Lamps/.test(proof.title) && /\/.?lamps/.test(proof.path));
  });
  await runs("monaco.html", 300, true, (proof) => {
    is("monaco.html: text is edited", ' {"lamp": wulp}', proof.text);
    is("monaco.html: its worker checks the text", true, proof.markers?.length > 0);
  });
  await refuses("three.html", "three.core");
  await refuses("pdf.html", "pdf");
  await refuses("swagger.html", "swagger-module");
  await refuses("monaco.html", "editor.api");
  await refuses("graph.html", "two");
} catch (error) {
  console.log(`fail: ${where}: the browser: ${String(error).split("\n")[0]}`);
} finally {
  await browser.close();
}
