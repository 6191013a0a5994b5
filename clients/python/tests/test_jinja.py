import unittest

from tests.site import CSS, CSS_TAG, PUBLIC, manifest

try:
    import jinja2
except ImportError:
    raise unittest.SkipTest("Jinja2 is not installed") from None

from awning import Assets
from awning.jinja import install


class Jinja(unittest.TestCase):
    def test_templates_name_assets(self):
        environment = jinja2.Environment(autoescape=True)
        install(environment, Assets(manifest(self), public=PUBLIC))
        for text, expected in [
            ('{{ cdn("css/app.css") }}', CSS),
            ('{{ cdn_tag("css/app.css") }}', CSS_TAG),
            ('{{ cdn_tag("css/app.css", media="a<b") }}', CSS_TAG[:-1] + ' media="a&lt;b">'),
        ]:
            with self.subTest(text):
                self.assertEqual(environment.from_string(text).render(), expected)
