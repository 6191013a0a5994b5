"""The references that Django's own ManifestStaticFilesStorage finds in the admin's static files, and whether awning's are the same.

Usage: reference_graph.py collect STATIC_ROOT HASHED GRAPH, which leaves the files as they were before Django hashed them in STATIC_ROOT, and
with those that Django hashed in HASHED; reference_graph.py compare GRAPH MANIFEST; or reference_graph.py kept HASHED MANIFEST. The last two print `pass:`, `fail:` and `note:` lines. Differences are told by their rule.
"""
import collections
import json
import pathlib
import posixpath
import shutil
import sys


def collect(root, hashed, graph):
    import django
    from django.conf import settings
    from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, StaticFilesStorage

    found = collections.defaultdict(set)

    class Recording(ManifestStaticFilesStorage):
        reading = None

        def url_converter(self, name, hashed_files, template=None):
            convert = super().url_converter(name, hashed_files, template)

            def recorded(match):
                self.reading = name
                try:
                    return convert(match)
                finally:
                    self.reading = None

            return recorded

        def _stored_name(self, name, hashed_files):
            if self.reading:
                found[self.reading].add(posixpath.normpath(name))
            return super()._stored_name(name, hashed_files)

    settings.configure(INSTALLED_APPS=["django.contrib.staticfiles", "django.contrib.admin"], STATIC_URL="/", MEDIA_URL="/media/")
    source = pathlib.Path(django.__file__).parent / "contrib/admin/static"
    shutil.copytree(source, root, dirs_exist_ok=True)
    shutil.copytree(source, hashed, dirs_exist_ok=True)
    plain = StaticFilesStorage(location=hashed, base_url="/")
    files = [str(f.relative_to(hashed)) for f in hashed.rglob("*") if f.is_file()]
    storage = Recording(location=hashed, base_url="/")
    for name, _, outcome in storage.post_process({name: (plain, name) for name in files}):
        if isinstance(outcome, Exception):
            sys.exit(f"Django fails on {name}: {outcome}")
    graph.write_text(json.dumps({name: sorted(targets) for name, targets in found.items()}))


def compare(graph, manifest):
    theirs = {name: set(targets) for name, targets in json.loads(graph.read_text()).items()}
    entries = json.loads(manifest.read_text())["entries"]
    rules, wrong, same = collections.Counter(), [], 0
    for name, entry in entries.items():
        ours, django = set(entry.get("refs", [])), theirs.get(name, set())
        same += len(ours & django)
        for target in sorted(ours ^ django):
            # Django reads style sheets, and the source maps of scripts; nothing else.
            if target in ours and not name.endswith((".css", ".js")):
                rules["a document of a kind that Django does not read"] += 1
            elif target in ours and name.endswith(".js") and not target.endswith(".map"):
                rules["an import of a module, which Django reads only where a project asks for it"] += 1
            else:
                wrong.append(f"{name} refers to {target} only by {'awning' if target in ours else 'Django'}")
    for rule, count in sorted(rules.items()):
        print(f"note: django: {count} more references of awning by rule: {rule}")
    for line in wrong[:10]:
        print(f"note: django: {line}")
    print(f"{'fail' if wrong else 'pass'}: django: its own storage finds the same {same} references in {len(entries)} files")


def kept(hashed, manifest):
    paths = json.loads((hashed / "staticfiles.json").read_text())["paths"]
    entries = json.loads(manifest.read_text())["entries"]
    wrong = [name for name in paths.values() if entries[name]["key"] != f"a/{name}"]
    for name in wrong[:10]:
        print(f"note: django: {name} is published as {entries[name]['key']}")
    print(f"{'fail' if wrong else 'pass'}: django: the {len(paths)} files that Django hashed keep their names")


if __name__ == "__main__":
    {"collect": collect, "compare": compare, "kept": kept}[sys.argv[1]](*map(pathlib.Path, sys.argv[2:]))
