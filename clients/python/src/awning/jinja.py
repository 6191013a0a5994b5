"""Jinja2, Flask included: `{{ cdn("css/app.css") }}` and `{{ cdn_tag("css/app.css") }}`."""

from __future__ import annotations

from typing import Any, Protocol

from .assets import Assets


class Environment(Protocol):
    """A Jinja2 environment; Flask's is `app.jinja_env`."""

    globals: Any


def install(environment: Environment, assets: Assets) -> None:
    """Makes both functions known to all templates."""
    environment.globals.update(cdn=assets.cdn, cdn_tag=assets.cdn_tag)
