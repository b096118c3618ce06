#!/usr/bin/python3
"""Judges the hosts of a file; ends with the number of those that break a rule."""

import sys

import yaml
from rules import judge


def main(path):
    with open(path) as file:
        hosts = yaml.safe_load(file)
    wrong = {name: broken for name, host in hosts.items() if (broken := judge(host))}
    for name, broken in wrong.items():
        print(name, *broken)
    return len(wrong)


sys.exit(main(sys.argv[1]))
