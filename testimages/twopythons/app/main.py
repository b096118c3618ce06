"""The new part: has the legacy part convert old records, checks them with threads, prints a table.

As a program of the legacy part ("main.py round CENTS") it rounds one amount. Exit code 3: a conversion failed.
"""

import json
import subprocess
import sys
import threading

import click
from tabulate import tabulate

import common

RECORDS = "- {name: bolt, price: 12.5}\n- {name: nut, price: '3,20'}\n- {name: gear}\n"


@click.group(invoke_without_command=True)
@click.option("--legacy", default="/usr/bin/python3", show_default=True)
@click.pass_context
def main(context, legacy):
    if context.invoked_subcommand:
        return
    done = subprocess.run(
        [legacy, "legacy/convert.py"], input=RECORDS, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        click.echo(done.stderr, err=True)
        sys.exit(3)
    converted = json.loads(done.stdout)
    check(converted["records"])
    rows = [[record["name"], common.money(record["cents"]), record["checked"]] for record in converted["records"]]
    click.echo(tabulate(rows, headers=["part", "price", "checked"]))
    click.echo(f"{common.running_on()} asked {converted['by']}")


@main.command("round")
@click.argument("cents", type=float)
def round_command(cents):
    click.echo(common.swedish(round(cents)))


def check(records):
    """Marks records in threads, one each."""

    def mark(record):
        if record["cents"] is None:
            record["checked"] = "no price"
        elif record["cents"] % 5:
            record["checked"] = "odd"
        else:
            record["checked"] = "ok"

    threads = [threading.Thread(target=mark, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
