"""Checks a file of orders with a pool of processes, sums them up in others, and prints a report.

Exit codes: 0 every order was good, 4 some were rejected, 5 the processes disagree.
"""

import csv
import json
import multiprocessing
import sys

import click
import yaml

import check
import summary

REJECTED = 4
DISAGREE = 5


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_all(orders, rules, processes):
    """Forked workers, replaced after a few chunks each; leaves the pool by the polite way out."""
    pool = multiprocessing.get_context("fork").Pool(processes, check.prepare, (rules,), maxtasksperchild=3)
    try:
        return pool.map(check.judge, orders, chunksize=10)
    finally:
        pool.close()
        pool.join()


def sum_up(good):
    """One forked Process a currency, each with an end of a queue; one spawned Process counts everything again."""
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    currencies = sorted({order["currency"] for order in good})
    adders = [summary.Adder(currency, good, queue) for currency in currencies]
    for adder in adders:
        adder.start()
    totals = dict(queue.get() for _ in adders)
    for adder in adders:
        adder.join()

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    auditor = spawn.Process(target=summary.audit, args=(good, theirs), name="auditor")
    auditor.start()
    audited = ours.recv()
    auditor.join()
    return totals, audited, [adder.exitcode for adder in adders] + [auditor.exitcode]


@click.command()
@click.option("--rules", "rules_path", required=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--verbose", is_flag=True)
@click.argument("path")
def main(rules_path, processes, verbose, path):
    with open(rules_path, encoding="utf-8") as file:
        rules = yaml.safe_load(file)
    verdicts = check_all(read(path), rules, processes)
    good = [verdict.order for verdict in verdicts if verdict.good]
    bad = [verdict for verdict in verdicts if not verdict.good]
    totals, audited, codes = sum_up(good)
    print(json.dumps({"orders": len(verdicts), "rejected": len(bad), "totals": totals}, sort_keys=True))
    if verbose:
        for verdict in bad:
            print(f"{verdict.order['id']}: {verdict.reason}")
    if audited != round(sum(totals.values()), 2) or any(codes):
        print(f"auditor says {audited}, exit codes {codes}", file=sys.stderr)
        sys.exit(DISAGREE)
    sys.exit(REJECTED if bad else 0)


if __name__ == "__main__":
    main()
