"""The assets of the release that is current, kept current."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Callable, Optional, Union
from urllib.parse import quote

from .manifest import Asset, Manifest, ManifestError
from .sources import FileSource, Source, UrlSource
from .tags import Html, Value, tag

log = logging.getLogger("awning")

# A template that makes names up must not fill the memory with complaints.
MISSED_MAX = 1000


class Assets:
    """Answers the URL of an asset from the newest manifest that could be read.

    source    a file, or the URL of a manifest, such as
              `http://127.0.0.1:9080/v1/manifest?channel=production`
    public    what URLs begin with, for manifests that hold names only
    fallback  what the URL of an asset that is not in the manifest begins with;
              None raises KeyError instead
    kept      a file for the last good answer of a URL

    A manifest that cannot be read changes nothing: the last good one is kept,
    and the failure is logged once. A file is looked at once a second. A URL is
    asked every ten seconds, beside the requests; only the first answer is
    waited for. Instances may be shared by threads, and survive a fork.
    """

    def __init__(
        self,
        source: Union[str, "os.PathLike[str]", Source],
        *,
        public: str = "",
        fallback: Optional[str] = "/static/",
        kept: Union[str, "os.PathLike[str]", None] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = _source(source, kept)
        self._public = public
        self._fallback = fallback
        self._clock = clock
        self._manifest = Manifest({})
        self._looked = 0.0
        self._answered = False  # whether the first look is over
        self._looking = threading.Lock()
        self._process = os.getpid()
        self._complaint: Optional[str] = None
        self._missed: set[str] = set()

    def cdn(self, path: str) -> str:
        """The URL of an asset."""
        asset = self._find(path)
        return self._elsewhere(path) if asset is None else asset.url

    def cdn_tag(self, path: str, **attributes: Value) -> Html:
        """The tag that loads an asset, with its integrity."""
        asset = self._find(path)
        return tag(path, Asset(self._elsewhere(path)) if asset is None else asset, attributes)

    def manifest(self) -> Manifest:
        """The manifest that is current."""
        self._look()
        return self._manifest

    def _find(self, path: str) -> Optional[Asset]:
        return self.manifest().get(path.lstrip("/"))

    def _elsewhere(self, path: str) -> str:
        if self._fallback is None:
            raise KeyError(f"{path!r} is not in the manifest {self._source!r}")
        if path not in self._missed and len(self._missed) < MISSED_MAX:
            self._missed.add(path)
            log.warning("%r is not in the manifest %r", path, self._source)
        return self._fallback + quote(path.lstrip("/"), safe="/")

    def _look(self) -> None:
        """Reads again when it is time; one thread at a time, others go on with what there is."""
        if self._process != os.getpid():
            # A fork copied a lock that a thread of the other process may hold.
            self._process, self._looking = os.getpid(), threading.Lock()
        now = self._clock()
        first = not self._answered
        if not first and now - self._looked < self._source.pause:
            return
        if not self._looking.acquire(blocking=first):
            return
        if first and self._answered:
            self._looking.release()  # another thread was first
            return
        self._looked = now
        if first or not self._source.remote:
            self._read()
        else:
            threading.Thread(target=self._read, name="awning-manifest", daemon=True).start()

    def _read(self) -> None:
        try:
            text = self._source.read()
            if text is not None:
                self._manifest = Manifest.parse(text, self._public)
                self._missed.clear()
                self._keep(text)
            self._complaint = None
        except (OSError, ManifestError) as error:
            self._complain(f"the manifest {self._source!r} cannot be read, the last good one is kept: {error}")
        finally:
            self._answered = True
            self._looking.release()

    def _keep(self, text: bytes) -> None:
        try:
            self._source.keep(text)
        except OSError as error:
            log.error("the manifest %r cannot be kept: %s", self._source, error)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            log.error(complaint)
        self._complaint = complaint


def _source(source: Union[str, "os.PathLike[str]", Source], kept: Union[str, "os.PathLike[str]", None]) -> Source:
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return UrlSource(source, kept=None if kept is None else Path(kept))
    if isinstance(source, (str, os.PathLike)):
        return FileSource(Path(source))
    return source
