import idna


def spelled(name):
    try:
        return idna.encode(name).decode()
    except idna.IDNAError:
        return None
