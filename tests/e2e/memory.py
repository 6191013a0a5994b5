"""Storms under a bound on memory. Usage: memory.py DIRECTORY PORT ADMIN_PORT. Prints `pass:` and `fail:` lines.

The shield runs in a control group that may hold what is configured as its memory and 160 MiB: going beyond gets it killed. Where no such
group can be made, the most that it ever held is compared with the bound instead. The origin makes up all it serves, so nothing takes disk.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

from shields import Program, Shield, check, get, storms, words

MIB = 1 << 20
MARGIN = 160 * MIB
OBJECTS, OBJECT_BYTES = 1000, 64 * MIB
# Storm and origin give way to the shield: it is what is measured, not how one processor is shared by all three.
BEHIND = ["nice", "-n", "19"]
# Three times an idle shield's time is what is aimed at, and what is told. Storm, origin and shield share one machine with whoever else is on
# it, so a hit fails the test only beyond this as well.
BUSY_MS = 75

# What comes in each storm, and for how many seconds.
STORMS = [
    (f"{OBJECTS} objects of {OBJECT_BYTES // MIB} MiB", 30, "objects", {"bytes": OBJECT_BYTES, "count": OBJECTS, "connections": 16}),
    ("URLs of pages that are stored", 30, "urls", {"host": "www.example.nl", "path": "/u/", "connections": 16, "batch": 16}),
    ("URLs of assets that are not there", 25, "urls", {"host": "cdn.example.nl", "path": "/none/", "connections": 16, "batch": 64}),
    ("variants of 16 pages", 15, "urls", {"host": "www.example.nl", "path": "/vary/", "connections": 16, "batch": 4, "vary": 1}),
    ("1,000 half heads of 31 KiB", 12, "heads", {"connections": 1000, "bytes": 31 * 1024}),
]


def main(directory, port, admin):
    place, port, admin = pathlib.Path(directory), int(port), int(admin)
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Program([*BEHIND, *words("origin", {"bytes": OBJECT_BYTES, "seconds": 300})]))
        groups = Groups(stack)
        sites = SITES.replace("UPSTREAM", f"http://127.0.0.1:{origin.port}")

        def shield(memory, disk=None):
            bound = memory * MIB + MARGIN
            group = groups.of(bound)
            return Bounded(bound, group, Shield(place, origin.port, port, admin, f"{memory}MiB", sites, disk, group.enters if group else ()))

        # A server with next to nothing to do: how long its answers take tells what the machine adds to those of a busy one.
        control = stack.enter_context(Program(words("origin", {"bytes": 1024, "seconds": 300})))
        with shield(64) as small:
            everything(small, port, f"/pulse.{json.loads(origin.said)['small']}.bin", control)
        for what, memory, disk in [("written to disk as they arrive", 64, place / "disk"), ("held in memory", 288, None)]:
            with shield(memory, disk) as other:
                _, _, command, values = STORMS[0]
                found = storms(command, port=port, seconds=12, **values)
                print(f"note: objects that are {what}: {told(found)}")
                check(f"objects that are {what}: they are right", found["right"] > 0 and found["wrong"] == 0, found)
                other.judge(f"objects that are {what}")


class Groups:
    """Control groups that bound the memory of what enters them."""

    def __init__(self, stack):
        self.stack, self.made = stack, 0

    def of(self, bound):
        """A group with this bound, of either version; `None` where none can be made."""
        for parent, limit in self.parents():
            self.made += 1
            group = parent / f"awning-{os.getpid()}-{self.made}"
            try:
                group.mkdir()
            except OSError:
                continue
            self.stack.callback(remove, group)
            try:
                (group / limit).write_text(str(bound))
                return Group(group)
            except OSError:
                continue
        print("note: no control group can be made here: only the peak of the process is looked at")
        return None

    @staticmethod
    def parents():
        """The groups of memory that this program may be in, and what their bound is called."""
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own, limit, roots = path.lstrip("/"), "memory.limit_in_bytes", ["/sys/fs/cgroup/memory"]
            if controllers == "":
                limit, roots = "memory.max", ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            elif "memory" not in controllers.split(","):
                continue
            # In a container the path may be the one outside of it.
            places = [place for root in roots for place in (pathlib.Path(root) / own, pathlib.Path(root))]
            found = [place for place in places if (place / "cgroup.procs").exists()]
            if found:
                yield found[0], limit


def remove(group):
    try:
        group.rmdir()
    except OSError as error:
        print(f"note: a control group is left behind: {error}")


class Group:
    """A control group."""

    def __init__(self, path):
        self.path = path
        self.enters = ["bash", "-c", f'echo $$ >"{path}/cgroup.procs" && exec "$@"', "_"]

    def read(self, *names):
        for name in names:
            with contextlib.suppress(OSError):
                return (self.path / name).read_text()
        return ""

    def peak(self):
        return int(self.read("memory.max_usage_in_bytes", "memory.peak") or 0)

    def kills(self):
        """How often something in it was killed for want of memory."""
        lines = self.read("memory.oom_control", "memory.events").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


class Bounded:
    """A shield with a bound on its memory."""

    def __init__(self, bound, group, shield):
        self.bound, self.group, self.shield = bound, group, shield

    def __enter__(self):
        self.shield.__enter__()
        return self

    def __exit__(self, *ended):
        self.shield.__exit__(*ended)

    def judge(self, what):
        alive = self.shield.process.poll() is None
        peak = self.shield.peak() if alive else 0
        held = f", the group {self.group.peak() // MIB}" if self.group else ""
        print(f"note: {what}: the shield took at most {peak // MIB} MiB{held} of {self.bound // MIB}")
        killed = self.group.kills() if self.group else 0
        check(f"{what}: the shield is not killed", alive and killed == 0, f"killed {killed} times")
        check(f"{what}: it stays under its memory and {MARGIN // MIB} MiB", 0 < peak <= self.bound, f"{peak // MIB} MiB")


SITES = """
[[site]]
hosts = ["cdn.example.nl"]
serve = "assets"

[[site]]
hosts = ["www.example.nl"]
serve = "storefront"
upstream = "UPSTREAM"
cache_pages = true
"""


def everything(shield, port, hit, control):
    pulse = lambda seconds: storms("pulse", port=port, path=hit, seconds=seconds)
    get(port, hit)
    idle = pulse(5)
    print(f"note: hits alone: {idle['p50']:.2f} ms, 99 % within {idle['p99']:.2f} ms")
    check("what is asked for again and again is a hit", idle["hits"] > 0 == idle["others"], idle)
    for what, seconds, command, values in STORMS:
        storm = subprocess.Popen([*BEHIND, *words(command, {"port": port, "seconds": seconds, **values})], stdout=subprocess.PIPE)
        beside = subprocess.Popen(words("pulse", {"port": control.port, "path": "/", "seconds": seconds - 1, "any": 1}), stdout=subprocess.PIPE)
        try:
            during = pulse(seconds - 1)
            beside_p99 = json.loads(beside.communicate(timeout=60)[0])["p99"]
            found = json.loads(storm.communicate(timeout=60)[0].splitlines()[-1])
        finally:
            storm.kill()
            beside.kill()
        bound = max(3 * idle["p99"], BUSY_MS)
        print(f"note: {what}, {seconds} s: {told(found)}; hits {during['p50']:.2f} ms, 99 % within {during['p99']:.2f} ms ({during['p99'] / idle['p99']:.1f} times of alone; an idle server beside it {beside_p99:.2f} ms), {during['others']} of {during['hits'] + during['others']} no hits")
        check(f"{what}: 99 % of hits within 3 times of idle, or {BUSY_MS} ms where the machine is busy", during["hits"] > 0 and during["p99"] <= bound, f"{during} of {bound} ms")
        check(f"{what}: no hit fails", during["failed"] == 0, during)
        shield.judge(what)


def told(found):
    if "statuses" not in found:
        return ", ".join(f"{count} {end}" for end, count in found.items())
    statuses = ", ".join(f"{count} × {status}" for status, count in found["statuses"].items())
    return f"{statuses}; {found['hits']} hits, {found['wrong']} wrong, {found['broken']} broken" + (f", {found['left']} left early" if "left" in found else "")


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    main(*sys.argv[1:])
