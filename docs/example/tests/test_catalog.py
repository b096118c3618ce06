import pytest
from shop import Shop, Unavailable


def test_price(catalog):
    assert Shop(catalog).price("cup") == 800
    assert Shop(catalog).price("pot") is None


def test_no_orders(catalog):
    with pytest.raises(Unavailable, match="takes no orders"):
        Shop(catalog).order(tea=1)
