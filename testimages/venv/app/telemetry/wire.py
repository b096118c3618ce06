"""The wire format: one sample a line, "sensor sequence value", answered by "ok" or "error REASON"."""

from typing import NamedTuple


class Malformed(ValueError):
    """A line that is no sample."""


class Sample(NamedTuple):
    sensor: str
    sequence: int
    value: float

    def encode(self):
        return f"{self.sensor} {self.sequence} {self.value:.3f}\n".encode()


def decode(line):
    match line.decode("ascii", "replace").split():
        case [sensor, sequence, value]:
            try:
                return Sample(sensor, int(sequence), float(value))
            except ValueError:
                raise Malformed("numbers expected") from None
        case []:
            raise Malformed("empty line")
        case words:
            raise Malformed(f"{len(words)} words")
