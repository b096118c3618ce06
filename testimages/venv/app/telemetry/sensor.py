"""A sensor: sends samples of a made-up but repeatable curve, some of them twice, some of them broken."""

import asyncio
import math

from telemetry.wire import Sample


def curve(name, count):
    """Yields count samples; names differ in phase."""
    phase = sum(map(ord, name))
    for sequence in range(count):
        yield Sample(name, sequence, 20 + 5 * math.sin(phase + sequence / 7))


async def report(name, count, port):
    """Sends count samples and returns how many answers were not ok."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    refused = 0
    for sample in curve(name, count):
        lines = [sample.encode()]
        if sample.sequence % 10 == 3:
            lines.append(lines[0])
        if sample.sequence % 20 == 5:
            lines += [b"\n", b"only two\n", b"a b c\n"]
        for line in lines:
            writer.write(line)
            answer = await reader.readline()
            if answer != b"ok\n":
                refused += 1
    writer.close()
    await writer.wait_closed()
    return refused
