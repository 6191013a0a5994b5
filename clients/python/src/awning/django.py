"""Django: `{% static %}` without an edit of templates, and `{% cdn %}`, `{% cdn_tag %}`.

    INSTALLED_APPS = [..., "awning"]                     # for {% load awning %}
    STORAGES = {..., "staticfiles": {"BACKEND": "awning.django.ManifestStorage"}}
    AWNING = {"source": "build/manifest.json", "public": "https://cdn.example.nl"}

An asset that is not in the manifest has its URL below STATIC_URL.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Optional

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .assets import Assets


@lru_cache(maxsize=1)
def assets() -> Assets:
    """The assets that the setting AWNING describes: the arguments of Assets."""
    options = dict(getattr(settings, "AWNING", {}))
    if "source" not in options:
        raise ImproperlyConfigured('set AWNING = {"source": …} to the file or the URL of the manifest')
    options.setdefault("fallback", settings.STATIC_URL)
    return Assets(**options)


def _forget(*, setting: str, **_: Any) -> None:
    if setting in ("AWNING", "STATIC_URL"):
        assets.cache_clear()


setting_changed.connect(_forget, dispatch_uid="awning")


class ManifestStorage(StaticFilesStorage):  # type: ignore[misc]
    """Static files as Django finds and collects them, with the URLs that awning published."""

    def url(self, name: Optional[str]) -> str:
        path, mark, rest = (name or "").partition("#")
        return assets().cdn(path) + mark + rest
