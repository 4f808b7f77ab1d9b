"""How far a run is: weighted by what images cost, and never a time that nobody can know."""

from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind
from cudaforge.report.forecast import Forecast
from cudaforge.report.progress import PlainProgress

COSTS = {"small": 100, "large": 300, "there": 600}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def finished(name: str, state: BuildState = BuildState.BUILT) -> BuildEvent:
    result = BuildResult(
        name=name, state=state, reference=f"x:{name}", image_id=None, size=None, seconds=1.0, log=""
    )
    return BuildEvent(image=name, kind=EventKind.IMAGE_FINISHED, result=result)


def step(name: str, index: int, total: int) -> BuildEvent:
    return BuildEvent(image=name, kind=EventKind.STEP_DONE, step="s", step_index=index, step_total=total)


def test_images_count_by_what_they_cost_and_those_that_are_there_not_at_all():
    clock = Clock()
    forecast = Forecast(COSTS, clock=clock)
    assert (forecast.fraction, forecast.seconds_left) == (0.0, None)
    forecast.take(finished("there", BuildState.CACHED))
    assert (forecast.fraction, forecast.seconds_left, forecast.finished) == (0.0, None, 1)
    clock.now = 10.0
    forecast.take(finished("small"))
    assert forecast.fraction == 0.25
    assert forecast.seconds_left == 30.0
    forecast.take(step("large", 1, 2))
    assert forecast.fraction == 0.625
    assert forecast.seconds_left == 6.0
    forecast.take(finished("large"))
    assert (forecast.fraction, forecast.seconds_left, forecast.is_over) == (1.0, 0.0, True)


def test_what_goes_to_another_builder_begins_anew():
    forecast = Forecast({"one": 1, "two": 1})
    forecast.take(step("one", 3, 4))
    forecast.take(BuildEvent(image="one", kind=EventKind.IMAGE_RETURNED))
    assert forecast.fraction == 0.0


def test_events_of_no_image_and_runs_without_work_are_no_error():
    forecast = Forecast({"one": 1})
    forecast.take(BuildEvent(image="", kind=EventKind.BUILDER_LOST, line="x"))
    forecast.take(finished("one", BuildState.CACHED))
    assert forecast.fraction == 1.0
    assert Forecast({}).fraction == 1.0


def test_plain_progress_says_how_far_the_run_is_after_each_image_but_the_last():
    clock, lines = Clock(), []
    progress = PlainProgress(lines.append, Forecast({"one": 1, "two": 3}, clock=clock))
    clock.now = 4.0
    progress.handle(finished("one"))
    progress.handle(finished("two"))
    assert lines == ["one: built in 1.0 s", "1 of 2 images, 25%, about 12 s left", "two: built in 1.0 s"]


def test_images_that_were_cancelled_are_not_finished():
    clock, lines = Clock(), []
    forecast = Forecast({"one": 1, "two": 1, "three": 2}, clock=clock)
    progress = PlainProgress(lines.append, forecast)
    clock.now = 4.0
    progress.handle(finished("one"))
    progress.handle(finished("two", BuildState.CANCELLED))
    assert lines == ["one: built in 1.0 s", "1 of 3 images, 25%, about 12 s left", "two: cancelled"]
    assert (forecast.finished, forecast.fraction, forecast.seconds_left) == (1, 0.25, None)
    assert not forecast.is_over
    progress.handle(finished("three", BuildState.CANCELLED))
    assert forecast.is_over
    assert lines[3:] == ["three: cancelled"]


def test_no_time_is_told_where_the_others_are_not_begun_any_more():
    clock = Clock()
    stops, goes_on = (
        Forecast({"a": 1, "b": 1, "c": 1}, keeps_going=one, clock=clock) for one in (False, True)
    )
    clock.now = 4.0
    for forecast in (stops, goes_on):
        forecast.take(finished("a"))
        forecast.take(finished("b", BuildState.FAILED))
    assert (stops.seconds_left, goes_on.seconds_left) == (None, 4.0)
