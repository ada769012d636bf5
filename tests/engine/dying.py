"""`python dying.py FOLDER`: publish a run, killed at its first touch of the disk, at its second, and so on to the last.

Each time in a store of its own; prints as JSON, for each kill, what was wrong then, and after the same was done again.
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path

from pipeline.engine import upkeep
from pipeline.engine.records import File, Record
from pipeline.engine.store import Run, Store

TOUCHES = ("open", "os.link", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate")


class Made(Record):
    file: File


def publish(store):
    with store.scratch() as scratch:
        (scratch / "made.bin").write_bytes(b"x" * 100_000)
        output = Made(file=store.put_file(scratch / "made.bin", move=True))
        run = Run(
            name="run-toy-step-1",
            step="step",
            unit="show",
            key="0" * 64,
            recipe={"inputs": {}},
            output=store.put(output),
            seconds=0,
            finished=0,
        )
        store.save_run(run, output)


def die_at(touch):
    left = itertools.count(touch, -1)

    def hook(event, _):
        if event in TOUCHES and next(left) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def wrong(store):
    for path in (store.root / "runs").glob("*"):
        if {each.name for each in path.iterdir()} != {"run.json", "output.json", "files"}:
            yield f"{path.name} is half a run"
    yield from (f"{damage.path.name}: {damage.what}" for damage in upkeep.verify(store))


def main(folder):
    told = []
    for touch in itertools.count(1):
        store = Store(folder / str(touch))
        child = os.fork()
        if not child:
            die_at(touch)
            publish(store)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        after = list(wrong(store))
        store.sweep()
        publish(store)
        again = list(wrong(store))
        again += ["no run"] if store.head("step", "show") is None else []
        again += [f"left: {path.name}" for path in (store.root / "tmp").iterdir()]
        told.append([after, again])
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
