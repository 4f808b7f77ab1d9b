"""The queue before several builders."""

import threading
import time

from cudaforge.builder.queue import JobQueue


def test_each_job_is_handed_out_once_and_in_order():
    queue = JobQueue(range(3), (0, 1))
    assert [queue.take(0), queue.take(1), queue.take(0)] == [0, 1, 2]
    for job in range(3):
        queue.finish(job)
    assert queue.take(0) is None


def test_who_has_nothing_to_do_waits_for_what_may_come_back():
    queue = JobQueue((7,), (0, 1))
    assert queue.take(0) == 7
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take(1)))
    waiting.start()
    time.sleep(0.05)
    assert taken == []
    queue.take_out(0)
    assert queue.give_back(7, failed_on=0)
    waiting.join(5)
    assert taken == [7]


def test_a_job_that_failed_everywhere_is_finished():
    queue = JobQueue((7,), (0, 1))
    queue.take(0)
    assert queue.give_back(7, failed_on=0)
    assert queue.take(1) == 7
    assert not queue.give_back(7, failed_on=1)
    assert queue.take(0) is None


def test_jobs_that_no_builder_is_left_for_are_told():
    queue = JobQueue((7, 8), (0, 1))
    queue.take(0)
    queue.give_back(7, failed_on=0)
    assert queue.take_out(1) == [7]
    assert queue.take(0) == 8
    queue.finish(8)
    assert queue.take_out(0) == []
    assert not queue.builders


def test_a_closed_queue_gives_nothing():
    queue = JobQueue((1, 2), (0,))
    assert queue.take(0) == 1
    queue.close()
    assert queue.take(0) is None
    assert not queue.give_back(1, failed_on=0)
