"""Prints an amount in other currencies."""

import click
from tabulate import tabulate

from rates.table import RATES, convert


@click.command()
@click.option("--base", default="USD", type=click.Choice(sorted(RATES)))
@click.argument("amount", type=float)
def main(base, amount):
    rows = [(currency, convert(amount, base, currency)) for currency in RATES if currency != base]
    click.echo(tabulate(rows, headers=["currency", "amount"], floatfmt=".2f"))
    if amount < 0:
        raise click.ClickException("amounts are positive")


if __name__ == "__main__":
    main()
