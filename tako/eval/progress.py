"""ProgressBar: how far an evaluation is, as one line of text that is written over itself."""

from __future__ import annotations

from tako.eval.evaluation import AttemptDone

__all__ = ["ProgressBar"]

WIDTH = 30


class ProgressBar:
    """Told of each attempt, it gives the line to show."""

    __slots__ = ("_errors", "_passed")

    def __init__(self) -> None:
        self._passed = self._errors = 0

    def line(self, event: AttemptDone) -> str:
        """The line after this attempt."""
        self._passed += event.attempt.passed
        self._errors += event.attempt.error is not None
        filled = WIDTH * event.done // event.total
        left = event.elapsed_secs / event.done * (event.total - event.done)
        failed = f", {self._errors} failed" if self._errors else ""
        return (
            f"[{'#' * filled}{'.' * (WIDTH - filled)}] {event.done}/{event.total} "
            f"passed {self._passed}{failed}, about {_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
