import pytest
from shop import money


@pytest.mark.parametrize("cents, text", [(0, "0.00"), (250, "2.50"), (-5, "-0.05")])
def test_show(cents, text):
    assert money.show(cents) == text


def test_parse():
    assert money.parse("12.05") == 1205
    assert money.parse("3") == 300
    with pytest.raises(ValueError, match="no amount"):
        money.parse("3.5")
