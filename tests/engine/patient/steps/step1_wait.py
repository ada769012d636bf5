"""step1-wait: waits until it is asked to end, and keeps that it was."""

import time

from pipeline.engine.records import Record
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import StoppedError, Workspace


class Config(StepConfig):
    is_graceful: bool = True
    finishes: bool = False


class TakenNote(Record):
    text: str


@step(version=1, per="show")
def run(config: Config, work: Workspace) -> TakenNote:
    asked = work.graceful() if config.is_graceful else None
    work.tell(TakenNote(text="begun"))
    heard: list[str] = []
    while asked is None or not asked.is_set():
        heard += work.asked()
        if heard:
            work.tell(TakenNote(text=" ".join(heard)))
            heard.clear()
            if config.finishes:
                return TakenNote(text="finished")
        time.sleep(0.01)
    work.memo(TakenNote).add("where it was", TakenNote(text="kept"))
    raise StoppedError("stopped as was asked")
