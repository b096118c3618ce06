"""Serves a status page from threads, has readers fetch it, and prints what they saw. Exit code 3: a reader saw nonsense."""

import subprocess
import sys
import threading
import urllib.error
import urllib.request

import click

from page import StatusServer
from probes import PROBES


class Reader(threading.Thread):
    def __init__(self, address, names):
        super().__init__(name="reader")
        self.address = address
        self.names = names
        self.seen = {}

    def run(self):
        for name in self.names:
            try:
                with urllib.request.urlopen(f"{self.address}/{name}", timeout=100) as answer:
                    self.seen[name] = answer.read().decode()
            except urllib.error.HTTPError as error:
                self.seen[name] = error.code
                error.close()


def read(rounds):
    """Fetches all pages in several threads and returns what each reader saw."""
    with StatusServer() as address:
        readers = [Reader(address, [*PROBES, "", "nowhere"]) for _ in range(rounds)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    return [reader.seen for reader in readers]


def complaints(seen):
    if seen["nowhere"] != 404:
        yield "found a page that is not there"
    for name in PROBES:
        if name not in seen[""]:
            yield f"{name} is missing in the overview"
        elif not seen[name].startswith(f"{name}: "):
            yield f"{name} says {seen[name]!r}"


@click.command()
@click.option("--rounds", default=1)
@click.option("--interpreter", default=sys.executable)
def main(rounds, interpreter):
    wrong = [complaint for seen in read(rounds) for complaint in complaints(seen)]
    checked = subprocess.run([interpreter, "/app/probes.py", "sum"], capture_output=True, text=True)
    if checked.returncode:
        wrong.append(checked.stderr)
    for complaint in wrong:
        click.echo(complaint, err=True)
    click.echo(f"{rounds} readers, {len(wrong)} complaints, sum {checked.stdout.strip()}")
    sys.exit(3 if wrong else 0)


if __name__ == "__main__":
    main()
