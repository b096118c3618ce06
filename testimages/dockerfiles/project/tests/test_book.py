from ledger.book import Book


def test_balance():
    assert Book.parse("rent -5").balance() == -5
