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

    cache: Path = Field(default_factory=_cache, description="Model weights and other files that can be made again.")
    cpu_slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="CPU jobs at once.")
    cuda_slots: int = Field(default=1, ge=1, description="GPU jobs at once on this machine.")
    host: str = Field(default="127.0.0.1", description="The address that the panel and Label Studio listen on.")
    panel_port: int = Field(default=8501, ge=1, le=65535)
    label_studio_port: int = Field(default=8080, ge=1, le=65535)
    label_studio_executable: Path = Field(default_factory=_label_studio)
    label_studio_url: str | None = Field(default=None, description="A server of your own; if none, one is started.")
    label_studio_token: SecretStr | None = Field(
        default=None, description="Its access token; best kept in the environment."
    )

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
