import unittest

from tests.site import CSS, CSS_TAG, PUBLIC, manifest

try:
    import django
except ImportError:
    raise unittest.SkipTest("Django is not installed") from None

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["django.contrib.staticfiles", "awning"],
        STATIC_URL="/static/",
        STORAGES={"staticfiles": {"BACKEND": "awning.django.ManifestStorage"}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    django.setup()

from django.template import Context, Template
from django.test.utils import override_settings


class Django(unittest.TestCase):
    def setUp(self):
        overridden = override_settings(AWNING={"source": manifest(self), "public": PUBLIC})
        overridden.enable()
        self.addCleanup(overridden.disable)

    def render(self, text):
        return Template(text).render(Context())

    def test_templates_name_assets(self):
        for text, expected in [
            ('{% load awning %}{% cdn "css/app.css" %}', CSS),
            ('{% load awning %}{% cdn_tag "css/app.css" %}', CSS_TAG),
            ('{% load awning %}{% cdn_tag "css/app.css" media="a<b" %}', CSS_TAG[:-1] + ' media="a&lt;b">'),
            ('{% load static %}{% static "css/app.css" %}', CSS),
            ('{% load static %}{% static "img/één.png" %}', f"{PUBLIC}/img/%C3%A9%C3%A9n.abc.png"),
            ('{% load static %}{% static "css/app.css#top" %}', CSS + "#top"),
        ]:
            with self.subTest(text):
                self.assertEqual(self.render(text), expected)

    def test_an_asset_that_is_not_published_is_where_django_has_it(self):
        with self.assertLogs("awning"):
            self.assertEqual(self.render('{% load static %}{% static "css/none.css" %}'), "/static/css/none.css")

    def test_the_setting_is_needed(self):
        with override_settings(AWNING={}), self.assertRaisesRegex(ImproperlyConfigured, "AWNING"):
            self.render('{% load awning %}{% cdn "css/app.css" %}')
