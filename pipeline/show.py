"""A show on disk: what its `show.toml` says, and the sources that it points to."""

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline import dag, pins, places, show_file
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import Fetcher
from pipeline.engine.plan import SHOW, Node, Plan
from pipeline.engine.records import File
from pipeline.engine.step import StepConfig
from pipeline.engine.store import Store
from pipeline.engine.work import Services
from pipeline.schemas.captions import ReviewSnapshot
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.located import KeyPath
from pipeline.schemas.story import BibleSource
from pipeline.schemas.timeline import Episode
from pipeline.settings import Settings
from pipeline.show_file import ShowFile

SUBTITLES = frozenset({".srt", ".vtt", ".ass", ".ssa"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})

_ABOUT_QUESTIONS = ("refusal", "glossary")
"""Batch edits that change only what is asked: they are no part of a snapshot, so that they make nothing stale."""


@dataclass(frozen=True)
class Show:
    folder: Path
    file: ShowFile
    settings: Settings

    @property
    def state(self) -> Path:
        """Everything that the program makes."""
        return self.folder / ".dailies"

    @property
    def media(self) -> Path:
        """The folder that Label Studio serves to reviewers."""
        return self.state / "media"

    @property
    def label_studio_data(self) -> Path:
        """Database, login and log of the Label Studio that `dailies up` starts."""
        return self.folder / (self.settings.label_studio_data or self.state / "label-studio")

    @cached_property
    def store(self) -> Store:
        """Where the show's results lie; what only its mirror has is fetched when it is opened."""
        store = Store(self.state / "store")
        if self.settings.mirror:
            config = self.settings.ssh_config
            store.fetch = Fetcher(store, self.settings.mirror, self.folder / config if config else None)
        return store

    @property
    def services(self) -> Services:
        key = self.settings.model_server_key
        return Services(self.folder, self.settings.model_server_url, key.get_secret_value() if key else None)

    def written(self) -> dict[str, StepConfig]:
        """The settings of all steps as show.toml has them."""
        return {step.name: getattr(self.file.steps, step.name.replace("-", "_")) for step in dag.STEPS}

    def configs(self) -> dict[str, StepConfig]:
        """The settings of all steps, each model with its revision where that is known."""
        locked, folders = pins.read(self.folder), pins.Folders(self.services, self.store.root / "weights.json")
        return {
            name: pins.filled(config, lambda weights: pins.revision_of(weights, locked, folders))
            for name, config in self.written().items()
        }

    def episodes(self) -> dict[str, Path]:
        """Video files by episode id: the file's stem, with `_` for what is no letter or digit.

        Raises ValueError where there are none, two of one id, or none of an id that is excluded.
        """
        found, problems = self._episodes()
        show_file.refuse(self.folder, problems)
        return found

    def _episodes(self) -> tuple[dict[str, Path], list[tuple[KeyPath, str]]]:
        found: dict[str, Path] = {}
        problems: list[tuple[KeyPath, str]] = []
        for path in sorted(self.folder.glob(self.file.episodes)):
            name = re.sub(r"[^A-Za-z0-9]+", "_", path.stem).strip("_")
            if not path.is_file() or path.suffix.lower() in SUBTITLES:
                continue
            if name in found and name not in self.file.exclude:
                both = f"{found[name].name} and {path.name} would both be episode {name}"
                problems.append((("episodes",), f"{both}: rename one, or change the pattern"))
            found[name] = path
        for index, name in enumerate(self.file.exclude):
            if name not in found:
                there = f"there are {', '.join(found)}" if found else "there are none at all"
                problems.append((("exclude", index), f"there is no episode {name!r}; {there}"))
        kept = {name: path for name, path in found.items() if name not in self.file.exclude}
        if found and not kept:
            problems.append((("exclude",), "leaves no episode: take one out"))
        if not found:
            problem = f"{self.file.episodes!r} matches no file in {self.folder}: put videos there or change the pattern"
            problems.append((("episodes",), problem))
        return kept, problems

    def plan(self) -> Plan:
        """The show's plan with its sources as they are now; new or changed files are taken into the store."""
        episodes, problems = self._episodes()
        if not (self.folder / self.file.bible).is_file():
            missing = f"there is no file {self.file.bible!r}"
            problems.append((("bible",), f"{missing}: write one (`dailies init` has a first one), or name another"))
        show_file.refuse(self.folder, problems)
        taken = _Taken(self.store)
        outputs: dict[Node, Digest] = {}
        for name, path in episodes.items():
            beside = [each for each in path.parent.glob(f"{_escaped(path.stem)}.*") if each.suffix.lower() in SUBTITLES]
            subtitles = tuple(taken.file(each) for each in sorted(beside))
            outputs["episode", name] = self.store.put(Episode(id=name, video=taken.file(path), subtitles=subtitles))
        outputs["bible-source", SHOW] = self.store.put(self._bible(taken))
        outputs["review", SHOW] = self.latest_snapshot() or self.store.put(ReviewSnapshot())
        taken.save()
        return Plan(
            show=self.file.name,
            sources={source.name: source for source in dag.SOURCES},
            steps={step.name: step for step in dag.STEPS},
            configs=self.configs(),
            episodes=list(episodes),
            store=self.store,
            outputs=outputs,
        )

    def _bible(self, taken: "_Taken") -> BibleSource:
        path = self.folder / self.file.bible
        text = path.read_text(encoding="utf-8", errors="replace")
        pictures = {
            name: taken.file(each)
            for each in _below(path.parent)
            if each.suffix.lower() in PICTURES and (name := each.relative_to(path.parent).as_posix()) in text
        }
        return BibleSource(file=taken.file(path), pictures=pictures)

    # Snapshots of review decisions: each is kept for ever, the newest is the source.

    def latest_snapshot(self) -> Digest | None:
        names = sorted(path.name for path in (self.store.root / "snapshots").glob("*"))
        return Digest((self.store.root / "snapshots" / names[-1]).read_text()) if names else None

    def numbered_snapshots(self) -> dict[str, Digest]:
        """All snapshots by their number, the newest last."""
        paths = sorted((self.store.root / "snapshots").glob("*"))
        return {path.name.partition("-")[0].lstrip("0"): Digest(path.read_text()) for path in paths}

    def snapshots(self) -> frozenset[Digest]:
        return frozenset(Digest(path.read_text()) for path in (self.store.root / "snapshots").glob("*"))

    def keep_snapshot(self, snapshot: ReviewSnapshot | None = None) -> bool:
        """Make `snapshot` (default: the last one), with the batch edits made by now, the newest; False where nothing
        changed since the last.
        """
        with self.store.lock("snapshots"):
            last = self.latest_snapshot()
            if snapshot is None:
                snapshot = self.store.get(last, ReviewSnapshot) if last else ReviewSnapshot()
            edits = tuple(edit for edit in self.edits() if edit.what not in _ABOUT_QUESTIONS)
            digest = self.store.put(snapshot.model_copy(update={"edits": edits}))
            if digest == (last or self.store.put(ReviewSnapshot())):
                return False
            folder = self.store.root / "snapshots"
            number = len(list(folder.glob("*"))) + 1
            self.store.replace(folder / f"{number:06d}-{digest[:12]}", digest.encode())
            return True

    # The log of batch edits: entries are added, never changed.

    def edits(self) -> tuple[BatchEdit, ...]:
        """All batch edits, the oldest first."""
        return tuple(self.store.get(Digest(path.read_text()), BatchEdit) for path in self._edit_paths())

    def kept(self) -> frozenset[Digest]:
        """What stays for ever: snapshots and batch edits."""
        return self.snapshots() | {Digest(path.read_text()) for path in self._edit_paths()}

    def add_edit(self, edit: BatchEdit) -> BatchEdit:
        """Put `edit` at the end of the log, and the log into a new snapshot; the edit with its number."""
        with self.store.lock("edits"):
            number = len(self._edit_paths()) + 1
            numbered = edit.model_copy(update={"id": str(number)})
            digest = self.store.put(numbered)
            self.store.publish(self.store.root / "edits" / f"{number:06d}-{digest[:12]}", digest.encode())
        if edit.what not in _ABOUT_QUESTIONS:
            self.keep_snapshot()
        return numbered

    def _edit_paths(self) -> list[Path]:
        return sorted((self.store.root / "edits").glob("*"))


class _Taken:
    """Files already in the store, known by path, size and time, so that an unchanged episode is not read again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.root / "sources.json"
        self._known: dict[str, list[Any]] = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._seen: dict[str, list[Any]] = {}

    def file(self, path: Path) -> File:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path))
        if known and known[:3] == stamp:
            file = File(digest=Digest(known[3]), name=path.name, size_bytes=status.st_size)
            if self._store.has(file):
                self._seen[str(path)] = known
                return file
        file = self._store.put_file(path)
        self._seen[str(path)] = [*stamp, file.digest]
        return file

    def save(self) -> None:
        if self._seen != self._known:
            self._store.replace(self._path, json.dumps(self._seen, indent=0).encode())


def open_show(folder: Path) -> Show:
    """Read and check a show. Raises ValueError naming everything that is wrong with show.toml, with its lines."""
    file = show_file.load(folder)
    told = {name: _with_token(table, token_file(folder, name)) for name, table in file.hosts.items()}
    file = file.model_copy(update={"hosts": told})
    return Show(folder.resolve(), file, Settings(**file.settings.model_dump(exclude_unset=True)))


def token_file(folder: Path, name: str) -> Path:
    """Where `dailies host init` keeps a host's token: no part of show.toml, and for this user's eyes only."""
    return folder / ".dailies" / "hosts" / name / "token"


def _with_token(table: places.HostTable, kept: Path) -> places.HostTable:
    if table.token or not kept.is_file():
        return table
    return table.model_copy(update={"token": SecretStr(kept.read_text(encoding="utf-8").strip())})


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _below(folder: Path) -> list[Path]:
    """All files below a folder, those of hidden ones aside: the store's are many and no pictures of a bible."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [Path(here, name) for name in names]
    return sorted(found)
