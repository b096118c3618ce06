class Book:
    def __init__(self, entries):
        self.entries = entries

    @classmethod
    def parse(cls, text):
        entries = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            name, amount = line.split()
            entries.append((name, int(amount)))
        return cls(entries)

    def balance(self):
        return sum(amount for _, amount in self.entries)
