import unittest

from tests.site import CSS, CSS_TAG, PUBLIC, manifest

try:
    from gluon.template import render
except ImportError:
    raise unittest.SkipTest("web2py is not installed") from None

from awning import Assets


class Web2py(unittest.TestCase):
    def test_views_name_assets(self):
        # What a model file defines is known to every view.
        assets = Assets(manifest(self), public=PUBLIC)
        known = {"cdn": assets.cdn, "cdn_tag": assets.cdn_tag}
        for text, expected in [("{{=cdn('css/app.css')}}", CSS), ("{{=cdn_tag('css/app.css')}}", CSS_TAG)]:
            with self.subTest(text):
                self.assertEqual(render(content=text, context=dict(known)), expected)
