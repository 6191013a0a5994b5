"""py4web: a fixture that gives `cdn` and `cdn_tag` to templates.

    cdn = Cdn(Assets("build/manifest.json", public="https://cdn.example.nl", fallback="/myapp/static/"))

    @action("index")
    @action.uses("index.html", cdn)
    def index(): ...

A template then has `[[=cdn("css/app.css")]]` and `[[=cdn_tag("css/app.css")]]`.
With `replace_url=True` the static files that a template names by
`URL("static", …)` have their final URLs as well, without an edit.
"""

from __future__ import annotations

from typing import Any

from py4web import URL
from py4web.core import Fixture

from .assets import Assets


class Cdn(Fixture):  # type: ignore[misc]
    """Injects the functions into templates."""

    def __init__(self, assets: Assets, *, replace_url: bool = False) -> None:
        self.assets = assets
        self.replace_url = replace_url

    def on_request(self, context: dict[str, Any]) -> None:
        """Called before the action."""
        injected = context.setdefault("template_inject", {})
        injected.update(cdn=self.assets.cdn, cdn_tag=self.assets.cdn_tag)
        if self.replace_url:
            injected["URL"] = self._url

    def _url(self, *parts: Any, **options: Any) -> str:
        path = "/".join(str(part) for part in parts[1:])
        if parts and parts[0] == "static" and not options and path in self.assets.manifest():
            return self.assets.cdn(path)
        url: str = URL(*parts, **options)
        return url
