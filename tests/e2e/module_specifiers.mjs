// Compares the module specifiers that awning found with those of es-module-lexer: start, end and text of each, in every ES module.
// Usage: module_specifiers.mjs FOUND NODE_MODULES, with one JSON line for each file in FOUND.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [found, modules] = process.argv.slice(2);
const { init, parse } = await import(pathToFileURL(`${modules}/es-module-lexer/dist/lexer.js`));
await init;

const counts = { files: 0, modules: 0, specifiers: 0 };
const differences = [];
const differ = (path, what) => differences.push(`${path.slice(modules.length + 1)}: ${what}`);

/** Offsets in UTF-16 of offsets in UTF-8. */
function utf16(bytes, offsets) {
  let [at, units] = [0, 0];
  return offsets.map((offset) => {
    units += bytes.subarray(at, offset).toString("utf8").length;
    at = offset;
    return units;
  });
}

function expected(source) {
  const [imports, exports, , hasModuleSyntax] = parse(source);
  const isModule = hasModuleSyntax ?? (exports.length > 0 || imports.some((i) => i.type !== "dynamic"));
  // A glob is what it makes of an expression.
  const named = imports.filter((i) => typeof i.specifier === "string" && !i.glob);
  // A dynamic import's span has the quotes, a static one's has not.
  const inside = (i) => (i.type === "dynamic" ? [i.start + 1, i.end - 1, i.specifier] : [i.start, i.end, i.specifier]);
  return { isModule, specifiers: named.map(inside).sort((a, b) => a[0] - b[0]) };
}

for (const line of readFileSync(found, "utf8").trim().split("\n")) {
  const { path, imports, fault } = JSON.parse(line);
  const bytes = readFileSync(path);
  // Whoever decodes a script takes its byte order mark away, and this lexer reads none.
  const [, mark, source] = /^(\uFEFF?)([^]*)$/.exec(bytes.toString("utf8"));
  counts.files += 1;
  let theirs;
  try {
    theirs = expected(source);
  } catch (error) {
    if (!fault) differ(path, `es-module-lexer cannot read it: ${String(error).split("\n")[0]}`);
    continue;
  }
  if (!theirs.isModule && !path.endsWith(".mjs")) continue;
  counts.modules += 1;
  if (fault) {
    differ(path, `awning cannot read it: ${fault}`);
    continue;
  }
  const offsets = utf16(bytes, imports.flatMap(([, start, end]) => [start, end]));
  const ours = imports.map(([, , , text], n) => [offsets[2 * n] - mark.length, offsets[2 * n + 1] - mark.length, text]);
  counts.specifiers += ours.length;
  const [left, right] = [ours, theirs.specifiers].map((list) => new Set(list.map(String)));
  for (const one of left) if (!right.has(one)) differ(path, `only awning has ${one}`);
  for (const one of right) if (!left.has(one)) differ(path, `only es-module-lexer has ${one}`);
  if (ours.length !== theirs.specifiers.length) differ(path, "one of them has a specifier twice");
}

console.log(`note: ${counts.specifiers} specifiers in ${counts.modules} ES modules, of ${counts.files} scripts`);
const enough = counts.modules > 1000 && counts.specifiers > 3000;
console.log(`${enough ? "pass" : "fail"}: there were enough modules to compare`);
if (differences.length === 0) console.log("pass: the specifiers of every ES module are those of es-module-lexer");
else console.log(`fail: ${differences.length} differences from es-module-lexer: ${differences.slice(0, 10).join("; ")}`);
