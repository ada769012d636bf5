"""Where things are and how much may run at once. Read by control only; never part of a fingerprint."""

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PROJECT = Path(__file__).resolve().parents[1]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dailies"


def _label_studio() -> Path:
    return PROJECT / ".venv-label-studio" / "bin" / "label-studio"


class Settings(BaseSettings):
    """The `[settings]` table of show.toml; an environment variable `DAILIES_<NAME>` goes before it."""

    model_config = SettingsConfigDict(env_prefix="DAILIES_", frozen=True, extra="forbid")

    cache: Path = Field(
        default_factory=_cache, description="folder of model weights and other files that can be made again"
    )
    cpu_slots: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="CPU jobs at once; all cores by default"
    )
    cuda_slots: int = Field(default=1, ge=1, description="GPU jobs at once on this machine")
    gpu_price_per_hour: float | None = Field(
        default=None, ge=0, description="what an hour of a GPU costs, for forecasts and the account of what was spent"
    )
    currency: str = Field(default="$", min_length=1, max_length=8, description="in which that price is")
    host: str = Field(default="127.0.0.1", description="address that the panel and Label Studio listen on")
    panel_port: int = Field(default=8501, ge=1, le=65535, description="the panel's port")
    label_studio_port: int = Field(
        default=8080, ge=1, le=65535, description="port of the Label Studio that `dailies up` starts"
    )
    label_studio_executable: Path = Field(
        default_factory=_label_studio, description="the one that `dailies up` starts; `make setup` makes it"
    )
    label_studio_database: SecretStr | None = Field(
        default=None,
        description="its PostgreSQL, `postgresql://user:password@host:port/name`, instead of SQLite; best kept in the"
        " environment",
    )
    label_studio_data: Path | None = Field(
        default=None,
        description="its folder of logins, exports and logs; by default `.dailies/label-studio` of the show",
    )
    label_studio_url: str | None = Field(default=None, description="a server of your own, instead of starting one")
    label_studio_token: SecretStr | None = Field(
        default=None, description="its access token (legacy or personal); best kept in the environment"
    )
    webhook_url: SecretStr | None = Field(
        default=None,
        description="gets a JSON message by POST when a run stalls or ends; best kept in the environment",
    )
    model_server_url: str | None = Field(
        default=None,
        description="an OpenAI-compatible server (vLLM, SGLang, llama.cpp) of the models that steps name `server:…`",
    )
    mirror: str | None = Field(
        default=None,
        description="where several machines share results: `sftp://user@host/~/folder`, `s3://bucket/folder` (with s3fs"
        " installed), `file:///folder`",
    )
    ssh_config: Path | None = Field(default=None, description="an ssh_config for `sftp://`, instead of the user's own")
    model_server_key: SecretStr | None = Field(default=None, description="its API key; best kept in the environment")

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches what listens on `host`; "every address" is no address to call."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def table() -> str:
    """The settings as Markdown, for the README."""
    lines = ["| setting (`[settings]`, or `DAILIES_<NAME>` in the environment) | meaning |", "| --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = f"; default {field.default}" if isinstance(field.default, int | str) else ""
        lines.append(f"| `{name}` | {field.description}{default} |")
    return "\n".join(lines)
