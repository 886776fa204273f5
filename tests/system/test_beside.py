"""What is made ahead comes in order, no more of it than was said, and its errors in their turn."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from i2i.system.beside import helper, made_ahead


class Maker:
    """Makes squares, in any thread, and remembers of which numbers; of 13 it can make none."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, number: int) -> int:
        self.threads.add(threading.current_thread().name)
        if number == 13:
            raise ValueError("thirteen")
        self.made.append(number)
        return number * number

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.made) < count:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_things_come_in_order_while_the_next_ones_are_made_in_one_other_thread():
    make = Maker()
    with helper() as thread:
        squares = made_ahead(thread, make, itertools.count(), most=lambda last: 4)
        assert next(squares) == 0
        make.wait_for(4)
        time.sleep(0.02)
        assert make.made == [0, 1, 2, 3]  # one was taken, three wait
        assert list(itertools.islice(squares, 5)) == [1, 4, 9, 16, 25]
        squares.close()
    assert len(make.threads) == 1
    assert threading.current_thread().name not in make.threads


def test_how_many_may_wait_is_asked_of_the_last_one():
    make, asked = Maker(), []

    def most(last: int | None) -> int:
        asked.append(last)
        return 1 if last is None else 3

    with helper() as thread:
        assert list(made_ahead(thread, make, range(4), most=most)) == [0, 1, 4, 9]
    assert asked == [None, 0, 1, 4, 9]


def test_an_error_is_raised_in_its_turn_and_nothing_is_made_after_it_for_nobody():
    make, taken = Maker(), []
    with helper() as thread:
        squares = made_ahead(thread, make, range(10, 100), most=lambda last: 5)
        with pytest.raises(ValueError, match=r"^thirteen$"):
            taken.extend(squares)
    assert taken == [100, 121, 144]
    assert max(make.made) <= 17


def test_there_is_nothing_of_nothing():
    with helper() as thread:
        assert list(made_ahead(thread, Maker(), (), most=lambda last: 2)) == []
