def shares(total, parts):
    if parts < 1:
        raise ValueError("no parts")
    whole, rest = divmod(total, parts)
    return [whole + 1] * rest + [whole] * (parts - rest)
