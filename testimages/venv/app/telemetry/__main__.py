"""Runs a collector and its sensors in one event loop, then prints a report. Exit code 3: samples were lost."""

import asyncio
import json
import sys

import click
from jinja2 import Environment

from telemetry import sensor
from telemetry.collector import Collector

REPORT = Environment(trim_blocks=True).from_string(
    """{% for name, figures in rows %}
{{ "%-9s" | format(name) }} {{ figures.count }} samples{% if figures.count %}, mean {{ figures.mean }}{% endif %}

{% endfor %}
{{ errors }} errors, {{ repeats }} repeats
"""
)


async def analyse(values):
    """Statistics by a program of their own, several at a time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "telemetry.statistics", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.dumps(values).encode())
    if process.returncode:
        raise RuntimeError(f"statistics ended with {process.returncode}")
    return json.loads(out)


async def run(names, count):
    async with Collector() as collector:
        refused = await asyncio.gather(*(sensor.report(name, count, collector.port) for name in names))
    figures = await asyncio.gather(*(analyse(list(collector.samples[name].values())) for name in names))
    words = await asyncio.to_thread(
        REPORT.render, rows=zip(names, figures), errors=collector.errors, repeats=collector.repeats
    )
    return words, sum(refused) == collector.errors and all(row["count"] == count for row in figures)


@click.command()
@click.option("--sensors", default=2)
@click.option("--samples", default=10)
@click.option("--prefix", default="sensor")
def main(sensors, samples, prefix):
    names = [f"{prefix}-{number}" for number in range(sensors)]
    words, complete = asyncio.run(run(names, samples))
    click.echo(words)
    if not complete:
        click.echo("samples were lost", err=True)
        sys.exit(3)


if __name__ == "__main__":
    main()
