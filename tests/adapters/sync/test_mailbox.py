"""Where a thread waits for what others put in: it hears of everything, and waits no longer than it should."""

from __future__ import annotations

import signal
import threading
from time import monotonic, sleep
from typing import Any

import pytest

from tako_io_sync._mailbox import Empty, Mailbox


def in_time(work: Any, seconds: float = 20.0) -> None:
    """Do it on a thread, which has to be done by then."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it still waits"


def test_a_wait_that_is_over_before_it_begins_is_over() -> None:
    """What queue.SimpleQueue gets wrong: it stands still here after some hundred of them."""

    def waits() -> None:
        for number in range(20_000):
            with pytest.raises(Empty):
                Mailbox[int]().get(timeout=1e-7 * (number % 30))

    in_time(waits)


def test_everything_that_several_put_in_comes_out_in_order() -> None:
    box: Mailbox[tuple[int, int]] = Mailbox()

    def put(who: int) -> None:
        for number in range(2_000):
            box.put((who, number))

    threads = [threading.Thread(target=put, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    taken = [box.get(timeout=10) for _ in range(8_000)]
    for who in range(4):
        assert [number for whose, number in taken if whose == who] == list(range(2_000))
    assert not box.items
    with pytest.raises(Empty):
        box.get(timeout=0.0)


def test_a_wait_takes_as_long_as_it_was_asked_for() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.put(2)
    assert (box.get(), box.get()) == (1, 2)
    started = monotonic()
    with pytest.raises(Empty):
        box.get(timeout=0.05)
    assert 0.04 < monotonic() - started < 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_a_signal_that_is_handled_for_longer_than_the_wait_does_not_make_it_endless() -> None:
    box: Mailbox[str] = Mailbox()
    handled: list[int] = []

    def handle(number: int, frame: object) -> None:
        handled.append(number)
        sleep(0.1)
        if len(handled) == 2:
            box.put("from the handler")

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Empty):
            box.get(timeout=0.05)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert box.get(timeout=5) == "from the handler"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) == 2
