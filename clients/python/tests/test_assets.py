import contextlib
import http.server
import json
import os
import tempfile
import threading
import unittest
from pathlib import Path

from awning import Assets, Manifest, ManifestError

CDN = "https://cdn.example.nl"


def own(**names):
    """A manifest as awning stores it."""
    entries = {path: {"key": f"a/{name}", "integrity": "sha384-x", "type": "text/css"} for path, name in names.items()}
    return json.dumps({"schema": "awning.manifest/v1", "entries": entries}).encode()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Parsing(unittest.TestCase):
    def test_every_form_gives_urls(self):
        spaced = {"img/één foto.jpg": {"key": "a/img/één foto.abc.jpg", "integrity": "sha384-x"}}
        stable = {"sw.js": {"key": "a/sw.abc.js", "integrity": "sha384-x", "stable": True}}
        for text, path, url, integrity in [
            (own(**{"a.css": "a.abc.css"}), "a.css", f"{CDN}/a.abc.css", "sha384-x"),
            (_wire(spaced), "img/één foto.jpg", f"{CDN}/img/%C3%A9%C3%A9n%20foto.abc.jpg", "sha384-x"),
            (_wire(stable), "sw.js", f"{CDN}/sw.js", "sha384-x"),
            (b'{"a.css": "https://elders.nl/a.abc.css"}', "a.css", "https://elders.nl/a.abc.css", None),
            (b'{"a.css": "a.abc.css"}', "a.css", f"{CDN}/a.abc.css", None),
            (b'{"a.css": {"src": "/_a/a.abc.css", "integrity": "sha384-y"}}', "a.css", "/_a/a.abc.css", "sha384-y"),
        ]:
            with self.subTest(text):
                asset = Manifest.parse(text, CDN + "/")[path]
                self.assertEqual((asset.url, asset.integrity), (url, integrity))

    def test_what_is_no_manifest_is_refused(self):
        for text, complaint in [
            (b"{", "not JSON"),
            (b"\xff", "not JSON"),
            (b"[]", "not a JSON object"),
            (b'{"schema": "awning.manifest/v2"}', "schema 'awning.manifest/v2'"),
            (b'{"schema": "awning.manifest/v1"}', "no entries"),
            (_wire({"a.css": {"key": ".awning/x"}}), "nothing usable of 'a.css'"),
            (b'{"a.css": 1}', "nothing usable of 'a.css'"),
        ]:
            with self.subTest(text), self.assertRaisesRegex(ManifestError, complaint):
                Manifest.parse(text)


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.file = Path(self.directory.name) / "manifest.json"
        self.clock = Clock()

    def write(self, text):
        beside = self.file.with_suffix(".new")
        beside.write_bytes(text)
        beside.replace(self.file)

    def assets(self, **options):
        return Assets(self.file, public=CDN, clock=self.clock, **options)

    def test_a_new_manifest_is_seen_and_a_broken_one_changes_nothing(self):
        self.write(own(**{"a.css": "a.one.css"}))
        assets = self.assets()
        self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.one.css")
        self.assertEqual(assets.cdn("/a.css"), f"{CDN}/a.one.css")

        self.write(own(**{"a.css": "a.two.css"}))
        self.clock.now = 0.5
        self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.one.css")
        self.clock.now = 1.5
        self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")

        self.write(b'{"schema": ')
        self.clock.now = 3
        with self.assertLogs("awning", "ERROR") as logged:
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")
        self.assertIn("the last good one is kept", logged.output[0])

        self.file.unlink()
        self.clock.now = 5
        with self.assertLogs("awning", "ERROR"):
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")
        self.clock.now = 7
        with self.assertNoLogs("awning"):
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")

    def test_an_unknown_asset_has_its_url_elsewhere(self):
        self.write(own(**{"a.css": "a.one.css"}))
        assets = self.assets()
        with self.assertLogs("awning", "WARNING") as logged:
            for _ in range(2):
                self.assertEqual(assets.cdn("één.css"), "/static/%C3%A9%C3%A9n.css")
        self.assertEqual(len(logged.output), 1)
        tag = assets.cdn_tag("b.js")
        self.assertEqual(tag, '<script src="/static/b.js" crossorigin="anonymous"></script>')
        with self.assertRaisesRegex(KeyError, "b.css"):
            self.assets(fallback=None).cdn("b.css")

    def test_a_missing_file_is_no_reason_not_to_start(self):
        assets = self.assets()
        with self.assertLogs("awning"):
            self.assertEqual(assets.cdn("a.css"), "/static/a.css")
        self.write(own(**{"a.css": "a.one.css"}))
        self.clock.now = 2
        self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.one.css")

    def test_threads_that_ask_first_all_get_the_answer(self):
        self.write(own(**{"a.css": "a.one.css"}))
        assets, answers, begin = self.assets(), [], threading.Barrier(8)

        def ask():
            begin.wait()
            answers.append(assets.cdn("a.css"))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [f"{CDN}/a.one.css"] * 8)

    @unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
    def test_a_fork_does_not_wait_for_the_other_process(self):
        self.write(own(**{"a.css": "a.one.css"}))
        assets = self.assets()
        assets._looking.acquire()  # as a thread does that reads while the process forks
        child = os.fork()
        if child == 0:
            os._exit(0 if assets.cdn("a.css") == f"{CDN}/a.one.css" else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


class Urls(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.kept = Path(self.directory.name) / "kept.json"
        self.clock = Clock()

    def test_a_url_is_asked_again_and_its_last_answer_kept(self):
        with serving(own(**{"a.css": "a.one.css"})) as server:
            assets = Assets(server.url, public=CDN, kept=self.kept, clock=self.clock)
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.one.css")
            server.text = own(**{"a.css": "a.two.css"})
            self.again(assets)
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")
            self.again(assets)
            self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")
            self.assertEqual(server.answers, [200, 200, 304])
        self.again(assets)
        self.assertEqual(assets.cdn("a.css"), f"{CDN}/a.two.css")

        started_later = Assets(server.url, public=CDN, kept=self.kept, clock=self.clock)
        self.assertEqual(started_later.cdn("a.css"), f"{CDN}/a.two.css")
        with self.assertLogs("awning"):
            without = Assets(server.url, public=CDN, clock=self.clock)
            self.assertEqual(without.cdn("a.css"), "/static/a.css")

    def again(self, assets):
        """Lets the next look begin, and waits for its end."""
        self.clock.now += 11
        assets.cdn("a.css")
        for thread in threading.enumerate():
            if thread.name == "awning-manifest":
                thread.join()


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, text):
        super().__init__(("127.0.0.1", 0), Answer)
        self.text, self.answers = text, []
        self.url = f"http://127.0.0.1:{self.server_port}/v1/manifest"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        etag = f'"{hash(self.server.text)}"'
        known = self.headers.get("If-None-Match") == etag
        self.server.answers.append(304 if known else 200)
        self.send_response(self.server.answers[-1])
        self.send_header("ETag", etag)
        self.end_headers()
        if not known:
            self.wfile.write(self.server.text)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(text):
    server = Server(text)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _wire(entries):
    return json.dumps({"schema": "awning.manifest/v1", "entries": entries}).encode()
