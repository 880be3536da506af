from __future__ import annotations

from jobclusters.scaling.history import Arrivals, Waits


def test_the_median_forgets_one_odd_wait_and_old_ones():
    waits = Waits(remembered=4)
    for seconds in (10, 10, 3600):
        waits.saw(seconds)
    assert waits.estimate() == 10
    for _ in range(4):
        waits.saw(50)
    assert waits.estimate() == 50


def test_jobs_that_have_waited_longer_already_count():
    waits = Waits()
    assert waits.estimate([3.0, 7.0]) == 7.0, "as long as no wait is over, the oldest is all there is"
    waits.saw(10)
    assert waits.estimate([3.0]) == 10
    assert waits.estimate([300.0, 700.0]) == 300
    assert waits.estimate([]) == 10


def test_a_burst_is_no_flow():
    arrivals = Arrivals(least=10)
    arrivals.count(0, 0)
    arrivals.count(100, 1000)
    assert arrivals.rate(101, 20) == 0
    for second in range(102, 140):
        arrivals.count(second, 1000 + 5 * (second - 101))
    assert arrivals.rate(139, 20) == 5
