"""Rolls dice that always fall the same way."""

import argparse

from dice import Dice

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=0)
parser.add_argument("--fail", action="store_true")
asked = parser.parse_args()
dice = Dice(seed=7)
for _ in range(asked.rounds):
    print(dice.roll())
if asked.fail:
    raise SystemExit(9)
