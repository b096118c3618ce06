"""What both parts need; both Pythons run it."""

import platform
import sys


def running_on():
    if sys.version_info >= (3, 12):
        kind = "new"
    else:
        kind = "legacy"
    return f"{kind} {platform.python_implementation()}"


def money(cents):
    if cents is None:
        return "-"
    return f"{cents / 100:.2f}"


def swedish(cents):
    """Rounds to five cents."""
    rest = cents % 5
    if rest >= 3:
        return cents + 5 - rest
    return cents - rest
