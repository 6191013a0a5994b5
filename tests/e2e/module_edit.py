"""What an edit does to names.

module_edit.py most MANIFEST PREFIX: the module under PREFIX that most others refer to.
module_edit.py renamed BEFORE AFTER: the assets whose object has another name; pages go to stderr.
"""

import collections
import json
import sys


def entries(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)["entries"]


def most(manifest, prefix):
    counts = collections.Counter(
        ref for path, entry in entries(manifest).items() if path.startswith(prefix) for ref in entry.get("refs", [])
    )
    module, count = max(((m, n) for m, n in counts.items() if m.startswith(prefix) and m.endswith(".js")), key=lambda c: (c[1], c[0]))
    assert count > 100, f"only {count} modules import {module}"
    print(module)


def renamed(before, after):
    before, after = entries(before), entries(after)
    assert before.keys() == after.keys()
    for path in before:
        if before[path]["key"] != after[path]["key"]:
            print(path, file=sys.stderr if path.endswith(".html") else sys.stdout)


{"most": most, "renamed": renamed}[sys.argv[1]](*sys.argv[2:])
