"""Pool against a model that walks over everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tako.wire.pool import Pool
from tests.effort import examples

MOST, SECONDS = 3, 10.0

keys = st.sampled_from("abc")
pauses = st.sampled_from([0.0, 0.0, 1.0, 4.0, 9.999, 10.0, 30.0])
moves = st.one_of(
    st.tuples(st.just("put"), keys, pauses),
    st.tuples(st.just("put"), keys, pauses),
    st.tuples(st.just("take"), keys, pauses),
    st.tuples(st.just("drain"), keys, pauses),
)


class Naive:
    """The same rules, by looking at every connection every time."""

    def __init__(self) -> None:
        self.idle: list[tuple[str, int, float]] = []

    def expire(self, now: float) -> list[int]:
        old = [entry for entry in self.idle if now - entry[2] >= SECONDS]
        self.idle = [entry for entry in self.idle if entry not in old]
        return [connection for _, connection, _ in old]

    def take(self, key: str, now: float) -> tuple[int | None, list[int]]:
        expired = self.expire(now)
        found = [entry for entry in self.idle if entry[0] == key]
        if not found:
            return None, expired
        self.idle.remove(found[-1])
        return found[-1][1], expired

    def put(self, key: str, connection: int, now: float) -> list[int]:
        expired = self.expire(now)
        self.idle.append((key, connection, now))
        same = [entry for entry in self.idle if entry[0] == key]
        if len(same) > MOST:
            self.idle.remove(same[0])
            expired.append(same[0][1])
        return expired


@given(st.lists(moves, max_size=60))
@settings(max_examples=examples(4))
def test_the_pool_does_what_the_model_does(script: list[tuple[str, str, float]]) -> None:
    pool: Pool[int] = Pool(max_idle_per_key=MOST, idle_seconds=SECONDS)
    naive = Naive()
    now = 100.0
    for connection, (move, key, pause) in enumerate(script):
        now += pause
        match move:
            case "put":
                assert pool.put(key, connection, now) == naive.put(key, connection, now)
            case "take":
                assert pool.take(key, now) == naive.take(key, now)
            case _:
                assert pool.drain() == [connection for _, connection, _ in naive.idle]
                naive.idle.clear()
        assert len(pool) == len(naive.idle)


def test_equal_connections_are_not_mixed_up() -> None:
    pool: Pool[str] = Pool(max_idle_per_key=2)
    pool.put("a", "same", 0.0)
    pool.put("a", "same", 1.0)
    assert pool.take("a", 1.0) == ("same", [])
    assert pool.take("a", 1.0) == ("same", [])
    assert pool.take("a", 1.0) == (None, [])
