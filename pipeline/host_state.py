"""What a GPU host tells of itself: machines, GPUs, jobs and their queue, asked of Ray's dashboard with the token.

The addresses and names are those of Ray 2.60, whose dashboard turns names into camelCase on the way out.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipeline.gpus import Gpu
from pipeline.places import HostTable

PATIENCE_SECONDS = 3.0
"""For each of four questions: a healthy host answers all in a tenth of a second, over ssh in half a second."""

_LIVE, _WAITS = ("RUNNING", "STOPPING"), "PENDING"
_MB = 1 << 20  # Ray takes NVIDIA's bytes by 1024² and calls that MB.


@dataclass(frozen=True, slots=True)
class HostJob:
    """A job that runs on the host or waits there, whoever sent it."""

    id: str
    state: Literal["running", "waiting"]
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class HostState:
    """A host at one moment. `load` is in processors; `gpus` are the cards that its driver knows, `gpus_used` of
    `gpus_declared` what Ray has given to jobs. `idle_seconds` is how long nothing ran, None while something does or
    waits. `session` is another one each time that Ray was started.
    """

    session: str
    ray: str
    machines: int
    cpus: int
    load: float
    memory_bytes: int
    memory_used_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...]
    gpus_declared: float
    gpus_used: float
    jobs: tuple[HostJob, ...]
    idle_seconds: float | None


def ask(name: str, table: HostTable, patience: float = PATIENCE_SECONDS) -> HostState:
    """How the host called `name` is now. Raises ValueError with the remedy where it does not say."""
    return parsed(*answers(name, table, _QUESTIONS, patience))


def answers(name: str, table: HostTable, paths: Sequence[str], patience: float) -> list[Any]:
    """What the host's dashboard answers to each of `paths`. Raises ValueError with the remedy where it does not."""
    import httpx

    url, token = table.address.rstrip("/"), table.secret(name)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    is_here = "127.0.0.1" in url or "localhost" in url  # a tunnel: no proxy knows it
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=patience, trust_env=not is_here) as client:
            return [_answer(client, name, path) for path in paths]
    except httpx.HTTPError as error:
        raise ValueError(
            f"host {name} does not answer at {url} ({str(error) or type(error).__name__}): is it up "
            f"(`dailies host up {name}`), and its tunnel open (`dailies host ssh-tunnel {name}`)?"
        ) from None


_QUESTIONS = ("/api/version", "/nodes?view=summary", "/api/cluster_status", "/api/jobs/")


def _answer(client: Any, name: str, path: str) -> Any:
    answer = client.get(path)
    variable = f"DAILIES_HOST_{name.upper()}_TOKEN"
    if answer.status_code == 401:
        raise ValueError(f"host {name} wants its token: set {variable}, or `token` in [hosts.{name}] of show.toml")
    if answer.status_code == 403:
        raise ValueError(f"host {name} refuses the token: give {variable} that of `dailies host init {name}`")
    if answer.status_code >= 400:
        raise ValueError(f"host {name} answered {path} with {answer.status_code}: is that Ray's dashboard?")
    try:
        return answer.json()
    except ValueError:
        raise ValueError(f"host {name} answered {path} with no JSON: is that Ray's dashboard?") from None


def parsed(
    version: Mapping[str, Any], nodes: Mapping[str, Any], status: Mapping[str, Any], jobs: Iterable[Mapping[str, Any]]
) -> HostState:
    """The four answers in one. Pure."""
    found = [node for node in nodes["data"]["summary"] if node["raylet"].get("state") == "ALIVE"]
    told = [node for node in found if "now" in node]  # A machine that has just joined has told nothing of itself yet.
    report = (status["data"].get("clusterStatus") or {}).get("loadMetricsReport") or {}
    used, declared = report.get("usage", {}).get("GPU", (0.0, _declared(found)))
    live = [job for job in jobs if job["status"] in (*_LIVE, _WAITS)]
    # All by the host's own clock, which may not be this machine's.
    now = max([(status["data"].get("clusterStatus") or {}).get("time", 0.0), *(node["now"] for node in told)])
    last = [job["end_time"] / 1000 for job in jobs if job["end_time"]]
    last += [int(node["raylet"]["startTimeMs"]) / 1000 for node in found if node["raylet"].get("startTimeMs")]
    is_busy = bool(live or used or report.get("resourceDemand"))
    disks = [next(iter(node["disk"].values())) for node in told if node.get("disk")]
    return HostState(
        session=version.get("session_name", ""),
        ray=version["ray_version"],
        machines=len(found),
        cpus=sum(node["cpus"][0] for node in told),
        load=sum(node["cpu"] / 100 * node["cpus"][0] for node in told),
        memory_bytes=sum(node["mem"][0] for node in told),
        memory_used_bytes=sum(node["mem"][3] for node in told),
        disk_bytes=sum(int(disk["total"]) for disk in disks),
        disk_free_bytes=sum(int(disk["free"]) for disk in disks),
        gpus=tuple(_gpu(each) for node in told for each in node.get("gpus") or ()),
        gpus_declared=declared,
        gpus_used=used,
        jobs=tuple(_job(job) for job in sorted(live, key=lambda job: job["start_time"])),
        idle_seconds=None if is_busy or not last else max(0.0, now - max(last)),
    )


def _declared(nodes: Iterable[Mapping[str, Any]]) -> float:
    return float(sum(node["raylet"].get("resourcesTotal", {}).get("GPU", 0.0) for node in nodes))


def _job(job: Mapping[str, Any]) -> HostJob:
    return HostJob(
        id=job["submission_id"] or job["job_id"],
        state="waiting" if job["status"] == _WAITS else "running",
        at=datetime.fromtimestamp(job["start_time"] / 1000).astimezone(),
        message=job.get("message") or "",
    )


def _gpu(told: Mapping[str, Any]) -> Gpu:
    use, power = told.get("utilizationGpu"), told.get("powerMw")
    return Gpu(
        index=told["index"],
        name=told["name"],
        memory_bytes=told["memoryTotal"] * _MB,
        used_bytes=told["memoryUsed"] * _MB,
        use=None if use is None else use / 100,
        watts=None if power is None else power / 1000,
        celsius=told.get("temperatureC"),
        pids=(),
    )


@dataclass(slots=True)
class Glance:
    """The last answer of a host and how old it is; `state` None and `problem` empty: it was never asked before."""

    state: HostState | None = None
    problem: str = ""
    at: float = 0.0


@dataclass(slots=True)
class Glances:
    """Hosts as they were told last, asked again beside whoever looks: a page never waits for a host that is gone.

    One look at a new host waits `first_wait` seconds, so that one that is well is there at once.
    """

    fresh_seconds: float = 3.0
    first_wait: float = 0.3
    ask: Callable[[str, HostTable], HostState] = ask
    _known: dict[tuple[str, str, str | None], Glance] = field(default_factory=dict)
    _asking: dict[tuple[str, str, str | None], threading.Thread] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def look(self, name: str, table: HostTable) -> Glance:
        key = (name, table.address, table.secret(name))
        with self._guard:
            known, thread = self._known.get(key), self._asking.get(key)
            if thread is None and (known is None or time.monotonic() - known.at > self.fresh_seconds):
                thread = threading.Thread(target=self._refresh, args=(key, table), daemon=True)
                self._asking[key] = thread
                thread.start()
        if known is None and thread is not None:
            thread.join(self.first_wait)
            known = self._known.get(key)
        return known or Glance()

    def _refresh(self, key: tuple[str, str, str | None], table: HostTable) -> None:
        try:
            found = Glance(state=self.ask(key[0], table))
        except ValueError as error:
            found = Glance(problem=str(error))
        except Exception as error:
            # Another release of Ray may tell other things: the page says so, and the trace stands in its log.
            found = Glance(problem=f"host {key[0]} answered what this release does not know ({error!r})")
            raise
        finally:
            found.at = time.monotonic()
            with self._guard:
                self._known[key] = found
                self._asking.pop(key, None)
