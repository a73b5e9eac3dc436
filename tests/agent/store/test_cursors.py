import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.store.cursors import MOST_RANGES, add, bounded, count, dumps, free, holds, loads, subtract, union, without

TOP = 200  # numbers above it all behave alike: they belong to the open end


def members(ranges, top=TOP):
    return {number for low, high in ranges for number in range(low, (top if high is None else high) + 1)}


def is_proper(ranges):
    ends = [(low, TOP if high is None else high) for low, high in ranges]
    apart = all(after[0] > before[1] + 1 for before, after in itertools.pairwise(ends))
    return apart and all(low <= high for low, high in ends) and all(high is not None for _, high in ranges[:-1])


spans = st.tuples(st.integers(1, 150), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
sets = st.tuples(st.lists(spans, max_size=8), st.none() | st.integers(100, 190)).map(
    lambda pair: union(tuple(pair[0]), () if pair[1] is None else ((pair[1], None),))
)


@given(sets, spans)
def test_an_acknowledged_range_is_owed_no_longer_and_nothing_else_changes(ranges, span):
    found = subtract(ranges, *span)
    assert members(found) == members(ranges) - set(range(span[0], span[1] + 1))
    assert is_proper(found)
    assert without(ranges, *span) == found


@given(sets, spans)
def test_a_range_put_back_is_owed_again(ranges, span):
    found = add(ranges, *span)
    assert members(found) == members(ranges) | set(range(span[0], span[1] + 1))
    assert is_proper(found)


@given(sets, sets)
def test_the_union_holds_what_any_set_holds(left, right):
    assert members(union(left, right)) == members(left) | members(right)
    assert is_proper(union(left, right))


@given(sets, spans)
def test_what_is_free_is_the_rest_of_the_span(ranges, span):
    gaps = free(ranges, *span)
    assert members(gaps) == set(range(span[0], span[1] + 1)) - members(ranges)


@given(sets, st.integers(1, TOP))
def test_counting_and_asking_agree(ranges, number):
    assert count(ranges, number) == len({each for each in members(ranges) if each <= number})
    assert holds(ranges, number) == (number in members(ranges))


@given(sets)
def test_a_set_comes_back_from_its_text(ranges):
    assert loads(dumps(ranges)) == ranges


def test_a_flapping_link_keeps_the_set_small_and_loses_nothing():
    ranges = ((1, None),)
    owed = set(range(1, 10_001))
    for settled in range(5, 10_000, 5):  # every fifth number is acknowledged, out of order as it were
        ranges = subtract(ranges, settled, settled + settled % 3)
        owed -= set(range(settled, settled + settled % 3 + 1))
        assert len(ranges) <= MOST_RANGES
    assert owed <= members(ranges, 10_000)


def test_ranges_are_joined_across_the_smallest_settled_hole():
    wide = tuple((100 * number, 100 * number + 10) for number in range(1, MOST_RANGES + 1))
    narrow = (wide[-1][1] + 3, wide[-1][1] + 5)
    assert bounded((*wide, narrow)) == (*wide[:-1], (wide[-1][0], narrow[1]))


def test_the_open_end_stays_open():
    assert subtract(((17, 4711), (5200, None)), 5200, 5300) == ((17, 4711), (5301, None))
    assert add(((10, None),), 3, 5) == ((3, 5), (10, None))
    assert add(((10, None),), 3, None) == ((3, None),)
