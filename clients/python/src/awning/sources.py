"""Where the bytes of a manifest come from, and whether they changed."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional, Protocol

# awning writes none that is larger.
BYTES_MAX = 64 * 1024 * 1024


class Source(Protocol):
    """Gives bytes when they differ from those it gave last."""

    #: Seconds between two looks.
    pause: float
    #: Whether a look may take longer than a request should wait.
    remote: bool

    def read(self) -> Optional[bytes]:
        """The bytes, or None when they are those given last."""
        ...

    def keep(self, text: bytes) -> None:
        """Called with bytes that turned out to be a manifest."""
        ...


class FileSource:
    """A file; looked at again when its identity, time or size changed."""

    pause = 1.0
    remote = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Any = None

    def read(self) -> Optional[bytes]:
        with self._path.open("rb") as file:
            # Of the opened file: its name may lead to another one by now.
            state = os.fstat(file.fileno())
            seen = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return None
            text = _bounded(file.read(BYTES_MAX + 1))
        self._seen = seen
        return text

    def keep(self, text: bytes) -> None:
        """The file is there already."""

    def __repr__(self) -> str:
        return str(self._path)


class UrlSource:
    """A URL, asked with the validator of the answer before.

    `kept` names a file for the last good answer, so that a process can start
    while the URL does not answer.
    """

    pause = 10.0
    remote = True

    def __init__(self, url: str, timeout: float = 3.0, kept: Optional[Path] = None) -> None:
        self._url = url
        self._timeout = timeout
        self._kept = kept
        self._etag: Optional[str] = None
        self._given = False

    def read(self) -> Optional[bytes]:
        request = urllib.request.Request(self._url, headers={"Accept": "application/json"})
        if self._etag is not None:
            request.add_header("If-None-Match", self._etag)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                text = _bounded(answer.read(BYTES_MAX + 1))
                self._etag = answer.headers.get("ETag")
        except urllib.error.HTTPError as error:
            if error.code == 304:
                return None
            return self._kept_or(error)
        except OSError as error:
            return self._kept_or(error)
        self._given = True
        return text

    def keep(self, text: bytes) -> None:
        if self._kept is None:
            return
        # Other processes read the file meanwhile.
        handle, name = tempfile.mkstemp(dir=self._kept.parent, prefix=self._kept.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
            os.replace(name, self._kept)
        except OSError:
            Path(name).unlink()
            raise

    def _kept_or(self, error: OSError) -> bytes:
        if self._given or self._kept is None or not self._kept.exists():
            raise error
        self._given = True
        return _bounded(self._kept.read_bytes())

    def __repr__(self) -> str:
        return self._url


def _bounded(text: bytes) -> bytes:
    if len(text) > BYTES_MAX:
        raise OSError(f"the manifest has more than {BYTES_MAX} bytes")
    return text
