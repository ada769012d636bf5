"""Where steps run: `[hosts.NAME]` and `[places]` of show.toml. Places change no result and no fingerprint."""

import os
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pipeline.engine.step import Device

LOCAL, ANYWHERE = "local", "anywhere"


def _plain(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise ValueError(f"a host's name is small letters, digits and _, as in `my_gpu` (at most 40), not {name!r}")
    return name


HostName = Annotated[str, AfterValidator(_plain)]


class HostTable(BaseModel):
    """`[hosts.NAME]`: a Ray cluster, one machine or many, that the GPU steps run on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(
        default="http://127.0.0.1:8265",
        pattern=r"^https?://[^/\s]+/?$",
        description="Ray's Job API, as this machine reaches it; through `dailies host ssh-tunnel` the default",
    )
    token: SecretStr | None = Field(
        default=None, description="Ray's token; best kept in the environment, as `DAILIES_HOST_<NAME>_TOKEN`"
    )
    mirror: str | None = Field(
        default=None, description="the show's mirror as that host reaches it; by default as this machine does"
    )
    folder: str = Field(default="~/dailies", description="on the host: its own store and cache, kept between jobs")
    gpus: int = Field(default=1, ge=1, description="GPUs of the cluster")
    price_per_hour: float | None = Field(default=None, ge=0, description="of the whole host, in `currency`")
    idle_minutes: float = Field(default=20, gt=0, description="without a GPU job before it is worth a warning")
    stop_command: str | None = Field(
        default=None, description="run here by `sh` once the host was idle for so long, e.g. the renter's CLI"
    )
    ssh: str | None = Field(default=None, description="`user@machine`, for `dailies host init|up|down|ssh-tunnel`")
    ssh_port: int = Field(default=22, ge=1, le=65535, description="its ssh port")

    def secret(self, name: str) -> str | None:
        """The token of the host called `name`: the environment's goes before show.toml's."""
        from_there = os.environ.get(f"DAILIES_HOST_{name.upper()}_TOKEN")
        return from_there or (self.token.get_secret_value() if self.token else None)


def places_of(step: str, device: Device, hosts: Mapping[str, HostTable], places: Mapping[str, str]) -> tuple[str, ...]:
    """Where a step's jobs may run, the best first: "local", or hosts by name.

    CPU steps run here, CUDA steps on the hosts, where there is one; `places` overrules. "anywhere" is whatever is free.
    Raises ValueError for a host that there is not.
    """
    named = places.get(step)
    if named == LOCAL:
        return (LOCAL,)
    if named == ANYWHERE:
        return (*hosts, LOCAL) if device == "cuda" else (LOCAL, *hosts)
    if named is None:
        return tuple(hosts) or (LOCAL,) if device == "cuda" else (LOCAL,)
    if named not in hosts:
        there = ", ".join([LOCAL, ANYWHERE, *hosts])
        raise ValueError(f"[places] {step} = {named!r}: there is no such host; there are {there}")
    return (named,)
