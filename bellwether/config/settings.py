"""Where an installation keeps things: ``BELLWETHER_*`` variables, or the command line."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one installation, read from the environment.

    Relative paths are taken from the directory the process starts in and made absolute at once, because Ray
    workers start elsewhere. A job submitted to a cluster should set ``BELLWETHER_HOME`` to shared storage.

    Parameters
    ----------
    home : Path
        Where everything below goes unless it is set by itself.
    lake : str
        Root of the lake: a directory or any ``pyarrow.fs`` URI such as ``s3://bucket/lake``.
    tracking_uri : str
        MLflow tracking store.
    runs : str
        Where sweeps keep their state; shared storage on a cluster.
    reports : str
        Directory where sweeps leave their page, table and figures.
    ledger : str
        The promotion ledger, a file that is only ever appended to.
    keys : str
        The hashes of the API keys that served apps accept, a file.
    api_key : SecretStr, optional
        The key that this installation's own commands send to a served app.
    market_data : Path
        Directory that relative source paths of recipes are taken from.
    """

    model_config = SettingsConfigDict(env_prefix="BELLWETHER_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".bellwether"), validate_default=True)
    lake: str = Field(default="", repr=False)  # this and the next may hold a password
    tracking_uri: str = Field(default="", repr=False)
    runs: str = ""
    reports: str = ""
    ledger: str = ""
    keys: str = ""
    api_key: SecretStr | None = None
    market_data: Path = Field(default=Path("../shared/data"), validate_default=True)

    @field_validator("home", "market_data")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, values: dict[str, object]) -> dict[str, object]:
        home = Path(str(values.get("home") or ".bellwether")).expanduser().absolute()
        below = {
            "lake": str(home / "lake"),
            "tracking_uri": f"sqlite:///{home / 'mlflow.db'}",
            "runs": str(home / "runs"),
            "reports": str(home / "reports"),
            "ledger": str(home / "promotions.jsonl"),
            "keys": str(home / "keys.json"),
        }
        chosen = {name: value for name, value in values.items() if value not in (None, "")}
        for name in ("lake", "runs", "reports", "ledger", "keys"):
            if name in chosen and "://" not in str(chosen[name]):
                chosen[name] = str(Path(str(chosen[name])).expanduser().absolute())
        return below | chosen
