import pytest
from shop import Shop, Unavailable


def test_order(orders):
    assert Shop("", orders).order(tea=2, pot=1)["cents"] == 2950


@pytest.mark.parametrize("pieces, why", [({"hat": 1}, "does not sell hat"), ({"pot": 100}, "too much")])
def test_refused(orders, pieces, why):
    with pytest.raises(Unavailable, match=why):
        Shop("", orders).order(**pieces)
