"""step3-total: one figure for the show."""

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from toy.records import Number, Numbers, Total


class Config(StepConfig):
    pass


@step(version=1, per="show")
def run(config: Config, work: Workspace, *, step2_double: dict[str, Numbers], step2_count: dict[str, Number]) -> Total:
    total = sum(sum(each.numbers) for each in step2_double.values())
    report = work.scratch / "report.txt"
    report.write_text(f"{total} of {sum(each.value for each in step2_count.values())} numbers\n")
    return Total(total=total, report=work.keep(report))
