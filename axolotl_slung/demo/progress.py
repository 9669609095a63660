"""What the demo prints while it works: stages with estimates, and bars."""

from __future__ import annotations

import sys
import time

SECONDS_PER_LINE = 30
"""How often a bar writes a line into a log."""


def say(message: str = "") -> None:
    """Print a line on stderr; stdout holds results."""
    print(message, file=sys.stderr, flush=True)


class Stages:
    """Announces stages with estimates. Estimates are for two quiet cores; later ones follow from the time so far.

    Args:
        minutes: the estimate of each stage.
        clock: gives seconds.
    """

    def __init__(self, minutes: list[float], clock=time.monotonic):
        self._minutes, self._clock = minutes, clock
        self._number, self._started = 0, clock()

    @property
    def spent(self) -> float:
        """Minutes since the first stage."""
        return (self._clock() - self._started) / 60

    def begin(self, title: str) -> None:
        """Announce the next stage, its estimate and that of all stages that are left."""
        done = sum(self._minutes[: self._number])
        # a stage of a minute says how fast this machine is
        pace = self.spent / done if done >= 1 else 1.0
        left = pace * sum(self._minutes[self._number :])
        minutes = pace * self._minutes[self._number]
        self._number += 1
        say(f"\nStage {self._number} of {len(self._minutes)}: {title}: {about(minutes)} (of {about(left)} to the end)")


def about(minutes: float) -> str:
    """A time in words: `under a minute`, `about 3 minutes`."""
    whole = round(minutes)
    return "under a minute" if whole < 1 else f"about {whole} minute{'s' * (whole > 1)}"


class Bar:
    """A bar in a terminal. In a log it is a plain line every half minute, and one at the end.

    It estimates the time left once a tenth is done, because the first steps of a run are slower.

    Args:
        unit: what is counted, such as `steps`.
        clock: gives seconds.
    """

    def __init__(self, unit: str, clock=time.monotonic):
        self._unit, self._clock = unit, clock
        self._started = self._written = clock()
        self._done, self._total = 0, 0

    def show(self, done: int, total: int) -> None:
        """Show how much is done."""
        self._done, self._total = done, total
        if sys.stderr.isatty():
            filled = 30 * done // total
            print(
                f"\r  [{'#' * filled}{'.' * (30 - filled)}] {self._line()}\x1b[K", end="", file=sys.stderr, flush=True
            )
        elif self._clock() - self._written >= SECONDS_PER_LINE:
            self._written = self._clock()
            say(f"  {self._line()}")

    def close(self) -> None:
        """End the bar. Nothing is printed if nothing was shown."""
        if self._total:
            say("" if sys.stderr.isatty() else f"  {self._line()}")

    def _line(self) -> str:
        spent = self._clock() - self._started
        line = f"{self._done}/{self._total} {self._unit}, {_time(spent)}"
        if self._total > self._done >= self._total / 10:
            line += f", {_time(spent * (self._total / self._done - 1))} left"
        return line


def _time(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
