"""step2-items: items with a file each, that tell who makes them, and wait as long as they are held."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from patient.steps.step1_wait import TakenNote
from pipeline.engine.records import File, Record
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import StoppedError, Workspace


class Config(StepConfig):
    at: str = ""
    count: int = 4
    stops: bool = False


class Kept(Record):
    value: int
    file: File


@step(version=1, per="show")
def run(config: Config, work: Workspace) -> TakenNote:
    at = Path(config.at)

    def make(indexes: Sequence[int]) -> Iterator[Kept]:
        for index in indexes:
            with (at / f"begun-{index}").open("a") as stream:
                stream.write(f"{os.getpid()}\n")
            while (at / f"held-{index}").exists() or (at / "held").exists():
                time.sleep(0.01)
            path = work.scratch / f"{index}.txt"
            path.write_text(f"item {index}")
            yield Kept(value=index, file=work.keep(path))

    made = work.memo(Kept).fill([[index, config.count] for index in range(config.count)], make)
    if config.stops:
        raise StoppedError("stopped as was asked")
    return TakenNote(text=" ".join(str(each.value) for each in made))
