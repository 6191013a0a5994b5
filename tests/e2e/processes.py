"""Publishers, a rollback and a collector as real processes on one channel, killed at random moments.

Usage: processes.py AWNING ENDPOINT DIR RUNS SEED. Prints a `pass:` or `fail:` line a check, over all runs; a run that fails tells its
seed. The bucket is read here by a client of its own, and each object is hashed here.
"""
import collections
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import blake3

# Long for any of them; a process that takes longer hangs.
SECONDS_MAX = 60
LOG = ".awning/channels/production/log/"


class Bucket:
    """Reads a bucket over S3, signed as AWS documents it (Signature Version 4)."""

    def __init__(self, endpoint, name):
        self.endpoint, self.name = endpoint, name

    def get(self, key):
        return self.call(f"/{self.name}/{urllib.parse.quote(key)}", "")

    def keys(self, prefix):
        query = urllib.parse.urlencode({"list-type": 2, "prefix": prefix}, quote_via=urllib.parse.quote, safe="")
        text = self.call(f"/{self.name}", query)
        return [key.text for key in xml.etree.ElementTree.fromstring(text or "<none/>").iter() if key.tag.endswith("}Key")]

    def call(self, path, query):
        host = urllib.parse.urlsplit(self.endpoint).netloc
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        nothing = hashlib.sha256(b"").hexdigest()
        fields = f"host:{host}\nx-amz-content-sha256:{nothing}\nx-amz-date:{now}\n"
        names = "host;x-amz-content-sha256;x-amz-date"
        request = f"GET\n{path}\n{query}\n{fields}\n{names}\n{nothing}"
        signed = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
        credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
        authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        headers = {"x-amz-date": now, "x-amz-content-sha256": nothing, "Authorization": authorization}
        url = f"{self.endpoint}{path}" + (f"?{query}" if query else "")
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


class Run:
    def __init__(self, awning, endpoint, directory, seed):
        self.random = random.Random(seed)
        self.awning, self.seed = awning, seed
        self.directory = directory / f"run-{seed}"
        self.bucket = Bucket(endpoint, f"run-{seed}")
        self.environment = os.environ | {"AWNING_STORE_BUCKET": self.bucket.name}
        self.wrong = collections.defaultdict(list)
        self.seen = collections.Counter()
        self.shown = []

    def start(self, *words):
        command = [self.awning, *map(str, words)]
        return subprocess.Popen(command, env=self.environment, cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def alone(self, *words):
        process = self.start(*words)
        out, told = process.communicate(timeout=SECONDS_MAX)
        return process.returncode, out, told

    def tree(self, number):
        root = self.directory / f"tree-{number}"
        (root / "img").mkdir(parents=True)
        for name in range(self.random.randint(2, 5)):
            (root / f"img/{name}.svg").write_text(f"<svg data-n='{self.random.randint(1, 3)}'/>")
        (root / "app.css").write_text(f"body {{ background: url(img/0.svg) }} /* {self.random.randint(1, 3)} */")
        (root / "index.html").write_text(f"<link rel=stylesheet href=/app.css><p>{number}")
        return root

    def run(self):
        trees = [self.tree(number) for number in range(2 + self.random.randint(2, 5))]
        for tree in trees[:2]:
            self.expect("the first publishes succeed", self.alone("publish", tree), {0})
        self.race(trees[2:])
        self.check_records("after the race")
        self.rerun(trees[2:])

    def race(self, trees):
        """All at once; each begins, and some die, at a moment of chance."""
        works = [("publish", tree, "--json") for tree in trees]
        works += [("rollback",), ("gc", "--grace", "24h", "--json"), ("gc", "--grace", "24h", "--json")]
        self.random.shuffle(works)
        # A rollback locks the channel: where it always comes first, nothing else is seen.
        latest = {"publish": 0.06, "rollback": 0.25, "gc": 0.15}
        dies = lambda: self.random.choice([None, self.random.uniform(0.003, 0.05), self.random.uniform(0.003, 0.05)])
        plans = [(self.random.uniform(0, latest[work[0]]), dies(), work) for work in works]
        over = threading.Event()
        reader = threading.Thread(target=self.read, args=(over,))
        reader.start()
        threads = [threading.Thread(target=self.work, args=plan) for plan in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        reader.join()
        if any(one > other for one, other in zip(self.shown, self.shown[1:])):
            # head.json may repeat an older record for a moment; whoever reads it keeps the greatest.
            self.seen["heads that went back for a moment"] += 1

    def read(self, over):
        """A visitor: whatever head.json names is whole while all others work."""
        while not over.is_set():
            head = json.loads(self.bucket.get(".awning/channels/production/head.json") or "null")
            if head:
                self.shown.append(head["seq"])
                self.check_whole("a release is whole while it is shown", head["release"])

    def work(self, wait, dies, words):
        time.sleep(wait)
        process = self.start(*words)
        killed = False
        try:
            out, told = process.communicate(timeout=dies or SECONDS_MAX)
        except subprocess.TimeoutExpired:
            killed = True
            process.send_signal(signal.SIGKILL)
            out, told = process.communicate()
        code = process.returncode
        if killed and code == -signal.SIGKILL:
            self.seen["killed"] += 1
            return
        self.seen[f"{words[0]} {code}"] += 1
        self.expect("exit codes are those of the interface", (code, out, told), {0} if words[0] == "gc" else {0, 4, 5})
        if words[0] == "publish" and code == 0:
            release = json.loads(out).get("release")
            if release not in {record["release"] for record in self.records()}:
                self.wrong["what was acknowledged is in the log"].append(f"run {self.seed}: {release}")

    def rerun(self, trees):
        for _ in range(2):
            code, out, told = self.alone("rollback", "--unlock")
            if code == 0:
                break
        self.expect("an unlock succeeds", (code, out, told), {0})
        for tree in trees:
            self.expect("a publish that is run again succeeds", self.alone("publish", tree), {0})
        code, out, told = self.alone("publish", trees[-1], "--json")
        self.expect("a publish that is run again succeeds", (code, out, told), {0})
        head = json.loads(self.bucket.get(".awning/channels/production/head.json"))
        records = self.records()
        if max(record["seq"] for record in records) != head["seq"] or head not in records:
            self.wrong["the head that is shown is the log's greatest"].append(f"run {self.seed}: {head}")
        self.expect("the head is whole, says verify --full", self.alone("verify", "--full"), {0})
        self.expect("a collector finds nothing wrong", self.alone("gc", "--grace", "24h"), {0})
        self.check_records("after the rerun")

    def records(self):
        return [json.loads(self.bucket.get(key)) for key in self.bucket.keys(LOG)]

    def check_records(self, when):
        for release in {record["release"] for record in self.records()}:
            self.seen["releases checked"] += 1
            self.check_whole(f"all releases of the log are whole {when}", release)

    def check_whole(self, name, release):
        manifest = self.bucket.get(f".awning/releases/{release}.json")
        if manifest is None or blake3.blake3(manifest).hexdigest() != release:
            return self.wrong[name].append(f"run {self.seed}: the manifest of {release}")
        for path, entry in json.loads(manifest)["entries"].items():
            for one in [entry, *entry.get("variants", {}).values()]:
                body = self.bucket.get(one["key"])
                if body is None or blake3.blake3(body).hexdigest() != one["b3"]:
                    self.wrong[name].append(f"run {self.seed}: {one['key']} of {release}")

    def expect(self, name, ended, codes):
        code, _, told = ended
        if code not in codes:
            self.wrong[name].append(f"run {self.seed}: exit {code}: {told.strip().splitlines()[-1:]}")


CHECKS = [
    "the first publishes succeed",
    "exit codes are those of the interface",
    "what was acknowledged is in the log",
    "a release is whole while it is shown",
    "all releases of the log are whole after the race",
    "an unlock succeeds",
    "a publish that is run again succeeds",
    "the head that is shown is the log's greatest",
    "the head is whole, says verify --full",
    "a collector finds nothing wrong",
    "all releases of the log are whole after the rerun",
]


def main(awning, endpoint, directory, runs, seed):
    wrong, seen, began = collections.defaultdict(list), collections.Counter(), time.monotonic()
    for at in range(int(seed), int(seed) + int(runs)):
        run = Run(awning, endpoint, pathlib.Path(directory), at)
        run.directory.mkdir()
        run.run()
        seen.update(run.seen)
        for name, found in run.wrong.items():
            wrong[name] += found
    print(f"note: {runs} runs from seed {seed} in {time.monotonic() - began:.0f} s: " + ", ".join(f"{n} {what}" for what, n in sorted(seen.items())))
    for name in CHECKS:
        print(f"fail: {name}: {len(wrong[name])} times, as {'; '.join(wrong[name][:3])}" if wrong[name] else f"pass: {name}")
    if not seen["killed"] or not seen["publish 0"] or not seen["rollback 0"]:
        print(f"fail: some are killed, and some are not: {dict(seen)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
