"""Reading a manifest: which URL each asset has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import quote

SCHEMA = "awning.manifest/v1"
OBJECTS = "a/"


class ManifestError(ValueError):
    """The bytes are not a manifest that this package reads."""


@dataclass(frozen=True)
class Asset:
    """One asset as it was published."""

    url: str
    integrity: Optional[str] = None


class Manifest(Mapping[str, Asset]):
    """All assets of a release, by their paths.

    Three forms are read: that of `awning manifest --format awning`, which needs
    the public URL that names are put behind; `--format flat`, which has whole
    URLs and no integrity; and that of webpack-assets-manifest with integrity.
    """

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = dict(assets)

    @classmethod
    def parse(cls, text: bytes, public: str = "") -> Manifest:
        """Reads any of the three forms."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise ManifestError("the manifest is not a JSON object")
        public = public.rstrip("/")
        if "schema" not in document:
            return cls({path: _plain(path, value, public) for path, value in document.items()})
        if document["schema"] != SCHEMA:
            raise ManifestError(f"the manifest has schema {document['schema']!r}, this package reads {SCHEMA!r}")
        entries = document.get("entries")
        if not isinstance(entries, dict):
            raise ManifestError("the manifest has no entries")
        return cls({path: _entry(path, entry, public) for path, entry in entries.items()})

    def __getitem__(self, path: str) -> Asset:
        return self._assets[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._assets)

    def __len__(self) -> int:
        return len(self._assets)


def _plain(path: str, value: Any, public: str) -> Asset:
    if isinstance(value, str):
        return Asset(_absolute(value, public))
    if isinstance(value, dict) and isinstance(value.get("src"), str):
        return Asset(_absolute(value["src"], public), _text(value.get("integrity")))
    raise ManifestError(f"the manifest says nothing usable of {path!r}")


def _absolute(url: str, public: str) -> str:
    whole = url.startswith("/") or "://" in url
    return url if whole or not public else f"{public}/{url}"


def _entry(path: str, entry: Any, public: str) -> Asset:
    key = entry.get("key") if isinstance(entry, dict) else None
    if not isinstance(key, str) or not key.startswith(OBJECTS):
        raise ManifestError(f"the manifest says nothing usable of {path!r}")
    name = path if entry.get("stable") is True else key[len(OBJECTS) :]
    return Asset(f"{public}/{quote(name, safe='/')}", _text(entry.get("integrity")))


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value else None
