"""step2-double: every number twice, slowly, one item at a time."""

import time

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from toy.lib import arithmetic
from toy.records import Number, Numbers


class Config(StepConfig):
    seconds: float = 0.0


@step(version=1)
def run(config: Config, work: Workspace, *, step1_read: Numbers) -> Numbers:
    def make(indexes):
        for index in indexes:
            time.sleep(config.seconds)
            with (work.store.root / "made.log").open("a") as log:
                log.write(f"{step1_read.numbers[index]}\n")
            yield Number(value=arithmetic.double(step1_read.numbers[index]))

    doubled = work.memo(Number).fill(list(step1_read.numbers), make)
    return Numbers(title=step1_read.title, numbers=tuple(n.value for n in doubled))
