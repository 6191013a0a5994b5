"""The manifest that the tests of the frameworks use."""

import json
import tempfile
from pathlib import Path

ENTRIES = {
    "css/app.css": {"key": "a/css/app.abc.css", "integrity": "sha384-x", "type": "text/css"},
    "img/één.png": {"key": "a/img/één.abc.png", "integrity": "sha384-y", "type": "image/png"},
}
PUBLIC = "https://cdn.example.nl"
CSS = f"{PUBLIC}/css/app.abc.css"
CSS_TAG = f'<link rel="stylesheet" href="{CSS}" integrity="sha384-x" crossorigin="anonymous">'


def manifest(test):
    """A file that is removed when the test is over."""
    directory = tempfile.TemporaryDirectory()
    test.addCleanup(directory.cleanup)
    file = Path(directory.name) / "manifest.json"
    file.write_text(json.dumps({"schema": "awning.manifest/v1", "entries": ENTRIES}))
    return file
