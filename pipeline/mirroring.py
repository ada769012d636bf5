"""The show's mirror: what stands goes there, what others made comes from there, old things are cleared away."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.engine import mirror_gc, upkeep
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import Mirror, Moved
from pipeline.engine.store import Run
from pipeline.show import Show

__all__ = ["Moved", "clear", "mirror", "pull", "push"]

Tell = Callable[[int], None]


def mirror(show: Show) -> Mirror:
    """The mirror that the settings name. Raises ValueError where they name none, or one that cannot be used."""
    if not show.settings.mirror:
        raise ValueError(
            "this show has no mirror: set `mirror` in [settings] of show.toml, e.g. sftp://user@host/~/dailies-mirror,"
            " s3://bucket/folder or file:///shared/folder"
        )
    config = show.settings.ssh_config
    return Mirror(show.store, show.settings.mirror, show.folder / config if config else None)


def push(show: Show, tell: Tell = lambda _: None) -> Moved:
    """Send everything that stands, and the work of reviewers."""
    return mirror(show).push(_heads(show), [d for d in show.kept() if show.store.knows(d)], tell)


def pull(
    show: Show, names: Sequence[str] = (), *, files: bool = False, tell: Tell = lambda _: None
) -> tuple[list[Run], Moved]:
    """Take the runs that the mirror has and this store lacks (or those of `names`), each with its records.

    Their files stay in the mirror until somebody opens them; with `files`, those of `names`, or else of all that
    stands, are brought now. What stands here stays what stands: a run becomes its unit's only where that has none.
    """
    from_there = mirror(show)
    there = from_there.runs()
    unknown = [name for name in names if name not in there and show.store.find_run(name) is None]
    if unknown:
        raise ValueError(f"the mirror has no run {', '.join(unknown)}")
    taken = from_there.adopt([name for name in (names or there) if name in there])
    if not files:
        return taken, Moved()
    runs = [run for name in names if (run := show.store.find_run(name))] or _heads(show)
    wanted: set[Digest] = {digest for run in runs for digest in upkeep.files_in(show.store, run)}
    moved = from_there.fetch(wanted, tell)
    for run in runs:
        show.store.link_files(run, upkeep.files_of_output(show.store, run))
    return taken, moved


def clear(show: Show, *, grace_days: float, dry: bool = False) -> Moved:
    """Delete from the mirror what does not stand here, and did not when this was asked `grace_days` ago."""
    return mirror_gc.gc(mirror(show), frozenset(run.name for run in _heads(show)), grace_days * 86_400, dry=dry)


def _heads(show: Show) -> list[Run]:
    names = sorted(path.read_text() for path in Path(show.store.root / "heads").glob("*/*"))
    return [run for name in names if (run := show.store.find_run(name))]
