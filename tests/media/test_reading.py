"""Samples are read while those before them are worked on."""

import threading

import pytest

from pipeline.media.reading import read_ahead

LONG = 60
"""Seconds that something may take at most; it takes none where all is well."""


def test_the_next_ones_are_read_while_one_is_worked_on():
    begun = [threading.Event() for _ in range(3)]

    def read(number):
        begun[number].set()
        return number

    results = read_ahead(range(3), read, depth=2)
    assert next(results) == 0
    assert all(each.wait(LONG) for each in begun)  # Nobody has asked for the second yet.
    assert list(results) == [1, 2]


def test_no_more_is_read_ahead_than_is_wanted():
    begun, go = [], threading.Event()

    def read(number):
        begun.append(number)
        if number:
            go.wait(LONG)
        return number

    results = read_ahead(range(100), read, depth=2)
    assert next(results) == 0
    assert set(begun) <= {0, 1, 2}
    go.set()
    results.close()
    assert len(begun) <= 3


def test_what_cannot_be_read_is_said_where_it_is_due():
    def read(number):
        if number == 1:
            raise ValueError("b.mp4 cannot be read")
        return number

    results = read_ahead(range(3), read)
    assert next(results) == 0
    with pytest.raises(ValueError, match=r"b\.mp4 cannot be read"):
        next(results)
