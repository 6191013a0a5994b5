"""Programs that tests/e2e/herd.py and tests/e2e/memory.py start, and end when they leave; and what they ask them."""

import http.client
import json
import os
import pathlib
import resource
import subprocess
import time
import urllib.parse

STORMS_SECONDS = 120


def check(name, holds, found=""):
    print(f"{'pass' if holds else 'fail'}: {name}{'' if holds else f': {found}'}", flush=True)


def until(holds, patience):
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def get(port, path, host="cdn.example.nl"):
    """The status, fields and body of an answer; 0 for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except (OSError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        connection.close()


def words(command, values):
    return [os.environ["STORMS"], command, *(f"{name}={value}" for name, value in values.items())]


def storms(command, **values):
    """Runs a command of tests/e2e/storms to its end, and gives what it found."""
    done = subprocess.run(words(command, values), stdout=subprocess.PIPE, timeout=STORMS_SECONDS, check=True)
    return json.loads(done.stdout.splitlines()[-1])


class Program:
    """A program that runs while the value is entered. Where no port is given, its first line ends in one, unless it only `told` its end."""

    def __init__(self, command, port=None, told=False, environment=None):
        self.command, self.port, self.told = [str(word) for word in command], port, told
        self.environment = os.environ | (environment or {})
        self.process = None

    def __enter__(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        speaks = self.port is None
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdout=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)),
        )
        if self.port is not None:
            if not until(self.listens, 30):
                raise SystemExit(f"fail: {' '.join(self.command[:2])} does not listen: exit {self.process.poll()}")
        elif not self.told:
            self.said = self.process.stdout.readline().decode()
            self.port = self.spoken_port()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def listens(self):
        try:
            http.client.socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def spoken_port(self):
        return json.loads(self.said)["port"] if self.said.startswith("{") else urllib.parse.urlsplit(self.said.strip()).port

    def result(self):
        """What a program that ends by itself told last."""
        output, _ = self.process.communicate(timeout=STORMS_SECONDS)
        return json.loads(output.splitlines()[-1])

    def peak(self):
        """The most memory that it has had, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


class Shield(Program):
    """`awning serve`, before a bucket at `endpoint`."""

    def __init__(self, place, endpoint, port, admin, memory, sites, disk=None, before=()):
        config = place / "awning.toml"
        kept = f'disk = "{disk}"\ndisk_max = "512MiB"\n' if disk else ""
        config.write_text(
            f'[store]\nbucket = "shop"\nendpoint = "http://127.0.0.1:{endpoint}"\nregion = "us-east-1"\n'
            f'[publish]\npublic_url = "http://cdn.example.nl"\n'
            f'[shield]\nlisten = "127.0.0.1:{port}"\nadmin_listen = "127.0.0.1:{admin}"\nmemory = "{memory}"\n{kept}{sites}'
        )
        super().__init__([*before, os.environ["AWNING"], "serve"], port, environment={"AWNING_CONFIG": str(config)})
        self.admin = admin

    def is_ready(self):
        if not until(lambda: get(self.admin, "/readyz")[0] == 200, 30):
            raise SystemExit("fail: the shield does not become ready")

    def run(self, *arguments):
        """Another command of awning, with the shield's configuration."""
        command = [os.environ["AWNING"], *map(str, arguments)]
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120, check=True).stdout

    def metric(self, name):
        _, _, text = get(self.admin, "/metrics")
        lines = text.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
