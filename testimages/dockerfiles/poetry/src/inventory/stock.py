import attrs


class Unknown(Exception):
    pass


@attrs.define
class Stock:
    minimum: int = attrs.field(validator=attrs.validators.ge(0))
    counts: dict = attrs.field(factory=dict)

    def move(self, name, count):
        if count < 0 and name not in self.counts:
            raise Unknown(name)
        self.counts[name] = self.counts.get(name, 0) + count

    def low(self):
        return sorted(name for name, count in self.counts.items() if count < self.minimum)
