"""What may go from a mirror: runs that nobody keeps, what only they are made of, and what cut transfers left there."""

import json
import time
import uuid
from collections.abc import Iterable

from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import Mirror, Moved
from pipeline.engine.mirror_known import DOUBT, GENERATION, OBJECTS, digest_of, name_of
from pipeline.engine.transport import ASIDE

UNREACHED = "state/unreached.json"
_LEFT_BEHIND = (f"{ASIDE}/", "state/job-", "state/asks-")


def gc(mirror: Mirror, keep: frozenset[str], grace_seconds: float, *, dry: bool = False) -> Moved:
    """Forget runs that are not in `keep`, and delete objects that no run reaches, once both were so for
    `grace_seconds`: another writer may just be about to need them. So old, what a cut transfer or a job that died left
    goes too.

    Returns what was (with `dry`: would be) deleted.
    """
    with mirror.store.lock(f"mirror-gc-{mirror.id()}"):
        names = mirror.runs()
        listed = mirror.transport.sizes([*OBJECTS, ASIDE, "state"])
        sizes = {digest_of(name): size for name, size in listed.items() if name.startswith("objects/")}
        made_of = {each.run.name: each.sizes.keys() for each in mirror.manifests(names)}
        wanted = {digest for name in keep & made_of.keys() for digest in made_of[name]}
        loose = {f"runs/{name}.json" for name in names if name not in keep}
        loose |= {name_of(digest) for digest in sizes.keys() - wanted}
        loose |= {name for name in listed if name.startswith(_LEFT_BEHIND)}
        since: dict[str, float] = json.loads(mirror.read(UNREACHED) or "{}")
        now = time.time()
        old = {name for name in loose if now - since.get(name, now) >= grace_seconds}
        # What a run is made of goes with the run, and not before.
        staying = {digest for name in names if f"runs/{name}.json" not in old for digest in made_of[name]}
        old -= {name_of(digest) for digest in staying}
        gone = {digest_of(name) for name in old if name.startswith("objects/")}
        old |= {name for name in listed if name.startswith(DOUBT) and name.removeprefix(DOUBT) in gone}
        if not dry:
            mirror.transport.remove(sorted(old))
            mirror.write(UNREACHED, json.dumps({name: since.get(name, now) for name in loose - old}))
            if old:
                mirror.write(GENERATION, uuid.uuid4().hex)
                _withdraw(mirror, set(mirror.runs()) - set(names), gone)
        runs = sum(name.startswith("runs/") for name in old)
        return Moved(len(gone), sum(sizes[digest] for digest in gone), len(sizes) - len(gone), runs)


def _withdraw(mirror: Mirror, names: Iterable[str], gone: set[Digest]) -> None:
    """Runs that somebody told of while what they are made of was deleted are told of again when it is sent again."""
    lost = [each.run.name for each in mirror.manifests(list(names)) if each.sizes.keys() & gone]
    mirror.transport.remove([f"runs/{name}.json" for name in lost])
