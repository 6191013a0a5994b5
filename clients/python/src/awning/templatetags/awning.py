"""`{% load awning %}`, then `{% cdn "css/app.css" %}` and `{% cdn_tag "css/app.css" media="print" %}`."""

from __future__ import annotations

from django import template

from awning.django import assets
from awning.tags import Html, Value

register = template.Library()


@register.simple_tag  # type: ignore[untyped-decorator]
def cdn(path: str) -> str:
    """The URL of an asset."""
    return assets().cdn(path)


@register.simple_tag  # type: ignore[untyped-decorator]
def cdn_tag(path: str, **attributes: Value) -> Html:
    """The tag that loads an asset."""
    return assets().cdn_tag(path, **attributes)
