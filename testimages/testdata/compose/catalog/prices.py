PRICES = {"tea": 3, "cup": 7}


def price(name):
    if name not in PRICES:
        return 0
    return PRICES[name]
