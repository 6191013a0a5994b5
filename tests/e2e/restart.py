"""Asks a shield at a steady rate on kept connections while it restarts itself; every request must be answered with 200.

Usage: restart.py PORT PROCESS LOG RATE RESTARTS
"""

import asyncio
import os
import re
import signal
import sys
import time

CONNECTIONS = 50
REQUEST = b"GET /a.txt HTTP/1.1\r\nHost: shop\r\n\r\n"
PATIENCE = 60

port, process, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rate, restarts = int(sys.argv[4]), int(sys.argv[5])
# Colours and the like between name and number are passed over.
TAKEN = re.compile(r"another process has taken over\D*?process\D*?=\D*?(\d+)\D*$", re.M)


class Counts:
    asked = answered = failed = closed = 0
    first = ""
    ended = False


def failure(text):
    Counts.failed += 1
    Counts.first = Counts.first or text


class Visitor(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self):
        self.buffer = b""
        self.waiting = False
        self.gone = False

    def connection_made(self, transport):
        self.transport = transport

    def ask(self):
        self.waiting = True
        Counts.asked += 1
        self.transport.write(REQUEST)

    def data_received(self, received):
        self.buffer += received
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        lower = head.lower()
        length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.buffer, self.waiting = body[length:], False
        if head.startswith(b"HTTP/1.1 200"):
            Counts.answered += 1
        else:
            failure(head.decode("latin-1").split("\r\n")[0])
        if b"connection: close" in lower:
            Counts.closed += 1
            self.gone = True
            self.transport.close()

    def connection_lost(self, error):
        if self.waiting:
            failure(f"a connection ended under a request: {error}")
            self.waiting = False
        self.gone = True


async def connect():
    _, visitor = await asyncio.get_running_loop().create_connection(Visitor, "127.0.0.1", port)
    return visitor


async def visit():
    """Asks CONNECTIONS times more seldom than all together should."""
    pause, visitor = CONNECTIONS / rate, await connect()
    due = time.monotonic()
    while not Counts.ended:
        due = max(due + pause, time.monotonic() - 1)
        await asyncio.sleep(max(0, due - time.monotonic()))
        if visitor.waiting:
            continue
        if visitor.gone:
            try:
                visitor = await connect()
            except OSError as error:
                failure(f"no connection: {error}")
                continue
        visitor.ask()
    deadline = time.monotonic() + PATIENCE
    while visitor.waiting and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    if visitor.waiting:
        failure("a request was never answered")


async def restart():
    """Asks for one after the other, each once the one before is done."""
    current = process
    for number in range(restarts):
        await asyncio.sleep(1)
        os.kill(current, signal.SIGUSR2)
        deadline = time.monotonic() + PATIENCE
        while True:
            with open(log, encoding="utf-8", errors="replace") as lines:
                taken = TAKEN.findall(lines.read())
            if len(taken) > number:
                current = int(taken[number])
                break
            if time.monotonic() > deadline:
                print(f"fail: restart {number + 1} never came about")
                return current
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    return current


async def main():
    started = time.monotonic()
    visitors = [asyncio.create_task(visit()) for _ in range(CONNECTIONS)]
    current = await restart()
    seconds = time.monotonic() - started
    Counts.ended = True
    await asyncio.gather(*visitors)
    os.kill(current, signal.SIGTERM)
    held = Counts.answered / seconds
    print(f"note: {Counts.answered} answers in {seconds:.1f} s ({held:.0f}/s asked at {rate}/s), "
          f"{restarts} restarts, {Counts.closed} connections told to close")
    name = f"no request failed over {restarts} restarts"
    if Counts.failed or Counts.asked != Counts.answered or not Counts.answered:
        print(f"fail: {name}: {Counts.failed} of {Counts.asked} failed, first: {Counts.first}")
    else:
        print(f"pass: {name}")
    low = rate * 4 // 5
    print(f"pass: the rate was held" if held >= low else f"skip: this machine holds {held:.0f}/s, not {rate}/s")


asyncio.run(main())
