"""Tags for assets, as text that templates do not escape again."""

from __future__ import annotations

from html import escape
from typing import Union

from .manifest import Asset

Value = Union[str, bool, None]

STYLES = ("css",)
MODULES = ("mjs",)
SCRIPTS = ("js",)
FONTS = ("woff2", "woff", "ttf", "otf")
IMAGES = ("avif", "gif", "ico", "jpg", "jpeg", "png", "svg", "webp")


class Html(str):
    """Text that is HTML already, said in the words of every framework:
    `__html__` for Django and Jinja2, `xml` for py4web and web2py."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)

    def xml(self) -> str:
        return str(self)


def tag(path: str, asset: Asset, attributes: dict[str, Value]) -> Html:
    """The tag that loads an asset, by its extension.

    `True` makes an attribute without a value, `False` and `None` leave one out,
    and `_` in a name is a `-`; a trailing `_` is dropped, as in `class_`.
    Style sheets, scripts and fonts are fetched with CORS, because integrity is
    checked only there.
    """
    kind = path.rsplit("/", 1)[-1].rpartition(".")[2].lower()
    checked: dict[str, Value] = {"integrity": asset.integrity, "crossorigin": "anonymous"}
    if kind in STYLES:
        return _open("link", {"rel": "stylesheet", "href": asset.url, **checked}, attributes)
    if kind in MODULES or (kind in SCRIPTS and attributes.get("type") == "module"):
        return _element("script", {"type": "module", "src": asset.url, **checked}, attributes)
    if kind in SCRIPTS:
        return _element("script", {"src": asset.url, **checked}, attributes)
    if kind in FONTS:
        font: dict[str, Value] = {"rel": "preload", "as": "font", "href": asset.url, "crossorigin": "anonymous"}
        return _open("link", font, attributes)
    if kind in IMAGES:
        return _open("img", {"src": asset.url, "alt": ""}, attributes)
    raise ValueError(f"no tag is known for {path!r}: write it yourself around its URL")


def _element(name: str, own: dict[str, Value], given: dict[str, Value]) -> Html:
    return Html(f"{_open(name, own, given)}</{name}>")


def _open(name: str, own: dict[str, Value], given: dict[str, Value]) -> Html:
    merged = {**own, **{key.rstrip("_").replace("_", "-"): value for key, value in given.items()}}
    return Html("".join([f"<{name}", *(_attribute(*pair) for pair in merged.items()), ">"]))


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    if any(forbidden in name for forbidden in " \t\n\r\f\"'>/=") or not name:
        raise ValueError(f"{name!r} is not a name of an attribute")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
