"""Asks for several ranges of a file, and reads the answers with the parser of the standard library."""

import email
import http.client
import pathlib
import sys
import urllib.request

port, admin, path = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
content = path.read_bytes()
size = len(content)


def ask(ranges, **fields):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/{path.name}", headers={"Range": ranges, **fields})
    response = connection.getresponse()
    return response, response.read()


def parts(response, body):
    kind = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(kind + body)
    return [(part["Content-Range"], part.get_payload(decode=True)) for part in message.get_payload()]


def check(name, holds):
    print(f"{'pass' if holds else 'fail'}: {name}")


for name, ranges, spans in [
    ("two ranges", "bytes=0-99,200000-200099", [(0, 99), (200_000, 200_099)]),
    ("the end before the beginning", "bytes=-5,0-0", [(size - 5, size - 1), (0, 0)]),
    ("ranges that touch", "bytes=0-9,10-19,299990-", [(0, 19), (299_990, size - 1)]),
]:
    response, body = ask(ranges)
    expected = [(f"bytes {a}-{b}/{size}", content[a : b + 1]) for a, b in spans]
    check(f"{name}: status {response.status}", response.status == 206)
    check(f"{name}: the parts are the file's bytes", parts(response, body) == expected)
    check(f"{name}: a retry is the same", ask(ranges)[1] == body)
    tag = response.headers["ETag"]

for name, ranges, status in [
    ("1,300 overlapping ranges", "bytes=" + ",".join(f"0-{n}" for n in range(1300)), 200),
    ("1,000 ranges of one byte", "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(1000)), 200),
    ("the whole, 1,000 times", "bytes=" + "0-," * 1000, 200),
    ("no bytes at the end", "bytes=-0", 416),
    ("no ranges", "bytes=", 200),
    ("a malformed range", "bytes=0--1", 200),
]:
    response, body = ask(ranges)
    check(f"{name}: status {response.status}, {len(body)} bytes", response.status == status)
    check(f"{name}: the whole or nothing", status == 416 or body == content)

response, body = ask("bytes=0-0,5-5", **{"If-Range": tag})
check("the parts of what the client holds", response.status == 206)
response, body = ask("bytes=0-0,5-5", **{"If-Range": f"W/{tag}"})
check("the whole for a weak tag", response.status == 200 and body == content)

with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=30) as metrics:
    text = metrics.read().decode()
told = 'awning_upstream_bytes_total{origin="bucket"} '
fetched = next(int(line.removeprefix(told)) for line in text.splitlines() if line.startswith(told))
check(f"{fetched} bytes were fetched for all of it", fetched == size)
