"""The parts of tests/e2e/disk that look at bytes: each prints `pass: …` or `fail: …`."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

SMALL, SMALL_BYTES = 300, 16 * 1024
LARGE, LARGE_BYTES = 4, 6 * 1024 * 1024
PORT, ADMIN = int(os.environ.get("PORT", 0)), int(os.environ.get("ADMIN", 0))


def check(name, holds, found=""):
    print(f"{'pass' if holds else 'fail'}: {name}{'' if holds else f': {found}'}", flush=True)


def content(name, size):
    return random.Random(name).randbytes(size)


def site(place):
    """Files that only their names decide."""
    root = pathlib.Path(place)
    root.mkdir()
    for name, size in [(f"{n}.bin", SMALL_BYTES) for n in range(SMALL)] + [(f"large-{n}.bin", LARGE_BYTES) for n in range(LARGE)]:
        (root / name).write_bytes(content(name, size))
    (root / "index.html").write_text("<p>disk</p>")


class Shop:
    """What was published, by URL path."""

    def __init__(self):
        flat = json.loads(pathlib.Path(os.environ["FLAT"]).read_text())
        root = pathlib.Path(os.environ["SITE_DIR"])
        self.bodies = {urllib.parse.urlsplit(url).path: (root / name).read_bytes() for name, url in flat.items() if name.endswith(".bin")}
        self.small = [path for path, body in self.bodies.items() if len(body) == SMALL_BYTES]


class Shield:
    """`awning serve` with a disk tier."""

    def __init__(self, disk, port=PORT, admin=ADMIN, disk_max="1GiB"):
        self.port, self.admin = port, admin
        environment = os.environ | {
            "AWNING_SHIELD_DISK": str(disk),
            "AWNING_SHIELD_DISK_MAX": disk_max,
            "AWNING_SHIELD_LISTEN": f"127.0.0.1:{port}",
            "AWNING_SHIELD_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        }
        self.began = time.monotonic()
        self.log = open(f"{os.environ.get('TMPDIR', '/tmp')}/shield-{port}.log", "ab")
        self.process = subprocess.Popen([os.environ["AWNING"], "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=self.log)

    def listening(self, patience=60):
        """Seconds until somebody listens."""
        while time.monotonic() - self.began < patience and self.process.poll() is None:
            try:
                http.client.socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return time.monotonic() - self.began
            except OSError:
                time.sleep(0.002)
        raise SystemExit(f"fail: the shield does not start: exit {self.process.poll()}")

    def first_hit(self, path, patience=60):
        self.listening()
        while time.monotonic() - self.began < patience:
            status, headers, _ = self.get(path)
            if status == 200:
                return time.monotonic() - self.began, headers
            time.sleep(0.01)
        raise SystemExit("fail: the shield never answers")

    def get(self, path, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Host": "cdn.example.nl"})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def metric(self, name):
        _, _, text = self.get("/metrics", self.admin)
        values = [line.split()[-1] for line in text.decode().splitlines() if line.startswith(name + " ") or line.startswith(name + "{")]
        return sum(float(value) for value in values)

    def dropped(self):
        """What of the disk tier is not in order."""
        _, _, text = self.get("/metrics", self.admin)
        return [line for line in text.decode().splitlines() if line.startswith(("awning_disk_", "awning_cache_"))]

    def disk(self, name):
        return self.metric(f'awning_cache_{name}{{tier="disk"}}')

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.terminate()
        self.process.wait(60)

    def rss(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def until(holds, patience):
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def entries(disk):
    return [path for path in (pathlib.Path(disk) / "v1").glob("??/*") if path.is_file()]


def fetch_all(shield, paths, bodies):
    """How many answers were other bytes, and how many were none."""

    def one(path):
        try:
            status, _, body = shield.get(path)
        except http.client.IncompleteRead:
            # A body that was found damaged breaks off; it is another one then.
            status, _, body = shield.get(path)
        return (status == 200 and body != bodies[path], status != 200)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, paths))
    return sum(wrong for wrong, _ in answers), sum(none for _, none in answers)


def kills(disk, count):
    """Killed at random moments while many objects are written."""
    shop, rng = Shop(), random.Random(7)
    wrong, served, hits, slowest, bad = [], 0, 0, [], 0.0
    for run in range(int(count)):
        shield = Shield(disk)
        seconds, headers = shield.first_hit(rng.choice(shop.small))
        slowest.append(seconds)
        ended = threading.Event()

        def load(seed):
            nonlocal served, hits
            paths = random.Random(seed).choices(list(shop.bodies), k=1000)
            for path in paths:
                if ended.is_set():
                    return
                try:
                    status, headers, body = shield.get(path)
                except (OSError, http.client.HTTPException):
                    continue
                if status != 200:
                    continue
                served += 1
                hits += "hit" in headers["Cache-Status"]
                if body != shop.bodies[path]:
                    wrong.append((run, path))

        threads = [threading.Thread(target=load, args=(rng.random(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.02, 0.2))
        bad += shield.metric("awning_disk_bad_entries_total")
        shield.kill()
        ended.set()
        for thread in threads:
            thread.join()
        # So that there is always something to write.
        for path in entries(disk):
            if rng.random() < 0.3:
                path.unlink()
    slowest.sort()
    at = slowest[len(slowest) * 99 // 100]
    print(f"note: {count} kills, {served} answers, {hits} hits, first answer at most {slowest[-1]:.3f} s, 99 % within {at:.3f} s", flush=True)
    check(f"no wrong byte in {count} kills", not wrong, wrong[:3])
    check("no entry is damaged by a kill", bad == 0, bad)
    check("the first answer comes within 1 s (99 %)", at <= 1, at)
    check("the tier was used and written", hits > 0 and entries(disk), hits)


def damage(disk):
    """Every kind of damage at once, each on some entries."""
    shop = Shop()
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    fetch_all(shield, shop.bodies, shop.bodies)
    until(lambda: shield.disk("responses") == len(shop.bodies), 30)
    shield.end()
    files = sorted(entries(disk))
    check("every object is on disk", len(files) == len(shop.bodies), len(files))

    def flip(path):
        body = bytearray(path.read_bytes())
        body[secrets.randbelow(len(body))] ^= 1 << secrets.randbelow(8)
        path.write_bytes(body)

    def replace(make):
        def kind(path):
            path.unlink()
            make(path)

        return kind

    kinds = [
        flip,
        lambda path: os.truncate(path, secrets.randbelow(path.stat().st_size)),
        lambda path: path.open("ab").write(b"\0") and None,
        replace(lambda path: path.symlink_to("/etc/passwd")),
        replace(lambda path: path.mkdir()),
        replace(lambda path: os.mkfifo(path)),
        lambda path: path.write_bytes(path.parent.joinpath("held").read_bytes()) and None,
    ]
    damaged = 0
    for number, path in enumerate(files):
        other = files[(number + 1) % len(files)]
        kind = kinds[number % len(kinds)]
        if number % len(kinds) == len(kinds) - 1:
            shutil.copy(other, path) if other.is_file() and not other.is_symlink() else flip(path)
        else:
            kind(path)
        damaged += 1
    shield = Shield(disk)
    shield.listening()
    until(lambda: shield.get("/" + "0.bin")[0] == 200, 30)
    wrong, none = fetch_all(shield, shop.bodies, shop.bodies)
    found = shield.metric("awning_disk_bad_entries_total")
    check("no damaged entry is served", (wrong, none) == (0, 0), (wrong, none))
    # A flip of a byte of a large body is found when that byte is reached.
    check(f"each of {damaged} damaged entries is counted", found == damaged, found)
    shield.end()


def takeover(disk, port, admin):
    """A second shield on the same directory."""
    shop = Shop()
    first = Shield(disk)
    first.first_hit(shop.small[0])
    fetch_all(first, shop.small, shop.bodies)
    second = Shield(disk, int(port), int(admin))
    second.first_hit(shop.small[0])
    wrong, none = fetch_all(second, shop.small, shop.bodies)
    check("a second shield serves without the tier", (wrong, none) == (0, 0) and second.disk("responses") == 0, (wrong, none))
    first.end()
    check("it takes the tier when the first has ended", until(lambda: second.disk("responses") >= len(shop.small), 60), second.disk("responses"))
    second.end()


def million(disk, count):
    """A start with very many entries: names that lead to a few files."""
    count = int(count)
    shop = Shop()
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    empty = shield.rss()
    shield.end()
    root = pathlib.Path(disk) / "v1"
    source, made = None, 0
    for shard in range(256):
        (root / f"{shard:02x}").mkdir(exist_ok=True)
    while made < count:
        if made % 50_000 == 0:
            source = root / f"{made % 256:02x}" / secrets.token_hex(32)
            source.write_bytes(bytes(300))
            made += 1
        shard = f"{made % 256:02x}"
        os.link(source, f"{root}/{shard}/{shard}{secrets.token_hex(31)}")
        made += 1
    starts = []
    for _ in range(5):
        shield = Shield(disk, disk_max="100GiB")
        starts.append(shield.listening())
        shield.end()
    print(f"note: listening after {', '.join(f'{seconds * 1000:.0f} ms' for seconds in starts)} with {made} entries", flush=True)
    check("it listens within 250 ms (best of 5)", min(starts) <= 0.25, min(starts))
    shield = Shield(disk, disk_max="100GiB")
    shield.first_hit(shop.small[1])
    check("an object is found before all are counted", shield.disk("responses") < made, "all were counted")
    counted = until(lambda: shield.disk("responses") >= made, 240)
    check("all are counted behind the start", counted, shield.disk("responses"))
    grown = (shield.rss() - empty) / made
    print(f"note: {grown:.1f} bytes of memory an entry", flush=True)
    check("an entry takes at most 64 bytes of memory", grown <= 64, grown)
    shield.end()
    shutil.rmtree(disk)


def full(disk):
    """A file system of 16 MiB with more to keep than that."""
    shop = Shop()
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    for _ in range(3):
        wrong, none = fetch_all(shield, list(shop.bodies) * 2, shop.bodies)
        check("a disk that is too small for all serves", (wrong, none) == (0, 0), (wrong, none))
    check("something is kept on it", shield.disk("responses") > 0)
    blocker = fill_up(disk)
    wrong, none = fetch_all(shield, shop.bodies, shop.bodies)
    check("a full disk does not stop it", (wrong, none) == (0, 0), (wrong, none))
    blocker.unlink()
    for path in entries(disk):
        path.unlink()

    def writes():
        # Memory holds the small ones.
        fetch_all(shield, set(shop.bodies) - set(shop.small), shop.bodies)
        return len(entries(disk)) > 0

    check("it recovers when space returns", until(writes, 90), "nothing is written")
    check("no entry is damaged by a full disk", shield.metric("awning_disk_bad_entries_total") == 0)
    shield.end()


def fill_up(disk):
    """Takes all the room on a file system, in a file that is returned."""
    blocker = pathlib.Path(disk) / "blocker"
    with blocker.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    return blocker


def full_start(disk):
    """The shield is started on a file system without any room left, in a directory that is new."""
    shop = Shop()
    pathlib.Path(disk).mkdir()
    blocker = fill_up(pathlib.Path(disk).parent)
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    wrong, none = fetch_all(shield, shop.bodies, shop.bodies)
    check("the shield starts on a full disk, and serves", (wrong, none) == (0, 0), (wrong, none))
    blocker.unlink()

    def writes():
        fetch_all(shield, set(shop.bodies) - set(shop.small), shop.bodies)
        return len(entries(disk)) > 0

    check("it writes there once there is room", until(writes, 90), "nothing is written")
    fetch_all(shield, shop.small, shop.bodies)
    shield.end()


def read_only(disk):
    """The shield is started on a file system that is only read, after it was written to."""
    shop = Shop()
    kept = len(entries(disk))
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    hits = lambda: sum("hit" in shield.get(path)[1].get("Cache-Status", "") for path in set(shop.bodies) - set(shop.small))
    found = hits()
    check("a disk that is only read gives what is on it", 0 < found, f"{found} hits of {kept} entries")
    wrong, none = fetch_all(shield, shop.bodies, shop.bodies)
    check("and what is not there is fetched", (wrong, none) == (0, 0), (wrong, none))
    check("no entry was removed or added", len(entries(disk)) == kept, len(entries(disk)))
    shield.end()


def filled(disk):
    shop = Shop()
    shield = Shield(disk)
    shield.first_hit(shop.small[0])
    fetch_all(shield, shop.bodies, shop.bodies)
    check("all of it is written to disk", until(lambda: shield.disk("responses") >= len(shop.bodies), 30), shield.dropped())
    shield.end()


def dead(disk):
    """The bucket does not answer any more, and the shield is started."""
    shop = Shop()
    shield = Shield(disk)
    seconds, headers = shield.first_hit(shop.small[0])
    print(f"note: the first hit after {seconds:.3f} s", flush=True)
    check("the shield starts without its bucket", "hit" in headers["Cache-Status"], headers["Cache-Status"])
    wrong, none = fetch_all(shield, shop.bodies, shop.bodies)
    check("every stored asset is served without the bucket", (wrong, none) == (0, 0), (wrong, none))
    status, _, _ = shield.get("/0.bin")
    check("logical names too, by the last good manifest", status == 200, status)
    check("readyz says that it is ready", shield.get("/readyz", shield.admin)[0] == 200)
    shield.end()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
