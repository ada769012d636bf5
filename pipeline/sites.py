"""A show's sites: this machine, and the hosts that its steps go to, each opened when the first job goes there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pipeline
from pipeline import host_state, pins, places, show_file
from pipeline.engine.ray import RayExecutor, RayHost
from pipeline.engine.run import LocalExecutor, Site, Sites
from pipeline.engine.step import Device
from pipeline.places import HostTable
from pipeline.schemas.located import KeyPath
from pipeline.schemas.weights import Weights
from pipeline.show import Show

_AHEAD = 2
"""Jobs that a host is given for each GPU: one works, and the next one's data is there when it begins."""
_CPU_JOBS = 4
_PATIENCE_SECONDS = 20.0
"""A busy host may take longer to answer than a page would wait, and is no reason to send a job elsewhere."""


@contextmanager
def sites(show: Show) -> Iterator[Sites]:
    """Where steps run; leaving by an error stops what runs there. Raises ValueError for a host that cannot be used."""
    with ExitStack() as stack:
        here = Site(
            places.LOCAL,
            stack.enter_context(LocalExecutor()),
            {"cpu": show.settings.cpu_slots, "cuda": show.settings.cuda_slots},
        )
        opened: dict[str, Site] = {}

        def site(name: str) -> Site:
            if name == places.LOCAL:
                return here
            if name not in opened:
                executor = stack.enter_context(RayExecutor(ray_host(show, name), show.store))
                gpus = show.file.hosts[name].gpus
                opened[name] = Site(name, executor, {"cpu": _CPU_JOBS, "cuda": _AHEAD * gpus})
            return opened[name]

        def of(step: str, device: Device) -> Sequence[Site]:
            return [site(name) for name in places.places_of(step, device, show.file.hosts, show.file.places)]

        yield of


def refuse_unusable(show: Show, steps: Mapping[str, Device]) -> None:
    """Raise ValueError where a host that `steps` go to has no mirror, or weights that they take here have no folder."""
    problems: list[tuple[KeyPath, str]] = []
    for step, device in steps.items():
        where = places.places_of(step, device, show.file.hosts, show.file.places)
        if places.LOCAL in where:
            problems += _absent_weights(show, step)
        for name in where:
            if name != places.LOCAL:
                ray_host(show, name)
    show_file.refuse(show.folder, problems)


def _absent_weights(show: Show, step: str) -> Iterator[tuple[KeyPath, str]]:
    """Folders of models that a step takes and nobody has, the step having no other model to fall back on."""
    config = show.written()[step]
    for each in pins.named(config):
        folder = each.weights.folder()
        if folder and each.alone and not Path(show.services.place(folder)).is_dir():
            key = "model" if isinstance(config, Weights) else "models"
            yield ("steps", step, key), f"there is no folder {folder!r}: put the model there, or name another"


def ray_host(show: Show, name: str) -> RayHost:
    """What the engine must know of a host. Raises ValueError where the show and the host share no mirror."""
    table = show.file.hosts[name]
    if not show.settings.mirror:
        raise ValueError(
            f"host {name} gets its data by the mirror, and this show has none: set `mirror` in [settings] of show.toml,"
            " e.g. sftp://user@host/~/dailies-mirror, s3://bucket/folder or file:///shared/folder"
        )
    config = show.settings.ssh_config
    return RayHost(
        name=name,
        address=table.address,
        token=table.secret(name),
        mirror=show.settings.mirror,
        mirror_there=table.mirror or show.settings.mirror,
        folder=table.folder,
        packages=[Path(pipeline.__file__).parent],
        gpus=table.gpus,
        ssh_config=show.folder / config if config else None,
        check=partial(refuse_too_few, name, table),
    )


def refuse_too_few(name: str, table: HostTable, gpus: int) -> None:
    """Raise ValueError where the host does not answer, or has no `gpus` GPUs."""
    there = host_state.ask(name, table, _PATIENCE_SECONDS).gpus_declared
    if there < gpus:
        fewer = "ask for fewer (`gpus` of the step), or " if gpus > 1 else ""
        raise ValueError(
            f"Ray knows {there:g} GPUs on host {name}, the job needs {gpus}: {fewer}start Ray where they are"
            " (`nvidia-smi` shows them; `ray start --num-gpus` declares them)"
        )
