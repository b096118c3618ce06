"""Says how names are written on the wire; ends with 3 if one cannot be."""

import sys

from wire import spelled

NAMES = ["münchen.example", "example", "a..b", "faß.example"]
wrong = 0
for name in NAMES:
    text = spelled(name)
    if text is None:
        wrong += 1
    print(name, text or "-")
sys.exit(3 if wrong else 0)
