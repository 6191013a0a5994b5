"""Asks for one object over many connections at once, and counts what that cost the bucket.

Usage: herd.py PORT METRICS_URL CALLS_URL FILE COUNT. Prints `pass:` and `fail:` lines.
"""
import asyncio
import json
import re
import sys
import time
import urllib.request


def text(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def gets(calls_url):
    return json.loads(text(calls_url))["operations"].get("GetObject", 0)


def fetches(metrics_url):
    return int(re.search(r'^awning_upstream_fetches_total\{origin="bucket"\} (\d+)', text(metrics_url), re.M).group(1))


def name_of_the_sheet(port):
    return re.search(r"href=(\S+\.css)", text(f"http://127.0.0.1:{port}/")).group(1)


async def visit(port, path, there, go):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # All but the end of the head is sent before anybody may finish, so that the requests become complete together.
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n".encode())
    await writer.drain()
    there.release()
    await go.wait()
    writer.write(b"\r\n")
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


async def herd(port, path, count):
    there, go = asyncio.Semaphore(0), asyncio.Event()
    visits = [asyncio.create_task(visit(port, path, there, go)) for _ in range(count)]
    for _ in visits:
        await there.acquire()
    go.set()
    return await asyncio.gather(*visits)


def check(name, held, found):
    print(f"pass: {name}" if held else f"fail: {name}: {found}", flush=True)


def main(port, metrics_url, calls_url, file, count):
    expected = open(file, "rb").read()
    path = name_of_the_sheet(port)
    begun, called, fetched = time.monotonic(), gets(calls_url), fetches(metrics_url)
    answers = asyncio.run(asyncio.wait_for(herd(int(port), path, int(count)), 90))
    called, fetched = gets(calls_url) - called, fetches(metrics_url) - fetched
    # The channel's head is read every 5 s, and that is a GetObject as well.
    heads = (time.monotonic() - begun) // 5 + 1
    wrong = sum(body != expected for _, body in answers)
    missed = sum("fwd=uri-miss" in head and "collapsed" not in head for head, _ in answers)
    check(f"{count} answers are 200", all(head.startswith("HTTP/1.1 200 ") for head, _ in answers), answers[0][0])
    check(f"{count} bodies are right", wrong == 0, f"{wrong} are not")
    check("one answer was fetched, the others joined it or were hits", missed == 1, missed)
    check("the shield fetched once", fetched == 1, fetched)
    check("the bucket was read once, besides the channel's head", 1 <= called <= 1 + heads, called)


if __name__ == "__main__":
    main(*sys.argv[1:])
