#!/usr/bin/env python3
"""A TCP relay that holds back what passes, so that a host near by is as far away as one across a sea.

relay.py TO PORT MILLISECONDS    says on which port of 127.0.0.1 it listens; MILLISECONDS are those of a round trip
"""

from __future__ import annotations

import asyncio
import sys
import time

LIMIT = 256  # pieces under way; more than one round trip needs, and a bound to the memory


async def hold(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    """Pass on every piece so many seconds after it came; many can be under way, as on a long line."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(LIMIT)

    async def take() -> None:
        piece = b"-"
        while piece:
            try:
                piece = await source.read(65536)
            except ConnectionError:
                piece = b""
            await under_way.put((time.monotonic() + seconds, piece))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                sink.write_eof()
                break
            sink.write(piece)
            await sink.drain()
    except (ConnectionError, OSError):
        pass  # that side is gone, and the other one is told by the end of the stream
    finally:
        taking.cancel()


async def serve(target: str, port: int, milliseconds: float) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target, port)
        seconds = milliseconds / 2000
        await asyncio.sleep(2 * seconds)  # the handshake of TCP, which this relay has answered at once
        await asyncio.gather(hold(reader, far_writer, seconds), hold(far_reader, writer, seconds))
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
