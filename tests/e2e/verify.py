"""Fetches a whole release through a shield and compares it with its manifest and its source.

Usage: verify.py NAME BASE_URL MANIFEST SOURCE_DIR. Prints `pass:` and `fail:` lines.
References are found here by a second, plainer reading of CSS than awning's own, so that the two can disagree.
"""
import concurrent.futures
import json
import pathlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

import blake3

CSS_URL = re.compile(r"""url\(\s*(?:"([^"\\]*)"|'([^'\\]*)'|([^"'()\s\\]+))\s*\)""")
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, b""


def public_url(base, entry):
    return f"{base}/{urllib.parse.quote(entry['key'].removeprefix('a/'))}"


def check(name, wrong):
    print(f"fail: {name}: {len(wrong)} of them, as {'; '.join(wrong[:4])}" if wrong else f"pass: {name}", flush=True)


def references(source, path):
    """The relative `url()`s of a style sheet and what each names, without query and fragment."""
    text = COMMENT.sub("", (source / path).read_text("utf-8", "replace"))
    for match in CSS_URL.finditer(text):
        written = next(group for group in match.groups() if group is not None).strip()
        if not written or re.match(r"[a-z][a-z0-9+.-]*:|//|#", written, re.I):
            continue
        url = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://x/{path}", written))
        yield written, urllib.parse.unquote(url.path.lstrip("/"))


def main(name, base, manifest, source):
    entries = json.loads(pathlib.Path(manifest).read_text())["entries"]
    source = pathlib.Path(source)
    urls = {path: public_url(base, entry) for path, entry in entries.items()}
    altered, mutable, bodies = [], [], {}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for path, (status, headers, body) in zip(urls, pool.map(fetch, urls.values())):
            if status != 200 or blake3.blake3(body).hexdigest() != entries[path]["b3"]:
                altered.append(f"{path} ({status}, {len(body)} bytes)")
            if "immutable" not in headers.get("Cache-Control", ""):
                mutable.append(path)
            if path.endswith((".css", ".html", ".svg", ".webmanifest")):
                bodies[path] = body.decode("utf-8", "replace")
    check(f"{name}: each of {len(entries)} objects has the BLAKE3 of its manifest", altered)
    check(f"{name}: each object is immutable", mutable)

    files = [str(f.relative_to(source)) for f in source.rglob("*") if f.is_file() and not f.is_symlink()]
    check(f"{name}: every file is in the manifest", [f for f in files if f not in entries and not hidden(f)])

    left, dangling = [], []
    for path in (p for p in entries if p.endswith(".css")):
        for written, target in references(source, path):
            if target not in entries:
                dangling.append(f"{path} names {written}")
            elif urls[target] not in bodies[path]:
                left.append(f"{path} names {written}")
    check(f"{name}: every reference of its style sheets that resolves is rewritten", left)
    print(f"note: {name}: {len(dangling)} dangling references in style sheets", flush=True)

    own = re.compile(re.escape(base) + r"/[^\s\"'()<>\\,#?*]+")
    named = {url for body in bodies.values() for url in own.findall(body)} - set(urls.values())
    check(f"{name}: every fingerprinted URL in a document is there", [url for url in sorted(named) if fetch(url)[0] != 200])


def hidden(path):
    return any(part.startswith(".") for part in path.split("/"))


if __name__ == "__main__":
    main(*sys.argv[1:])
