from packaging.version import InvalidVersion, Version


def newest_first(words):
    good, bad = [], []
    for word in words:
        try:
            good.append(Version(word))
        except InvalidVersion:
            bad.append(word)
    return sorted(good, reverse=True), bad
