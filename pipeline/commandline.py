"""What all commands share: the show's option, and how what people can mend ends."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline import control
from pipeline.printing import err, line
from pipeline.review.errors import LabelStudioError

ShowOption = Annotated[Path, typer.Option("--show", "-s", help="The show's folder.", envvar="DAILIES_SHOW")]
HERE = Path()

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def people() -> Iterator[None]:
    """What people can mend ends with one clear message and exit code 2; anything else is a bug and shows its trace."""
    try:
        yield
    except (ValueError, LabelStudioError) as error:
        line("error", f" {error}", console=err)
        raise typer.Exit(2) from None
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        where = f" ({error.filename})" if error.filename else ""
        line("error", f" there is no space left to write{where}; what was finished is kept: free some", console=err)
        line("(`dailies store gc` frees what nothing reaches), then do the same again", console=err)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        line("stopped; what was finished is kept", console=err)
        raise typer.Exit(130) from None


def unsent_drafts(show: control.Show) -> dict[str, int] | None:
    """Unsent drafts by person; None where Label Studio does not answer: the rest can be told without it."""
    try:
        return control.unsent(show)
    except control.MENDABLE:
        return None
