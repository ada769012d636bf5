"""step2-count: how many numbers there are; it reads a projection only."""

import time

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from toy.records import Heads, Number


class Config(StepConfig):
    seconds: float = 0.0


@step(version=1, device="cuda")
def run(config: Config, work: Workspace, *, step1_read: Heads) -> Number:
    time.sleep(config.seconds)
    return Number(value=step1_read.count)
