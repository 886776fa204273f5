"""What a signal does to a run, and to what has nothing to save."""

from __future__ import annotations

import signal
import threading

import pytest

from i2i.system.signals import WATCHED, ending_at_once, watched


def test_a_watched_signal_is_told_and_kept_and_ends_nothing():
    told = []
    with watched() as signals:
        signals.tell = lambda: told.append(signals.received)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert told == [signal.SIGTERM]


def test_the_second_ctrl_c_acts_at_once():
    told = []
    with watched() as signals:
        signals.tell = lambda: told.append(signals.received)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGINT]


@pytest.mark.parametrize("signum", WATCHED)
def test_what_has_nothing_to_save_ends_by_any_signal(signum):
    told = []
    with ending_at_once() as signals:
        signals.tell = lambda: told.append(signals.received)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)
        assert signals.received == signum
    assert told == [signum]


def test_afterwards_signals_do_what_they_did():
    before = [signal.getsignal(signum) for signum in WATCHED]
    with ending_at_once(), watched() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
    assert [signal.getsignal(signum) for signum in WATCHED] == before


def test_in_another_thread_nothing_is_caught():
    before = [signal.getsignal(signum) for signum in WATCHED]
    seen = []

    def look() -> None:
        with watched(), ending_at_once():
            seen.append([signal.getsignal(signum) for signum in WATCHED])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
