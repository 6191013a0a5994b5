"""Final URLs of published assets, from the manifest that awning made.

    from awning import Assets

    assets = Assets("build/manifest.json", public="https://cdn.example.nl")
    assets.cdn("css/app.css")      # https://cdn.example.nl/css/app.<fingerprint>.css
    assets.cdn_tag("css/app.css")  # <link rel="stylesheet" href="…" integrity="…" crossorigin="anonymous">

Adapters: `awning.django`, `awning.jinja`, `awning.py4web`; web2py needs none.
"""

from .assets import Assets
from .manifest import Asset, Manifest, ManifestError
from .tags import Html

__all__ = ["Asset", "Assets", "Html", "Manifest", "ManifestError"]
