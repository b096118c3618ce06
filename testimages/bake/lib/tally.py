import sys


def tally(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


if __name__ == "__main__":
    for word, count in sorted(tally(sys.argv[1:]).items()):
        print(word, count)
