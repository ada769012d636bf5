"""`python -m toy SHOW COMMAND [STEP]`: tapes/*.txt through the toy pipeline, as the real CLI would.

`only EPISODE` runs one episode, and what is made of the show.
"""

import json
import sys
import uuid
from pathlib import Path

from pipeline.engine import explain, upkeep
from pipeline.engine.plan import Plan
from pipeline.engine.run import LocalExecutor, Site, update
from pipeline.engine.store import Store
from toy import dag, records


def main(show: Path, command: str, *arguments: str) -> None:
    store = Store(show / "store")
    tapes = {
        path.stem: records.Tape(title=path.stem, file=store.put_file(path)) for path in sorted(show.glob("tapes/*"))
    }
    settings = json.loads((show / "settings.json").read_text())
    plan = Plan(
        show="toy",
        sources={each.name: each for each in dag.SOURCES},
        steps={each.name: each for each in dag.STEPS},
        configs={each.name: each.config.model_validate(settings.get(each.name, {})) for each in dag.STEPS},
        episodes=list(tapes),
        store=store,
        outputs={("tape", name): store.put(tape) for name, tape in tapes.items()},
    )
    if command in ("run", "sample", "only"):
        limits = {arguments[0]: int(arguments[1])} if command == "sample" else {}
        targets, episodes = (None, arguments) if command == "only" else (None if limits else arguments or None, None)
        with LocalExecutor() as executor:
            here = Site("local", executor, {"cpu": 2, "cuda": 1})
            report = update(
                plan,
                plan.nodes(targets, episodes),
                lambda *_: [here],
                registry="toy.dag",
                cache=show / "cache",
                runs=show / "runs" / uuid.uuid4().hex,
                limits=limits,
            )
        answer = {
            "ran": [[*node] for node, _, _ in report.ran],
            "fresh": [[*node] for node, _ in report.fresh],
            "failed": [[*node, why] for node, why in report.failed],
            "blocked": [[*node, why] for node, why in report.blocked],
            "sampled": [[*node, s.total, [json.loads(i.read_bytes()) for i in s.items]] for node, s in report.sampled],
        }
    elif command == "status":
        answer = [[s.step, s.unit, s.state, s.why] for s in explain.survey(plan)]
    elif command == "adopt":
        for node in plan.nodes([arguments[0]]):
            if node[0] == arguments[0]:
                upkeep.adopt(plan, node, by="tester", why="same results")
            plan.outputs[node] = store.head(*node).output
        answer = "adopted"
    else:
        answer = {
            "verify": lambda: [damage.what for damage in upkeep.verify(store, repair=True)],
            "gc": lambda: upkeep.gc(store, roots=frozenset(), grace_seconds=0).runs,
        }[command]()
    print(json.dumps(answer))


main(Path(sys.argv[1]), *sys.argv[2:])
