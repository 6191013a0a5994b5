import unittest

from awning import Asset
from awning.tags import tag

CHECKED = 'integrity="sha384-x" crossorigin="anonymous"'


class Tags(unittest.TestCase):
    def test_the_extension_tells_the_tag(self):
        for path, attributes, expected in [
            ("a.css", {}, f'<link rel="stylesheet" href="/u" {CHECKED}>'),
            ("a.css", {"media": "print"}, f'<link rel="stylesheet" href="/u" {CHECKED} media="print">'),
            ("a.js", {"defer": True}, f'<script src="/u" {CHECKED} defer></script>'),
            ("a.js", {"type": "module"}, f'<script type="module" src="/u" {CHECKED}></script>'),
            ("a.mjs", {"crossorigin": None}, '<script type="module" src="/u" integrity="sha384-x"></script>'),
            ("x/a.WOFF2", {}, '<link rel="preload" as="font" href="/u" crossorigin="anonymous">'),
            ("a.png", {"alt": 'een "lamp" & <hoed>'}, '<img src="/u" alt="een &quot;lamp&quot; &amp; &lt;hoed&gt;">'),
            ("a.png", {"class_": "b", "data_id": "1"}, '<img src="/u" alt="" class="b" data-id="1">'),
        ]:
            with self.subTest(expected):
                self.assertEqual(tag(path, Asset("/u", "sha384-x"), attributes), expected)

    def test_a_url_cannot_leave_its_attribute(self):
        self.assertNotIn("<b>", tag("a.css", Asset('/"><b>'), {}))

    def test_what_has_no_tag_is_refused(self):
        for path in ["a.pdf", "a", "map.css/a"]:
            with self.subTest(path), self.assertRaisesRegex(ValueError, "no tag is known"):
                tag(path, Asset("/u"), {})
        with self.assertRaisesRegex(ValueError, "not a name"):
            tag("a.css", Asset("/u"), {"x onload": "y"})
