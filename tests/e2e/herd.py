"""Asks for objects over very many connections at once, and counts what that cost the bucket.

Usage: herd.py DIRECTORY BUCKET_PORT PORT ADMIN_PORT. Prints `pass:` and `fail:` lines. The visitors are tests/e2e/storms, because a script
cannot time them; the bucket is a real `awning bucket`, behind tests/front where it has to be slow, to fail, or to be counted.
"""

import contextlib
import json
import os
import pathlib
import resource
import signal
import sys
import time
import urllib.parse

from shields import Program, Shield, check, get, storms, until

MIB = 1 << 20
VISITORS, KEYS, CLIENTS = 10_000, 1000, 100
ROUNDS, FEW = 12, 32
# The bucket is slow: everybody has asked before it answers.
SLOW_MS = 500
WARM = "warm.txt"


def main(directory, bucket_port, port, admin):
    place = pathlib.Path(directory)
    shop = Shop(place, int(bucket_port), int(port), int(admin))
    with contextlib.ExitStack() as stack:
        bucket = stack.enter_context(shop.bucket())
        shop.publish()
        cold(shop)
        failing(shop)
        for where, memory, disk in [("in memory", "256MiB", None), ("on disk", "64MiB", place / "disk")]:
            bucket = killed(shop, stack, bucket, where, memory, disk)


class Shop:
    """What is published, and the servers that have it."""

    def __init__(self, place, bucket_port, port, admin):
        self.place, self.bucket_port, self.port, self.admin = place, bucket_port, port, admin
        self.files = place / "site"
        self.files.mkdir()
        sizes = {WARM: 64} | {f"one-{n}.bin": MIB for n in range(ROUNDS + 2)} | {f"large-{n}.bin": 32 * MIB for n in range(6)}
        for name, size in sizes.items() | {(f"key-{n}.bin", 2048) for n in range(KEYS)}:
            (self.files / name).write_bytes(os.urandom(size))
        self.urls = {}

    def bucket(self):
        return Program([os.environ["AWNING"], "bucket", "--data", self.place / "bucket", "--listen", f"127.0.0.1:{self.bucket_port}"], self.bucket_port)

    def publish(self):
        with self.shield(self.bucket_port) as shield:
            shield.run("publish", self.files)
            flat = json.loads(shield.run("manifest", "--format", "flat"))
            self.urls = {name: urllib.parse.urlsplit(url).path for name, url in flat.items()}

    def front(self, *settings):
        return Program([os.environ["FRONT"], f"127.0.0.1:{self.bucket_port}", *settings])

    def shield(self, endpoint, memory="256MiB", disk=None):
        site = '[[site]]\nhosts = ["*"]\nserve = "assets"\n'
        return Shield(self.place, endpoint, self.port, self.admin, memory, site, disk)

    def herd(self, name, count, warm=None, **words):
        path, warm = self.urls[name], warm or self.urls[WARM]
        return storms("herd", port=self.port, path=path, file=self.files / name, count=count, warm=warm, **words)

    def is_whole(self, name):
        status, fields, body = get(self.port, self.urls[name])
        return status == 200 and body == (self.files / name).read_bytes(), fields.get("Cache-Status")

    def is_stored(self, name):
        whole, told = self.is_whole(name)
        return whole and told.startswith("awning; hit")


def reads(front):
    """How often each object was read, by the path under which it is public."""
    _, _, counts = get(front.port, "/_/front")
    return {key.removeprefix("a"): count for key, count in json.loads(counts)["objects"].items()}


def cold(shop):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(VISITORS, files * 3 // 4 - 200)
    if count < VISITORS:
        print(f"note: this system lets a program open {files} files: {count} visitors in the place of {VISITORS}")
    with shop.front("--delay", str(SLOW_MS)) as front, shop.shield(front.port) as shield:
        shield.is_ready()
        shop.is_whole(WARM)
        herds(shop, shield, front, count)
        followers(shop)
        leaving(shop, front)
        keys(shop, shield, front, count)
        print(f"note: the shield took at most {shield.peak() // MIB} MiB")


def herds(shop, shield, front, count):
    name = "one-0.bin"
    before = shield.metric('awning_upstream_fetches_total{origin="bucket"}')
    herd = shop.herd(name, count)
    fetched = shield.metric('awning_upstream_fetches_total{origin="bucket"}') - before
    # Who is still leaving takes the place of who comes.
    until(lambda: shield.metric("awning_connections") < 10, 20)
    hits = shop.herd(name, count)
    print(f"note: cold: {told(herd)}; stored: {told(hits)}")
    check(f"{count} visitors of a cold object get it", herd["right"] == count, herd)
    check("one led, the others followed or came later", herd["led"] == 1 and herd["led"] + herd["followed"] + herd["hits"] == count, herd)
    check("the shield fetched once", fetched == 1, fetched)
    check("the bucket was read once", reads(front)[shop.urls[name]] == 1, reads(front)[shop.urls[name]])
    # So many bodies pass through two cores for seconds, whoever sends them: what counts is that a cold object costs no more than a stored one.
    bound = 2 * hits["behind_first_ms"]["max"] + 500
    last = herd["behind_first_ms"]["max"]
    check("the last first byte of a cold herd comes as soon as that of a herd of hits (twice, and 500 ms)", last <= bound, f"{last} ms of {bound}")


def told(herd):
    ms = {name: round(value) for name, value in herd["behind_first_ms"].items()}
    who = f"{herd['led']} led, {herd['followed']} followed, {herd['hits']} hits, {herd['broken']} broken off"
    return f"{who}, asked within {herd['asking_ms']:.0f} ms, first bytes {ms['p50']}, {ms['p99']} and {ms['max']} ms behind the first (p50, p99, last), all in {herd['seconds']:.1f} s"


def followers(shop):
    """A herd that is small enough for its first bytes to be written within the time."""
    behind = sorted(shop.herd(f"one-{n + 1}.bin", FEW)["behind_leader_ms"]["max"] for n in range(ROUNDS))
    print(f"note: the last of {FEW - 1} followers gets its first byte {behind[0]:.2f} to {behind[-1]:.2f} ms behind the leader, {behind[len(behind) // 2]:.2f} in the middle of {ROUNDS}")
    check(f"followers' first byte comes at most 5 ms behind the leader's (best of {ROUNDS})", behind[0] <= 5, behind)


def leaving(shop, front):
    name, count = f"one-{ROUNDS + 1}.bin", 200
    herd = shop.herd(name, count, leaves=1)
    others = herd["right"] == herd["followed"] == count - 1
    check("a leader that leaves changes nothing for the others", others and reads(front)[shop.urls[name]] == 1, herd)


def keys(shop, shield, front, count):
    until(lambda: shield.metric("awning_connections") < 10, 20)
    listed = shop.place / "keys"
    names = [f"key-{n}.bin" for n in range(KEYS)]
    listed.write_text("".join(f"{shop.urls[name]} {shop.files / name}\n" for name in names))
    before = shield.metric('awning_upstream_fetches_total{origin="bucket"}')
    found = storms("keys", port=shop.port, list=listed, clients=CLIENTS, connections=count, warm=shop.urls[WARM])
    fetched = shield.metric('awning_upstream_fetches_total{origin="bucket"}') - before
    print(f"note: {KEYS} keys, {found['at_once']} at a time, {CLIENTS} clients each: {found['followed']} followed, {found['hits']} hits, {found['seconds']:.1f} s")
    check(f"{KEYS} keys for {CLIENTS} clients each: all get them", found["right"] == KEYS * CLIENTS, found)
    check(f"{KEYS} keys for {CLIENTS} clients each: {KEYS} fetches", fetched == KEYS, fetched)
    once = [count for path, count in reads(front).items() if path in {shop.urls[name] for name in names}]
    check("the bucket was read once for each", once == [1] * KEYS, once[:9])


def failing(shop):
    seconds, paths = 6, [shop.urls[f"key-{n}.bin"] for n in range(3)]
    with shop.front("--fault", "GetObject key=a/**: internal") as front, shop.shield(front.port) as shield:
        shield.is_ready()
        found = storms("press", port=shop.port, paths=",".join(paths), clients=20, seconds=seconds, warm="/none")
        asked = sum(found["statuses"].values())
        counts = [reads(front).get(path, 0) for path in paths]
        print(f"note: {asked} requests for {len(paths)} keys of a bucket that fails, for {seconds} s: {counts} fetches")
        check("a bucket that fails: everybody is told", min(found["statuses"]) >= "500" and found["broken"] == 0, found)
        # Each fetch may be tried a second time at once, as a visitor waits for it.
        check("a bucket that fails is asked at most once, and once again, a second and key", 0 < max(counts) <= 2 * (seconds + 1), counts)


def killed(shop, stack, bucket, where, memory, disk):
    larges = iter([f"large-{n}.bin" for n in ([0, 1, 2] if disk is None else [3, 4, 5])])
    count = 20

    def herd(name, back_after):
        """Kills the bucket when the first visitor has the beginning of a body."""
        nonlocal bucket
        with shop_herd(shop, name, count, bucket) as visitors:
            bucket.process.wait(60)
            if back_after is not None:
                time.sleep(back_after)
                bucket = stack.enter_context(shop.bucket())
            return visitors.result()

    with shop.shield(shop.bucket_port, memory, disk) as shield:
        shield.is_ready()
        shop.is_whole(WARM)
        name, before = next(larges), shield.metric("awning_origin_resumed_total")
        found = herd(name, 1)
        if shield.metric("awning_origin_resumed_total") == before:
            # All of it was there already when the signal came.
            name = next(larges)
            found = herd(name, 1)
        resumed = shield.metric("awning_origin_resumed_total") - before
        check(f"{where}: the bucket is killed in the middle of a body, comes back, and is read on", resumed >= 1, resumed)
        check(f"{where}: {count} visitors get all of it, byte for byte", found["right"] == count, found)
        stored = until(lambda: shop.is_stored(name), 10)
        check(f"{where}: the whole is stored", stored, shop.is_whole(name)[1])

        name = next(larges)
        found = herd(name, None)
        print(f"note: {where}: told after {found['seconds']:.1f} s that the bucket does not come back")
        check(f"{where}: a bucket that does not come back is seen by every visitor", found["broken"] == count, found)
        again = get(shop.port, shop.urls[name])[0]
        check(f"{where}: no part of it is served", again >= 500, again)
    with shop.shield(shop.bucket_port, memory, disk) as shield:
        again = get(shop.port, shop.urls[name])[0]
        check(f"{where}: nor by the shield's next run", again >= 500, again)
        bucket = stack.enter_context(shop.bucket())
        check(f"{where}: all of it is, when the bucket is back", until(lambda: shop.is_whole(name)[0], 15), shop.is_whole(name)[1])
    return bucket


def shop_herd(shop, name, count, bucket):
    words = {"port": shop.port, "path": shop.urls[name], "file": shop.files / name, "count": count, "warm": shop.urls[WARM], "kill": bucket.process.pid}
    return Program([os.environ["STORMS"], "herd", *(f"{word}={value}" for word, value in words.items())], told=True)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    main(*sys.argv[1:])
