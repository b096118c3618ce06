from tally import tally

counts = tally("a b a".split())
if counts["a"] != 2:
    raise SystemExit(1)
print(counts)
