"""The collector: a TCP server that keeps what sensors send."""

import asyncio
from collections import defaultdict

from telemetry import wire


class Collector:
    def __init__(self):
        self.samples = defaultdict(dict)
        self.errors = 0
        self.repeats = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def talk(self, reader, writer):
        try:
            async for line in reader:
                writer.write(self.take(line))
                await writer.drain()
        finally:
            writer.close()

    def take(self, line):
        try:
            sample = wire.decode(line)
        except wire.Malformed as error:
            self.errors += 1
            return f"error {error}\n".encode()
        known = self.samples[sample.sensor]
        if sample.sequence in known:
            self.repeats += 1
        else:
            known[sample.sequence] = sample.value
        return b"ok\n"
