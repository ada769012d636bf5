"""The toy show's records."""

from pipeline.engine.records import File, Record


class Tape(Record):
    title: str
    file: File


class Numbers(Record):
    title: str
    numbers: tuple[int, ...]


class Heads(Record):
    """A projection: how many numbers there are, not which."""

    count: int

    @classmethod
    def project(cls, numbers: Numbers) -> "Heads":
        return cls(count=len(numbers.numbers))


class Number(Record):
    value: int


class Total(Record):
    total: int
    report: File
