"""CancellationToken: once, downwards only, from any thread, and nobody is kept alive."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.errors import Cancelled


def test_live_and_then_cancelled_for_ever() -> None:
    token = CancellationToken()
    assert not token.is_cancelled
    token.raise_if_cancelled()
    assert repr(token) == "<CancellationToken live>"
    token.cancel()
    token.cancel()
    assert token.is_cancelled
    assert repr(token) == "<CancellationToken cancelled>"
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()


def test_a_callback_runs_once() -> None:
    token, calls = CancellationToken(), []
    token.on_cancel(lambda: calls.append(1))
    assert calls == []
    token.cancel()
    token.cancel()
    assert calls == [1]


def test_a_callback_that_comes_late_runs_at_once() -> None:
    token, calls = CancellationToken(), []
    token.cancel()
    undo = token.on_cancel(lambda: calls.append(1))
    assert calls == [1]
    undo()
    token.cancel()
    assert calls == [1]


def test_an_undone_callback_does_not_run() -> None:
    token, calls = CancellationToken(), []
    undo = token.on_cancel(lambda: calls.append("undone"))
    token.on_cancel(lambda: calls.append("kept"))
    undo()
    undo()
    token.cancel()
    assert calls == ["kept"]


def test_the_same_callback_twice_is_two_callbacks() -> None:
    token, calls = CancellationToken(), []

    def callback() -> None:
        calls.append(1)

    undo = token.on_cancel(callback)
    token.on_cancel(callback)
    undo()
    token.cancel()
    assert calls == [1]


def test_all_callbacks_run_whatever_one_of_them_raises() -> None:
    token, calls = CancellationToken(), []
    token.on_cancel(lambda: calls.append("first"))

    def failing() -> None:
        raise KeyError("x")

    token.on_cancel(failing)
    token.on_cancel(lambda: calls.append("last"))
    with pytest.raises(KeyError):
        token.cancel()
    assert sorted(calls) == ["first", "last"]


def test_a_callback_may_cancel_listen_and_undo() -> None:
    token, calls = CancellationToken(), []
    undo = token.on_cancel(lambda: calls.append("never, or first"))

    def callback() -> None:
        token.cancel()
        undo()
        token.on_cancel(lambda: calls.append("at once"))
        assert token.child().is_cancelled

    token.on_cancel(callback)
    token.cancel()
    assert calls[-1] == "at once" or calls == ["at once", "never, or first"]
    assert calls.count("at once") == 1
    assert len(calls) <= 2


def test_down_and_never_up() -> None:
    parent = CancellationToken()
    first, second = parent.child(), parent.child()
    grandchild = first.child()
    first.cancel()
    assert grandchild.is_cancelled
    assert not second.is_cancelled
    assert not parent.is_cancelled
    parent.cancel()
    assert second.is_cancelled


def test_a_child_of_a_cancelled_token_is_cancelled() -> None:
    token = CancellationToken()
    token.cancel()
    assert token.child().is_cancelled


def test_a_detached_child_is_on_its_own() -> None:
    parent = CancellationToken()
    child = parent.child()
    child.detach()
    child.detach()
    parent.cancel()
    assert not child.is_cancelled
    CancellationToken().detach()


def test_a_dead_child_leaves_nothing_with_its_parent() -> None:
    parent = CancellationToken()
    for _ in range(100):
        parent.child().child()
    gc.collect()
    assert not parent._callbacks
    parent.cancel()


def test_a_child_is_not_kept_alive_and_a_detached_one_keeps_nobody() -> None:
    parent = CancellationToken()
    child = parent.child()
    reference, parents = weakref.ref(child), weakref.ref(parent)
    child.detach()
    del parent
    gc.collect()
    assert parents() is None
    del child
    gc.collect()
    assert reference() is None


def test_a_chain_holds_where_nobody_holds_the_middle() -> None:
    top = CancellationToken()
    bottom = top.child().child().child()
    gc.collect()
    top.cancel()
    assert bottom.is_cancelled


@given(st.lists(st.integers(0, 20), max_size=20), st.integers(0, 20), st.sets(st.integers(1, 20)))
def test_exactly_the_descendants_are_cancelled(
    parents: list[int], cancelled: int, detached: set[int]
) -> None:
    tokens, parent_of = [CancellationToken()], [0]
    for number in parents:
        parent_of.append(number % len(tokens))
        tokens.append(tokens[parent_of[-1]].child())
    cancelled %= len(tokens)
    for index in detached & set(range(len(tokens))):
        tokens[index].detach()
        parent_of[index] = index
    tokens[cancelled].cancel()

    def descends(index: int) -> bool:
        while index != cancelled and parent_of[index] != index:
            index = parent_of[index]
        return index == cancelled

    assert [token.is_cancelled for token in tokens] == [descends(index) for index in range(len(tokens))]


def test_many_threads_cancel_and_listen_and_each_callback_runs_once() -> None:
    for _ in range(50):
        token = CancellationToken()
        runs = [0] * 400
        barrier = threading.Barrier(4)

        def count(index: int, runs: list[int] = runs) -> None:
            runs[index] += 1

        def listen(
            start: int, token: CancellationToken = token, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait()
            for index in range(start, start + 200):
                token.on_cancel(lambda index=index: count(index))

        def cancel(token: CancellationToken = token, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            token.cancel()

        threads = [threading.Thread(target=listen, args=(start,)) for start in (0, 200)]
        threads += [threading.Thread(target=cancel) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert runs == [1] * 400
