"""A tree of module pages: module_site.py NODE_MODULES DIRECTORY.

The packages lie under vendor/, as they come from the registry; each page runs one of them, the way its manual says.
"""

import json
import pathlib
import shutil
import sys

modules, site = map(pathlib.Path, sys.argv[1:])
vendor = site / "vendor"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>waiting</title>
<link rel="icon" href="data:,">
{head}
<script type="module" src="{script}"></script>
</head>
<body>{body}</body>
</html>
"""


def write(path, text):
    path = site / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def page(name, script, head="", body="", imports=None):
    if imports:
        head = f'<script type="importmap">{json.dumps({"imports": imports})}</script>\n{head}'
    write(f"{name}.html", PAGE.format(head=head, script=f"pages/{name}.js", body=body))
    write(f"pages/{name}.js", script)


for package, parts in {
    "monaco-editor": ["esm", "min/vs/editor/editor.main.css"],
    "three": ["build", "examples/jsm"],
    "pdfjs-dist": ["build"],
    "swagger-ui-dist": ["swagger-ui-es-bundle.js", "swagger-ui.css"],
}.items():
    for part in parts:
        source, target = modules / package / part, vendor / package / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.d.ts"))
        elif source.exists():
            shutil.copy(source, target)

# monaco-editor: its modules import style sheets, which only bundlers understand; the page's import map gives them a module that is none.
sheets = {f"/{sheet.relative_to(site)}": "/pages/sheet.js" for sheet in (vendor / "monaco-editor/esm").rglob("*.css")}
write("pages/sheet.js", "// Stands for a style sheet that the page has linked.\n")
page(
    "monaco",
    """import * as monaco from "../vendor/monaco-editor/esm/vs/editor/editor.api.js";
import "../vendor/monaco-editor/esm/vs/language/json/monaco.contribution.js";

const editor = monaco.editor.create(document.querySelector("main"), { value: '{"lamp": wulp}', language: "json" });
editor.executeEdits("test", [{ range: new monaco.Range(1, 1, 1, 1), text: " " }]);
window.proof = async () => {
  for (;;) {
    const markers = monaco.editor.getModelMarkers({});
    // Only the worker finds the mistake.
    if (markers.length) return { text: editor.getValue(), markers: markers.map((marker) => marker.message) };
    await new Promise((next) => setTimeout(next, 100));
  }
};
document.title = "runs";
""",
    body='<main style="height: 20em"></main>',
    imports=sheets,
)

page(
    "three",
    """import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(50, 1, 0.1, 10);
camera.position.z = 3;
scene.add(new THREE.Mesh(new THREE.BoxGeometry(), new THREE.MeshBasicMaterial({ color: 0xff0000 })));
new OrbitControls(camera, document.body).update();
let drawn = "no WebGL";
if (document.createElement("canvas").getContext("webgl2")) {
  const renderer = new THREE.WebGLRenderer();
  renderer.setSize(64, 64);
  renderer.render(scene, camera);
  const pixel = new Uint8Array(4);
  const gl = renderer.getContext();
  gl.readPixels(32, 32, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  drawn = [...pixel].join(" ");
}
window.proof = async () => ({ children: scene.children.length, drawn });
document.title = "runs";
""",
    imports={"three": "/vendor/three/build/three.module.js", "three/addons/": "/vendor/three/examples/jsm/"},
)

page(
    "pdf",
    """import * as pdfjs from "../vendor/pdfjs-dist/build/pdf.mjs";

pdfjs.GlobalWorkerOptions.workerSrc = new URL("../vendor/pdfjs-dist/build/pdf.worker.mjs", import.meta.url).href;
const content = "BT /F1 24 Tf 20 100 Td (Schemer) Tj ET";
const parts = [
  "<</Type/Catalog/Pages 2 0 R>>",
  "<</Type/Pages/Kids[3 0 R]/Count 1>>",
  "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
  `<</Length ${content.length}>>stream\\n${content}\\nendstream`,
  "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
];
const data = new TextEncoder().encode(
  `%PDF-1.4\\n${parts.map((part, n) => `${n + 1} 0 obj${part}endobj`).join("\\n")}\\ntrailer<</Root 1 0 R/Size 6>>`,
);
window.proof = async () => {
  const file = await pdfjs.getDocument({ data, stopAtErrors: false, verbosity: 0 }).promise;
  const text = await (await file.getPage(1)).getTextContent();
  return { pages: file.numPages, text: text.items.map((item) => item.str).join("") };
};
document.title = "runs";
""",
)

page(
    "swagger",
    """import "./swagger-module.js";
import "../vendor/swagger-ui-dist/swagger-ui-es-bundle.js";

const SwaggerUI = globalThis.module.exports;
SwaggerUI({
  dom_id: "#docs",
  spec: { openapi: "3.0.0", info: { title: "Lamps", version: "1" }, paths: { "/lamps": { get: { summary: "All lamps", responses: { 200: { description: "ok" } } } } } },
});
window.proof = async () => {
  while (!document.querySelector(".opblock-summary-path")) await new Promise((next) => setTimeout(next, 100));
  return { title: document.querySelector(".info .title").textContent, path: document.querySelector(".opblock-summary-path").textContent };
};
document.title = "runs";
""",
    head='<link rel="stylesheet" href="vendor/swagger-ui-dist/swagger-ui.css">',
    body='<div id="docs"></div>',
)
write("pages/swagger-module.js", "// The bundle hands itself out as CommonJS does.\nglobalThis.module = { exports: {} };\n")

# A circle, a module that a tag runs and another imports, a worker of modules, an image, and what is imported on demand.
page(
    "graph",
    """import { count } from "./graph/count.js";
import { one } from "./graph/one.js";

const image = new URL("./graph/dot.svg", import.meta.url).href;
const worker = new Worker(new URL("./graph/worker.js", import.meta.url), { type: "module" });
window.proof = async () => {
  const { later } = await import("./graph/later.js");
  const answer = await new Promise((resolve) => { worker.onmessage = (event) => resolve(event.data); worker.postMessage(20); });
  const drawn = await new Promise((resolve) => { const img = new Image(); img.onload = () => resolve(img.naturalWidth); img.onerror = () => resolve(0); img.src = image; });
  const inline = window.inline;
  return { one: one(), later, answer, drawn, runs: count(), inline };
};
document.title = "runs";
""",
    head="""<link rel="modulepreload" href="pages/graph/one.js">
<script type="module" src="/pages/graph/count.js"></script>
<script type="module">import { count } from "/pages/graph/count.js"; window.inline = { runs: count(), resolved: import.meta.resolve("/pages/graph/one.js") };</script>""",
)
write("pages/graph/count.js", "globalThis.runs = (globalThis.runs ?? 0) + 1;\nexport const count = () => globalThis.runs;\n")
write("pages/graph/one.js", 'import { two } from "./two.js";\nexport const one = () => 1 + two();\nexport const base = 10;\n')
write("pages/graph/two.js", 'import { base } from "./one.js";\nexport const two = () => 2 * base;\n')
write("pages/graph/later.js", 'import { one } from "./one.js";\nexport const later = one() + 1;\n')
write("pages/graph/worker.js", 'import { double } from "./double.js";\nonmessage = (event) => postMessage(double(event.data));\n')
write("pages/graph/double.js", 'import { base } from "./one.js";\nexport const double = (n) => 2 * n + base;\n')
write("pages/graph/dot.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>')
