// Compares the references of every style sheet of a release with those that css-tree finds in the source.
// Usage: reference_graph.mjs NAME SOURCE_DIR MANIFEST PLAN CSS_TREE
//
// Both the assets that a sheet refers to and the places of what dangles have to be the same. Where the two may differ, they do so by one of
// the RULES below; each difference is counted under its rule.
import fs from "node:fs";
import path from "node:path";

const [name, source, manifestFile, planFile, cssTree] = process.argv.slice(2);
const { parse, walk, find } = await import(cssTree);
const entries = JSON.parse(fs.readFileSync(manifestFile)).entries;
const { warnings } = JSON.parse(fs.readFileSync(planFile));

const RULES = {
    namespace: "the URL of an @namespace or @document is a name, and nothing is fetched from it",
    ancient: "what Internet Explorer fetches (AlphaImageLoader, behavior) keeps its URL",
    property: "a relative URL in a custom property belongs to the sheets that use it",
    map: "a source map is named in a comment, which css-tree does not look into",
    foreign: "it leads to another origin, or is no URL of a file",
};
const counted = {};

/** The URL as an asset of the tree, or undefined. */
function asset(text, sheet) {
    if (/^\s*(#|$)/.test(text)) return undefined;
    try {
        const url = new URL(text, `https://site.invalid/${sheet.split("/").map(encodeURIComponent).join("/")}`);
        return url.origin === "https://site.invalid" ? decodeURIComponent(url.pathname.slice(1)) : undefined;
    } catch {
        return undefined;
    }
}

const isRelative = (text) => !/^\s*([/\\#]|[a-z][a-z0-9+.-]*:)/i.test(text);

/** The URLs of a sheet by css-tree: {text, offset, rule}. */
function references(css) {
    const found = [];
    const comments = [];
    const ast = parse(css, { positions: true, parseCustomProperty: true, parseRulePrelude: false, onComment: (text, at) => comments.push([text, at]) });
    const see = (node, from, rule) => {
        const opening = css.slice(from).match(/^(?:url\(\s*)?["']?/i)[0];
        found.push({ text: node.value, offset: from + opening.length, rule });
    };
    const visit = (node, rule) => {
        walk(node, function (inner) {
            if (inner.type === "Url") see(inner, inner.loc.start.offset, rule);
            const strings = this.function && /^(-webkit-)?image-set$|^src$/i.test(this.function.name);
            if (inner.type === "String" && strings) see(inner, inner.loc.start.offset, rule);
        });
    };
    walk(ast, function (node) {
        if (node.type === "Atrule" && node.prelude) {
            const rule = /^(namespace|(-moz-)?document)$/i.test(node.name) ? "namespace" : undefined;
            visit(node.prelude, rule);
            if (/^import$/i.test(node.name)) {
                const first = node.prelude.children?.first;
                if (first?.type === "String") see(first, first.loc.start.offset);
            }
        }
        if (node.type === "Declaration") {
            const ancient = /^(-ms-)?behavior$/i.test(node.property) ? "ancient" : undefined;
            visit(node.value, ancient ?? (node.property.startsWith("--") ? "property" : undefined));
        }
    });
    const map = comments.at(-1)?.[0].match(/^[#@]\s*sourceMappingURL=\s*(\S+)/);
    return { found, map: map?.[1] };
}

/** Line and column, counted from 1; columns count characters. */
function place(css, offset) {
    const before = css.slice(0, offset);
    return `${before.split("\n").length}:${[...before.slice(before.lastIndexOf("\n") + 1)].length + 1}`;
}

const wrong = [];
let sheets = 0, same = 0, dangling = 0;
for (const [sheet, entry] of Object.entries(entries).filter(([name]) => name.endsWith(".css"))) {
    sheets += 1;
    const css = fs.readFileSync(path.join(source, sheet), "utf8");
    const theirs = new Set(), places = new Set(), unsure = new Set();
    const { found, map } = references(css);
    const differ = (rule) => (counted[rule] = (counted[rule] ?? 0) + 1);
    for (const { text, offset, rule } of found) {
        const target = asset(text, sheet);
        if (target === undefined) differ("foreign");
        else if (rule === "property" && isRelative(text)) differ(rule), unsure.add(target);
        else if (rule && rule !== "property") differ(rule);
        else if (entries[target]) theirs.add(target);
        else places.add(place(css, offset));
    }
    const ours = new Set((entry.refs ?? []).filter((target) => theirs.has(target) || !unsure.has(target)));
    const mapped = map === undefined ? undefined : asset(map, sheet);
    if (mapped && ours.delete(mapped) && !theirs.has(mapped)) differ("map");
    else if (mapped && theirs.has(mapped)) ours.add(mapped);
    const reported = warnings.filter((warning) => warning.path === sheet && warning.kind === "dangling");
    const told = new Set(reported.map(({ line, column }) => `${line}:${column}`));
    const text = (set) => [...set].sort().join(" ");
    if (text(ours) !== text(theirs)) wrong.push(`${sheet}: awning {${text(ours)}}, css-tree {${text(theirs)}}`);
    if (text(told) !== text(places)) wrong.push(`${sheet}: dangling by awning at {${text(told)}}, by css-tree at {${text(places)}}`);
    same += ours.size;
    dangling += told.size;
}
for (const [rule, count] of Object.entries(counted).sort()) console.log(`note: ${name}: ${count} by rule: ${RULES[rule]}`);
for (const line of wrong.slice(0, 10)) console.log(`note: ${line}`);
const title = `${name}: css-tree finds the same ${same} references and ${dangling} dangling places in ${sheets} style sheets`;
console.log(wrong.length === 0 ? `pass: ${title}` : `fail: ${title}`);
