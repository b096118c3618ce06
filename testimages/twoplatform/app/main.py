"""Packs blocks of numbers in threads, has a second process unpack them, and says on which machine. Exit code 3: bytes differ."""

import platform
import queue
import subprocess
import sys
import threading

import click
import msgpack

import blocks


def describe(machine):
    if machine in ("x86_64", "amd64"):
        words = "an amd64 machine"
    elif machine in ("aarch64", "arm64"):
        words = "an arm64 machine"
    else:
        words = f"some machine called {machine}"
    return words


def pack(count, workers=2):
    """Packs blocks in worker threads; results by number of block."""
    todo, done = queue.Queue(), {}

    def work():
        while True:
            number = todo.get()
            if number is None:
                break
            done[number] = msgpack.packb(blocks.make(number))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for number in [*range(count), *[None] * workers]:
        todo.put(number)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done[number] for number in range(count)]


@click.command()
@click.option("--blocks", "count", default=2)
def main(count):
    packed = pack(count)
    second = subprocess.run([sys.executable, "blocks.py"], input=b"".join(packed), capture_output=True)
    if second.returncode:
        click.echo(second.stderr, err=True)
        sys.exit(3)
    click.echo(f"{second.stdout.decode().strip()} on {describe(platform.machine())}")


if __name__ == "__main__":
    main()
