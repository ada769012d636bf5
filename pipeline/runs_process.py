"""A job's own process: it runs the command, and tells a webhook when the run stalls or ends.

`[settings] webhook_url` gets a JSON object by POST: `event` ("stalled", "moving", "done", "failed", "stopped", "died"),
`show`, `run`, `by`, `job`, `step`, `unit`, `at`, `of`, `seconds`, `url` of the panel's page, and the same in words as
`text` and `content`, which the common chat programs show. Told from here, it needs no panel and no open browser.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline import jobs, runs, runs_pace
from pipeline.engine.events import Events
from pipeline.runs import Run
from pipeline.runs_told import Job
from pipeline.show import Show, open_show

LOOK_SECONDS = 5.0
PAUSES_SECONDS = (0.0, 2.0, 10.0, 30.0)  # before each try to reach the webhook
_ANSWER_SECONDS = 10.0

Say = Callable[[str], None]


def notice(show: Show, event: str, run: Run | None, started: jobs.Job, job: Job | None = None) -> dict[str, Any]:
    """What is posted."""
    # Of several jobs, the one that it is about: a training before others, else what was heard of last.
    known = sorted(run.told.jobs.values(), key=lambda each: (each.training is not None, each.at)) if run else []
    job = job or (known[-1] if known else None)
    at, of = runs_pace.place(job) if job else (0, 0)
    settings = show.settings
    url = f"http://{settings.reachable_host}:{settings.panel_port}/runs" + (f"?run={run.id}" if run else "")
    words = run.words if run else "\n".join(started.lines[-3:])
    what = f"{job.step} of {show.file.name if job.unit == 'show' else job.unit}" if job else f"dailies {started.verb}"
    place = f" at {at:,} of {of:,}" if of else ""
    text = f"{what}: {event}{place}" + (f"\n{words}" if words else "") + f"\n{url}"
    return {
        "event": event,
        "show": show.file.name,
        "run": run.id if run else "",
        "job": started.id,
        "by": started.by,
        "step": job.step if job else "",
        "unit": job.unit if job else "",
        "at": at,
        "of": of,
        "seconds": round(run.seconds if run else started.seconds, 1),
        "url": url,
        "text": text,
        "content": text,
    }


def post(url: str, body: Mapping[str, Any], say: Say, pauses: tuple[float, ...] = PAUSES_SECONDS) -> bool:
    """Tell the webhook, several times if need be; whether it was told. Its address may hold a secret: none is said."""
    import httpx

    reason = ""
    for pause in pauses:
        time.sleep(pause)
        try:
            answer = httpx.post(url, json=dict(body), timeout=_ANSWER_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = type(error).__name__
            continue
        if answer.is_success:
            return True
        reason = f"it answered {answer.status_code}"
        if answer.status_code < 500 and answer.status_code not in (408, 429):
            break  # Asking the same again would be answered the same.
    say(f"the webhook could not be told that this is {body['event']} ({reason}): look at [settings] webhook_url")
    return False


class Watch:
    """Looks at the run that a job makes; a run that stalls is told once, and once more when it moves again."""

    def __init__(self, show: Show, job_id: str, url: str, say: Say, patience: float = runs_pace.STALL_SECONDS) -> None:
        self._show, self._job, self._url, self._say, self._patience = show, job_id, url, say, patience
        self._stalled: set[str] = set()

    def look(self, now: float) -> list[str]:
        """What is told now: "stalled" or "moving", for each job of the run to which it just happened."""
        run = runs.of_job(self._show, self._job)
        told = []
        for key, job in run.told.jobs.items() if run else ():
            is_stalled = job.state == "running" and runs_pace.is_stalled(job, now, self._patience)
            if is_stalled == (key in self._stalled):
                continue
            self._stalled ^= {key}
            if is_stalled or job.state == "running":
                told.append("stalled" if is_stalled else "moving")
                self.tell(told[-1], run, job)
        return told

    def end(self) -> None:
        """The job is over."""
        run, started = runs.of_job(self._show, self._job), jobs.find(self._show.state, self._job)
        if started is not None:
            over = started.state if run is None or run.state == "running" else run.state
            self.tell(over, run)

    def tell(self, event: str, run: Run | None, job: Job | None = None) -> None:
        started = jobs.find(self._show.state, self._job)
        assert started is not None
        post(self._url, notice(self._show, event, run, started, job), self._say)


def _watched(folder: Path, arguments: list[str], over: threading.Event) -> None:
    """Beside the command, until it is over. A show that cannot be read is the command's to tell."""
    if arguments[0] != "run":
        return
    try:
        show = open_show(Path(arguments[-1]))
    except ValueError:
        return
    if show.settings.webhook_url is None:
        return
    events = Events(folder / "events.jsonl")
    url = show.settings.webhook_url.get_secret_value()
    watch = Watch(show, folder.name, url, lambda words: events.emit("log", message=words))
    while not over.wait(LOOK_SECONDS):
        watch.look(time.time())
    watch.end()


def main(folder: Path, lock: int, arguments: list[str]) -> int:
    over = threading.Event()
    beside = threading.Thread(target=_watched, args=(folder, arguments, over), daemon=True)
    beside.start()
    code = jobs.work(folder, lock, arguments)
    over.set()
    beside.join()
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
