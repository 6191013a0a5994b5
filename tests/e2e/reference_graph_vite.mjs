// Compares what awning published of a Vite build with Vite's own manifest.
// Usage: reference_graph_vite.mjs DIST AWNING_MANIFEST VITE_MANIFEST_OF_AWNING
import fs from "node:fs";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";

const [dist, manifestFile, writtenFile] = process.argv.slice(2);
const read = (file) => JSON.parse(fs.readFileSync(file));
const check = (name, wrong) => console.log(wrong.length === 0 ? `pass: vite: ${name}` : `fail: vite: ${name}: ${wrong.slice(0, 4).join("; ")}`);

const original = read(path.join(dist, ".vite/manifest.json"));
const entries = read(manifestFile).entries;
const written = read(writtenFile);
const built = new Set(Object.values(original).flatMap((chunk) => [chunk.file, ...(chunk.css ?? []), ...(chunk.assets ?? [])]));
console.log(`note: vite: the build made ${[...built].sort().join(" ")}`);
check("every file that the build named by content keeps its name", [...built].filter((file) => entries[file]?.key !== `a/${file}`));
check("the page gets a fingerprint, and refers to the script and the style sheet", [
    ...(entries["index.html"].key === "a/index.html" ? ["it has none"] : []),
    ...[original["index.html"].file, ...original["index.html"].css].filter((file) => !entries["index.html"].refs.includes(file)),
]);
const differs = ([key, chunk]) => {
    const { integrity, ...rest } = written[key] ?? {};
    return !integrity || !isDeepStrictEqual(rest, chunk);
};
check("the manifest for Vite's readers has every chunk as Vite wrote it, with integrity", Object.entries(original).filter(differs).map(([key]) => key));
