"""How commands end: with at most one error message, and with an exit status."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import SlungError, first_line, os_problem
from ..visible import visible

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_RESUME = ("label", "mix", "rescore", "attack")
"""Commands that continue where an interrupted one stopped."""

STATUSES = """\
\b
Exit status:
  0    done
  1    the work failed, or a check found something wrong
  2    the command line, the config or a file that they name is wrong
  130  interrupted with Ctrl-C
"""


class Ended(click.ClickException):
    """Ends the command with a message whose lines are already safe to show."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.exit_code = status


def say(text: str, err: bool = False) -> None:
    """Print one line. Names of files and of data may be hostile: invisible characters are shown as signs."""
    click.echo(visible(text), err=err)


@contextmanager
def settings() -> Iterator[None]:
    """Errors inside are about the command line, the config or a file that they name: the exit status is 2."""
    try:
        yield
    except SlungError as error:
        raise Ended(str(error), USAGE) from None
    except OSError as error:
        raise Ended(visible(_of_system(error)), USAGE) from None


@contextmanager
def one_message(ctx: click.Context) -> Iterator[None]:
    """Turn every error of a command into one message and an exit status."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort, BrokenPipeError, Ended):
        raise
    except click.ClickException as error:
        # click quotes arguments as they are
        error.message = visible(error.message)
        raise
    except SlungError as error:
        raise Ended(str(error), FAILED) from None
    except OSError as error:
        raise Ended(visible(_of_system(error)), FAILED) from None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends now; one more Ctrl-C would only add a traceback
        then = "continues where it stopped" if ctx.invoked_subcommand in _RESUME else "starts again"
        raise Ended(f"interrupted; the same command {then}", INTERRUPTED) from None
    except Exception as error:
        # the frames hold no data, but the message may
        frames = visible_lines("".join(traceback.format_tb(error.__traceback__)))
        click.echo(f"{frames}\n", err=True)
        raise Ended(
            f"{type(error).__name__}: not expected here, so please report it with the lines above; its message is left "
            "out, because it may quote your data",
            FAILED,
        ) from None


def visible_lines(text: str) -> str:
    """Several lines of text, each made visible."""
    return "\n".join(visible(line) for line in text.splitlines())


def _of_system(error: OSError) -> str:
    # without a number it is a library's, such as "cannot connect to the hub"
    return os_problem(error) if error.errno and error.strerror else f"{type(error).__name__}: {first_line(error)}"
