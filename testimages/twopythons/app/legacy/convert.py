"""The legacy part, for Debian's Python: YAML records from stdin, JSON to stdout. Exit code 1: some have no price."""

import json
import os
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import common  # noqa: E402


def cents(price):
    """Reads prices as people wrote them; the new part rounds them."""
    if price is None:
        return None
    if isinstance(price, str):
        price = float(price.replace(",", "."))
    command = ["/usr/local/bin/python3", os.path.join(HERE, "..", "main.py"), "round", str(price * 100 + 1)]
    return int(subprocess.check_output(command))


def main():
    records = [{"name": old["name"], "cents": cents(old.get("price"))} for old in yaml.safe_load(sys.stdin)]
    json.dump({"by": common.running_on(), "records": records}, sys.stdout)
    return any(record["cents"] is None for record in records)


if __name__ == "__main__":
    sys.exit(main())
