"""Opens COUNT connections to 127.0.0.1:PORT that stay silent or stop in the middle of a request head.

Usage: slow_clients.py PORT COUNT. While they are open, a normal client must be answered within 4 s each second; each of them must
be closed by the server within 10 s. Ends by itself within a minute.
"""
import asyncio
import sys
import time

# The server closes a silent connection after 5 s: who is answered earlier has not waited for that.
CLOSED_WITHIN, ANSWERED_WITHIN, PATIENCE = 10.0, 4.0, 25.0
HALF = b"GET / HTTP/1.1\r\nHost: etalage\r\nX-Half: "


async def slow(port, sends):
    """How long the server left the connection open, in seconds; None when longer than PATIENCE."""
    begun = time.monotonic()
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), PATIENCE)
        writer.write(sends)
        while await asyncio.wait_for(reader.read(4096), PATIENCE):     # a 408 may come before the end
            pass
        writer.close()
    except asyncio.TimeoutError:
        return None
    except OSError:                                                    # refused or reset: closed as well
        pass
    return time.monotonic() - begun


async def normal(port):
    """The status line of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: etalage\r\nConnection: close\r\n\r\n")
        return (await reader.read(12)).decode("latin-1")
    finally:
        writer.close()


async def main(port, count):
    slow_ones = [asyncio.create_task(slow(port, HALF if i % 2 else b"")) for i in range(count)]
    await asyncio.sleep(0.5)
    bad, asked = [], 0
    while asked < 10 and not all(task.done() for task in slow_ones):
        begun, asked = time.monotonic(), asked + 1
        try:
            answer = await asyncio.wait_for(normal(port), ANSWERED_WITHIN)
        except (OSError, asyncio.TimeoutError) as error:
            answer = type(error).__name__
        if answer != "HTTP/1.1 200":
            bad.append(f"request {asked}: {answer or 'closed'} after {time.monotonic() - begun:.1f} s")
        await asyncio.sleep(1)
    times = await asyncio.gather(*slow_ones)
    late = [i for i, t in enumerate(times) if t is None or t > CLOSED_WITHIN + 0.5]
    print(f"note: {count} slow connections were closed after {min(t or PATIENCE for t in times):.1f} "
          f"to {max(t or PATIENCE for t in times):.1f} s; {asked} requests of a normal client meanwhile")
    name = f"a normal client is answered within {ANSWERED_WITHIN:.0f} s beside {count} slow ones"
    print(f"fail: {name}: {'; '.join(bad[:3])}" if bad or not asked else f"pass: {name}")
    name = f"each slow connection is closed within {CLOSED_WITHIN:.0f} s"
    print(f"fail: {name}: {len(late)} were not" if late else f"pass: {name}")


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
