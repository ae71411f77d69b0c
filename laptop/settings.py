"""Where the laptop platform lives and how it behaves: one frozen record, read once at start."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from passerelle.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT_ID = "000000000000"

#: Image repository name -> the command that stands for the image's ENTRYPOINT.
DEFAULT_IMAGES: Mapping[str, tuple[str, ...]] = {"passerelle-training": (sys.executable, "-m", "training")}


@dataclass(frozen=True, kw_only=True)
class LaptopSettings:
    """Settings of one laptop platform.

    `home` holds all state; two platforms with different homes and ports do not see each other.
    `images` maps the last path part of an image URI (without tag or digest) to the local command that stands for
    the image's ENTRYPOINT. `spot_interruption_rate` is the probability, per training job on managed spot, that one
    interruption happens; the draw depends only on `seed` and the job's name.
    """

    home: Path
    port: int = 4566
    mlflow_port: int = 5000
    region: str = REGION
    account_id: str = ACCOUNT_ID
    images: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_IMAGES))
    spot_interruption_rate: float = 0.0
    seed: int = 0
    #: Share of the on-demand price that spot saves. SageMaker bills spot by shortening BillableTimeInSeconds; AWS
    #: publishes no SageMaker spot prices, so this is the middle of EC2's for the usual training types.
    spot_saving: float = 0.6
    stop_grace_seconds: float = 120.0
    #: SageMaker starts instances in minutes; the laptop need not. Seconds that a job stays in Starting.
    launch_seconds: float = 0.0
    #: Every request must be signed by somebody whom IAM's policies allow it. The zones refuse what comes without TLS,
    #: so this implies it.
    enforce: bool = False
    #: AWS's address speaks HTTPS only, with a certificate of an authority made for this home.
    tls: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tls", self.tls or self.enforce)

    @property
    def endpoint_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def tls_folder(self) -> Path:
        """The authority that clients trust, the certificate and its key."""
        return self.home / "tls"

    @property
    def sagemaker_home(self) -> Path:
        """Job folders, model folders and the SageMaker state database."""
        return self.home / "sagemaker"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> LaptopSettings:
        """Read PASSERELLE_HOME, _PORT, _MLFLOW_PORT, _SPOT_INTERRUPTION_RATE, _SEED, _IMAGES, _STOP_GRACE, _LAUNCH.

        PASSERELLE_ENFORCE and _TLS (1 or 0), where they are not set, are as the home was last started with.

        Raises SettingsError, which names the variable, for a value that is no number or out of range.
        """
        images = json.loads(environ.get("PASSERELLE_IMAGES", "null")) or DEFAULT_IMAGES
        home = Path(environ.get("PASSERELLE_HOME", REPOSITORY / ".passerelle")).resolve()
        before = _started_with(home)
        return cls(
            home=home,
            port=int(_number(environ, "PASSERELLE_PORT", 4566, least=1, most=65_535, whole=True)),
            mlflow_port=int(_number(environ, "PASSERELLE_MLFLOW_PORT", 5000, least=1, most=65_535, whole=True)),
            spot_interruption_rate=_number(environ, "PASSERELLE_SPOT_INTERRUPTION_RATE", 0.0, most=1.0),
            seed=int(_number(environ, "PASSERELLE_SEED", 0, whole=True)),
            images={name: tuple(command) for name, command in images.items()},
            stop_grace_seconds=_number(environ, "PASSERELLE_STOP_GRACE", 120.0),
            launch_seconds=_number(environ, "PASSERELLE_LAUNCH", 0.0),
            enforce=bool(_number(environ, "PASSERELLE_ENFORCE", before["enforce"], most=1, whole=True)),
            tls=bool(_number(environ, "PASSERELLE_TLS", before["tls"], most=1, whole=True)),
        )

    @property
    def is_remembered(self) -> bool:
        """Return whether the home was last started with these switches for policies and TLS."""
        return _started_with(self.home) == {"enforce": int(self.enforce), "tls": int(self.tls)}

    def remember(self) -> None:
        """Let every later command know how to talk to this home."""
        (self.home / _SWITCHES).write_text(json.dumps({"enforce": int(self.enforce), "tls": int(self.tls)}))

    def as_environment(self) -> dict[str, str]:
        """Return what `from_env` reads, for the processes of this platform."""
        return {
            "PASSERELLE_HOME": str(self.home),
            "PASSERELLE_PORT": str(self.port),
            "PASSERELLE_MLFLOW_PORT": str(self.mlflow_port),
            "PASSERELLE_SPOT_INTERRUPTION_RATE": str(self.spot_interruption_rate),
            "PASSERELLE_SEED": str(self.seed),
            "PASSERELLE_IMAGES": json.dumps({name: list(command) for name, command in self.images.items()}),
            "PASSERELLE_STOP_GRACE": str(self.stop_grace_seconds),
            "PASSERELLE_LAUNCH": str(self.launch_seconds),
            "PASSERELLE_ENFORCE": str(int(self.enforce)),
            "PASSERELLE_TLS": str(int(self.tls)),
        }


_SWITCHES: Final = "switches.json"


def _started_with(home: Path) -> dict[str, int]:
    try:
        found = json.loads((home / _SWITCHES).read_text())
        return {"enforce": int(found["enforce"]), "tls": int(found["tls"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"enforce": 0, "tls": 0}


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    *,
    least: float = 0.0,
    most: float = float("inf"),
    whole: bool = False,
) -> float:
    text = environ.get(name, str(default))
    try:
        value = float(int(text)) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise SettingsError(f"{name} is {text!r}, but must be {kind} from {least:g} to {most:g}.")
    return value
