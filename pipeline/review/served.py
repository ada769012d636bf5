"""The files that reviewers see, under the folder that Label Studio serves, named by their content."""

import errno
import os
import shutil
from pathlib import Path, PurePosixPath

from pipeline.engine.records import File
from pipeline.engine.store import Store

FOLDER = "clips"
"""Label Studio serves only sub-folders of its document root."""


class Served:
    """Hands out the URL of a file of the store, and puts a link to it where Label Studio looks.

    A name is made of the content, so that a URL never changes while what it shows does not. `root` is the document root
    as this machine sees it, `there` as the server does (another mount of a shared folder); the same where it is None.
    """

    def __init__(self, store: Store, root: Path, there: str | None = None) -> None:
        self._store = store
        self._root = root.resolve()
        self.folder = str(PurePosixPath(there) / FOLDER) if there else str(self._root / FOLDER)
        self._names: dict[tuple[str, str], str] = {}
        (self._root / FOLDER).mkdir(parents=True, exist_ok=True)

    def url(self, file: File) -> str:
        """Raises KeyError where the store lacks the file."""
        name = self._names.get((file.digest, file.name))  # A picture of the bible is in hundreds of tasks.
        if name is None:
            name = f"{FOLDER}/{file.digest[:2]}/{file.digest}{Path(file.name).suffix.lower()}"
            target = self._root / name
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                _place(self._store.path_of(file), target)
            self._names[file.digest, file.name] = name
        # Relative, so that any host name and the reviewer's cookie do.
        return f"/data/local-files/?d={name}"


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:  # Another push was faster.
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, aside)
        aside.replace(target)
