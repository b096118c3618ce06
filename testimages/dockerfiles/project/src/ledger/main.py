import argparse

from ledger.book import Book

ENTRIES = """
salary 2100
rent -900
# a note
food -340
"""


def main():
    parser = argparse.ArgumentParser(prog="ledger")
    parser.add_argument("command", choices=["summary", "check"])
    asked = parser.parse_args()
    book = Book.parse(ENTRIES)
    if asked.command == "check":
        return 0 if book.balance() >= 0 else 1
    for name, amount in book.entries:
        print(f"{name:10} {amount:8}")
    print(f"{'balance':10} {book.balance():8}")
    return 0
