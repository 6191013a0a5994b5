"""Opens COUNT connections to 127.0.0.1:PORT that ask for /large.bin and read a byte a second.

Usage: slow_readers.py PORT COUNT. The server must close each of them within half a minute, answer a normal client meanwhile, and not
close one that reads 16 KiB a second. Ends by itself within a minute.
"""
import asyncio
import socket
import sys
import time

# What the kernels hold is taken at once; 15 s later the server may know that nobody reads.
CLOSED_WITHIN, ANSWERED_WITHIN, PATIENCE = 30.0, 4.0, 40.0
ESTABLISHED = 1


def connect(port, path):
    """A connection whose kernel takes little, with the request sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    client.setblocking(False)
    return client


def is_over(client):
    """Whether the server ended the connection. Its last bytes may still be there to be read."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED


async def drip(port):
    """How long the server left a connection open that reads a byte a second; None when longer than PATIENCE."""
    loop, client, begun = asyncio.get_running_loop(), connect(port, "/large.bin"), time.monotonic()
    try:
        while time.monotonic() - begun < PATIENCE:
            if is_over(client) or not await loop.sock_recv(client, 1):
                return time.monotonic() - begun
            await asyncio.sleep(1)
        return None
    except OSError:                                                    # reset
        return time.monotonic() - begun
    finally:
        client.close()


async def reads(port, seconds):
    """How many bytes a connection got that read 16 KiB a second, and whether it was closed."""
    loop, client, begun, got = asyncio.get_running_loop(), connect(port, "/large.bin"), time.monotonic(), 0
    try:
        while time.monotonic() - begun < seconds:
            for _ in range(8):
                piece = await loop.sock_recv(client, 2048)
                if not piece:
                    return got, True
                got += len(piece)
            await asyncio.sleep(1)
        return got, False
    except OSError:
        return got, True
    finally:
        client.close()


async def normal(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /a.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return (await reader.read(12)).decode("latin-1")
    finally:
        writer.close()


async def main(port, count):
    drips = [asyncio.create_task(drip(port)) for _ in range(count)]
    slow = asyncio.create_task(reads(port, 30))
    bad, asked = [], 0
    while not all(task.done() for task in drips):
        begun, asked = time.monotonic(), asked + 1
        try:
            answer = await asyncio.wait_for(normal(port), ANSWERED_WITHIN)
        except (OSError, asyncio.TimeoutError) as error:
            answer = type(error).__name__
        if answer != "HTTP/1.1 200":
            bad.append(f"request {asked}: {answer or 'closed'} after {time.monotonic() - begun:.1f} s")
        await asyncio.sleep(1)
    times = await asyncio.gather(*drips)
    late = [t for t in times if t is None or t > CLOSED_WITHIN]
    print(f"note: {count} connections that read a byte a second were closed after {min(t or PATIENCE for t in times):.1f} "
          f"to {max(t or PATIENCE for t in times):.1f} s; {asked} requests of a normal client meanwhile")
    name = f"a normal client is answered within {ANSWERED_WITHIN:.0f} s beside {count} that read a byte a second"
    print(f"fail: {name}: {'; '.join(bad[:3])}" if bad or not asked else f"pass: {name}")
    name = f"each of them is closed within {CLOSED_WITHIN:.0f} s"
    print(f"fail: {name}: {len(late)} were not" if late else f"pass: {name}")
    got, closed = await slow
    name = "a client that reads 16 KiB a second is not closed"
    print(f"fail: {name}: after {got} bytes" if closed else f"pass: {name}: it got {got} bytes in 30 s")


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
