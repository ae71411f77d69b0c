"""The bases of the images, pinned by digest: `python -m infra.base_image` asks for those of today and writes them.

Nothing changes under a digest; security fixes of the base come by a commit that moves the pin, and by its tests.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import yaml

from passerelle.errors import SettingsError

PIN: Final = Path(__file__).with_name("images") / "base.yaml"
#: EMR Serverless runs only images that are built on its own.
SPARK_PIN: Final = PIN.parent / "spark" / "base.yaml"
#: An index of all platforms, as both Dockerfiles name one base: its digest holds on arm64 and x86-64.
INDEXES: Final = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
SECONDS: Final = 30


def base_reference(pin: Path = PIN) -> str:
    """Return `registry/name@sha256:…`, or `registry/name:tag` while no digest was written yet."""
    named = _read(pin)
    digest = named.get("digest")
    return f"{named['name']}@{digest}" if digest else f"{named['name']}:{named['tag']}"


def _read(pin: Path) -> dict[str, Any]:
    named = yaml.safe_load(pin.read_text("utf-8"))
    if not isinstance(named, dict) or not {"name", "tag"} <= named.keys():
        raise SettingsError(f"{pin}: expected `name`, `tag` and `digest`; found {named!r}.")
    digest = named.get("digest")
    if digest is not None and not (str(digest).startswith("sha256:") and len(str(digest)) == 71):
        raise SettingsError(f"{pin}: digest: {digest!r} is none; `python -m infra.base_image` writes today's.")
    return named


def digest_of_tag(name: str, tag: str, *, scheme: str = "https") -> str:
    """Ask the registry (OCI distribution specification, "Pulling manifests"), anonymously.

    Raises SettingsError when the registry cannot be reached, or has no image for several platforms under the tag.
    """
    host, repository = name.split("/", 1)
    root = f"{scheme}://{host}"
    try:
        with urllib.request.urlopen(f"{root}/token/?scope=repository:{repository}:pull", timeout=SECONDS) as answer:
            token = json.load(answer)["token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": INDEXES}
        asked = urllib.request.Request(f"{root}/v2/{repository}/manifests/{tag}", headers=headers, method="HEAD")
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
            kind, digest = answer.headers.get_content_type(), answer.headers.get("Docker-Content-Digest")
    except (urllib.error.URLError, KeyError, ValueError) as error:
        raise SettingsError(f"{host} does not tell the digest of {repository}:{tag}: {error}") from error
    if kind not in INDEXES or not digest:
        raise SettingsError(f"{name}:{tag} is {kind}, not an index of several platforms; name another tag.")
    return str(digest)


def pin_today(pin: Path = PIN, *, scheme: str = "https") -> str:
    """Write today's digest into the pin, comments and all else kept; returns the reference."""
    named = _read(pin)
    digest = digest_of_tag(named["name"], named["tag"], scheme=scheme)
    lines = [line for line in pin.read_text("utf-8").splitlines() if not line.startswith("digest:")]
    pin.write_text("\n".join([*lines, f"digest: {digest}"]) + "\n", encoding="utf-8")
    return base_reference(pin)


def main() -> int:
    """Pin, and print what the images are built on now."""
    try:
        for pin in (PIN, SPARK_PIN):
            print(pin_today(pin))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
