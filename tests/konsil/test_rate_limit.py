"""How often somebody may ask."""

from konsil import rate_limit
from konsil.rate_limit import RateLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_then_one_by_one() -> None:
    clock = Clock()
    limit = RateLimit(3, 60.0, clock)
    assert [limit.wait("a") for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]
    assert limit.wait("b") == 0.0
    clock.now += 20
    assert [limit.wait("a"), limit.wait("a")] == [0.0, 20.0]
    clock.now += 3600
    assert [limit.wait("a") for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]


def test_looking_does_not_count_and_no_limit_is_none() -> None:
    limit = RateLimit(1, 60.0, Clock())
    assert [limit.closed("a"), limit.closed("a"), limit.wait("a"), limit.closed("a")] == [0.0, 0.0, 0.0, 60.0]
    assert not any(RateLimit(0).wait("a") for _ in range(1000))


def test_memory_has_a_limit_too() -> None:
    limit = RateLimit(10, 60.0, Clock())
    for number in range(rate_limit.MOST_KEYS + 10):
        limit.wait(str(number))
    assert len(limit._due) <= rate_limit.MOST_KEYS
