"""step1-read: the numbers on a tape."""

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from toy.records import Numbers, Tape


class Config(StepConfig):
    upper_limit: int = 1000


@step(version=1)
def run(config: Config, work: Workspace, *, tape: Tape) -> Numbers:
    words = work.open(tape.file).read_text().split()
    numbers = [int(word) for word in words]
    # A number above the limit is left out.
    return Numbers(title=tape.title.strip(), numbers=tuple(n for n in numbers if n <= config.upper_limit))
