import io
import sys
import tempfile
import unittest
from pathlib import Path
from wsgiref.util import setup_testing_defaults

from tests.site import CSS, CSS_TAG, PUBLIC, manifest

try:
    from py4web.core import wsgi
except ImportError:
    raise unittest.SkipTest("py4web is not installed") from None

APP = """
from awning import Assets
from awning.py4web import Cdn
from py4web import action

assets = Assets({manifest!r}, public={public!r}, fallback="/etalage/static/")

@action("own")
@action.uses("index.html", Cdn(assets))
def own(): return {{}}

@action("replaced")
@action.uses("static.html", Cdn(assets, replace_url=True))
def replaced(): return {{}}

@action("kept")
@action.uses("static.html", Cdn(assets))
def kept(): return {{}}
"""
INDEX = "[[=cdn('css/app.css')]] [[=cdn_tag('css/app.css')]] [[=cdn('css/none.css')]]"
STATIC = "[[=URL('static', 'css/app.css')]] [[=URL('static', 'css/none.css')]] [[=URL('kept')]]"


class Py4web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        app = Path(directory.name) / "apps" / "etalage"
        (app / "templates").mkdir(parents=True)
        (app.parent / "__init__.py").touch()
        (app / "__init__.py").write_text(APP.format(manifest=str(manifest_of(cls)), public=PUBLIC))
        (app / "templates" / "index.html").write_text(INDEX)
        (app / "templates" / "static.html").write_text(STATIC)
        cls.server = staticmethod(wsgi(apps_folder=str(app.parent), dashboard_mode="none", password_file=None))

    def get(self, path):
        environ = {"PATH_INFO": path, "wsgi.errors": sys.stderr, "wsgi.input": io.BytesIO()}
        setup_testing_defaults(environ)
        seen = {}
        body = b"".join(self.server(environ, lambda status, fields, exc=None: seen.update(status=status)))
        self.assertEqual(seen["status"][:3], "200", body)
        return body.decode().strip()

    def test_a_template_names_assets(self):
        self.assertEqual(self.get("/etalage/own"), f"{CSS} {CSS_TAG} /etalage/static/css/none.css")

    def test_urls_of_static_files_are_replaced_where_that_is_asked_for(self):
        there, gone, action = self.get("/etalage/replaced").split()
        self.assertEqual((there, action), (CSS, "/etalage/kept"))
        self.assertEqual(gone, "/etalage/static/css/none.css")
        self.assertEqual(self.get("/etalage/kept").split()[0], "/etalage/static/css/app.css")


def manifest_of(cls):
    """The manifest, removed with the class."""

    class Cleanup:
        addCleanup = cls.addClassCleanup

    return manifest(Cleanup())
