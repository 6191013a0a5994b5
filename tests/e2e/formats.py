"""Reads what `awning manifest` printed with Django and its loaders, and compares what they make of it with the public URLs.

Usage: formats.py DIRECTORY PUBLIC_URL, with DIRECTORY/{django,flat,vite,webpack}.json.
"""

import json
import shutil
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.template import Context, Template
from django.test.utils import override_settings

root, public = Path(sys.argv[1]), sys.argv[2]
urls = json.loads((root / "flat.json").read_text())
BACKENDS = "django.contrib.staticfiles.storage"


def storage(name):
    return {"staticfiles": {"BACKEND": f"{BACKENDS}.{name}"}}


def check(name, expected, found):
    print(f"pass: {name}" if expected == found else f"fail: {name}: expected {expected!r}, found {found!r}")


def render(text):
    return unescape(Template(text).render(Context()))


# Each reader looks in a directory of its own.
for written, read in [
    ("django.json", "django/staticfiles.json"),
    ("vite.json", "vite/manifest.json"),
    ("webpack.json", "webpack/manifest.json"),
]:
    (root / read).parent.mkdir()
    shutil.copyfile(root / written, root / read)

settings.configure(
    DEBUG=False,
    INSTALLED_APPS=["django.contrib.staticfiles", "django_vite", "manifest_loader"],
    STATIC_URL=f"{public}/",
    STATIC_ROOT=str(root / "django"),
    STORAGES=storage("ManifestStaticFilesStorage"),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DJANGO_VITE={"default": {"manifest_path": str(root / "vite/manifest.json")}},
    MANIFEST_LOADER={"output_dir": str(root / "webpack")},
)
django.setup()

from django.contrib.staticfiles.storage import staticfiles_storage  # noqa: E402

found = {path: render(f"{{% load static %}}{{% static '{path}' %}}") for path in urls}
# Django's manifest storage takes the quotes off again; browsers put them back.
expected = {path: unquote(url) for path, url in urls.items()}
check("Django's static tag gives the public URL of every asset", expected, found)
pairs = json.dumps(sorted(staticfiles_storage.hashed_files.items()))
computed = staticfiles_storage.file_hash(None, ContentFile(pairs.encode()))
check("staticfiles.json has the hash that Django computes of it", computed, staticfiles_storage.manifest_hash)

# These look the name up themselves, and put the base before it.
with override_settings(STORAGES=storage("StaticFilesStorage")):
    found = {path: render(f"{{% load manifest %}}{{% manifest '{path}' %}}") for path in urls}
    check("django-manifest-loader gives the public URL of every asset", urls, found)

    found = {path: render(f"{{% load django_vite %}}{{% vite_asset_url '{path}' %}}") for path in urls}
    check("django-vite gives the public URL of every asset", urls, found)
    tag = render("{% load django_vite %}{% vite_asset 'js/app.js' %}")
    check("django-vite makes a module of the script", True, f'src="{urls["js/app.js"]}"' in tag and 'type="module"' in tag)
