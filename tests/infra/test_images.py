"""Container images: built on one pinned base, by CodeBuild or by the deploying machine's Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from checks.assemblies import assembly
from infra.base_image import PIN, base_reference, pin_today
from infra.constructs.built_image import BUILD_SPEC, TRACKING, TRAINING
from passerelle.errors import SettingsError
from tests.infra.conftest import ROOT
from tests.infra.matters import RULES
from tests.infra.matters.platform import Platform

DIGEST = "sha256:" + "ab" * 32
PINNED = "# why\nname: registry.example.com/python\ntag: '3.12'\ndigest:\n"


@pytest.fixture(scope="module")
def by_docker() -> Path:
    """dev, with images that Docker builds."""
    text = (ROOT / "environments" / "dev.yaml").read_text("utf-8")
    changed = text.replace("images: {source: codebuild}", "images: {source: docker}")
    assert changed != text
    return assembly("dev", {"environments/dev.yaml": changed})


def test_docker_builds_both_images_for_the_platform_that_runs_them(by_docker: Path) -> None:
    assets = [json.loads(path.read_text())["dockerImages"] for path in by_docker.glob("*Images*.assets.json")]
    images = [image for found in assets for image in found.values()]
    built = {image["source"]["dockerFile"]: image["source"] for image in images}
    assert {name: source["platform"] for name, source in built.items()} == {
        "training/Dockerfile": "linux/amd64",
        "Dockerfile": "linux/arm64",
    }
    assert {source["dockerBuildArgs"]["BASE"] for source in built.values()} == {base_reference()}
    for name, source in built.items():
        assert (by_docker / source["directory"] / name).is_file()


def test_with_docker_nothing_is_built_on_aws_and_jobs_may_pull_that_repository_only(by_docker: Path) -> None:
    platform = Platform.read("dev", by_docker)
    assert list(platform.of("AWS::CodeBuild::Project", "AWS::ECR::Repository", "Custom::PasserelleImage")) == []
    text = json.dumps(platform.stacks)
    assert "cdk-hnb659fds-container-assets-111111111111-us-east-1:" in text
    assert "repository/cdk-hnb659fds-container-assets-111111111111-us-east-1" in text
    assert "repository/passerelle-*" not in text
    assert {name: list(rule(platform)) for name, rule in RULES.items() if list(rule(platform))} == {}


@pytest.mark.parametrize("source", [TRAINING, TRACKING], ids=lambda source: source.name)
def test_every_stage_of_an_image_is_built_on_the_pinned_base(source: Any) -> None:
    lines = (ROOT / source.base / source.dockerfile).read_text("utf-8").splitlines()
    stages = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(stages) == {"${BASE}"}
    (default,) = [line.removeprefix("ARG BASE=") for line in lines if line.startswith("ARG BASE=")]
    assert default == re.sub("@.*", "", f"{_pin('name')}:{_pin('tag')}")
    assert not any(line.startswith("FROM ") for line in lines[: lines.index(f"ARG BASE={default}")])


def _pin(field: str) -> str:
    return re.findall(rf"^{field}: (.*)$", PIN.read_text("utf-8"), re.M)[0]


@pytest.mark.parametrize(
    ("base", "used"),
    [
        ("registry.example.com/python:3.12", "registry.example.com/python@sha256:resolved"),
        (f"registry.example.com/python@{DIGEST}", f"registry.example.com/python@{DIGEST}"),
    ],
)
def test_the_build_uses_one_digest_for_all_stages_and_says_which(tmp_path: Path, base: str, used: str) -> None:
    (tmp_path / "base.txt").write_text(base + "\n")
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\necho "$@" >> asked\n[ "$1" = inspect ] && echo registry.example.com/python@sha256:resolved\nexit 0\n'
    )
    docker.chmod(0o755)
    # CodeBuild runs a phase's commands in one shell.
    script = "\n".join(BUILD_SPEC["phases"]["build"]["commands"])  # type: ignore[index]
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "DOCKERFILE": "Dockerfile", "IMAGE": "repo:tag"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pulled, *_, built = (tmp_path / "asked").read_text().splitlines()
    assert pulled == f"pull --quiet {base}"
    assert f"--build-arg BASE={used} --label org.opencontainers.image.base.name={used} --tag repo:tag ." in built


class _Registry(BaseHTTPRequestHandler):
    kind = "application/vnd.oci.image.index.v1+json"

    def do_GET(self) -> None:
        body = json.dumps({"token": "t"}).encode() if self.path == "/token/?scope=repository:python:pull" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        known = self.path == "/v2/python/manifests/3.12" and self.headers["Authorization"] == "Bearer t"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", self.kind)
        self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _pin_at(folder: Path, registry: ThreadingHTTPServer) -> Path:
    pin = folder / "base.yaml"
    pin.write_text(PINNED.replace("registry.example.com", f"127.0.0.1:{registry.server_port}"))
    return pin


def test_the_pin_is_moved_to_the_digest_that_the_registry_gives_the_tag(
    tmp_path: Path, registry: ThreadingHTTPServer
) -> None:
    pin = _pin_at(tmp_path, registry)
    name = f"127.0.0.1:{registry.server_port}/python"
    assert base_reference(pin) == f"{name}:3.12"
    assert pin_today(pin, scheme="http") == f"{name}@{DIGEST}"
    assert pin_today(pin, scheme="http") == base_reference(pin)
    assert pin.read_text() == f"# why\nname: {name}\ntag: '3.12'\ndigest: {DIGEST}\n"


def test_a_tag_of_one_platform_only_or_unknown_is_refused_and_the_pin_stays(
    tmp_path: Path, registry: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = _pin_at(tmp_path, registry)
    before = pin.read_text()
    monkeypatch.setattr(_Registry, "kind", "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(SettingsError, match="not an index of several platforms"):
        pin_today(pin, scheme="http")
    assert pin.read_text() == before
    pin.write_text(before.replace("3.12", "9.9"))
    with pytest.raises(SettingsError, match=r"does not tell the digest of python:9\.9"):
        pin_today(pin, scheme="http")


def test_a_digest_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(PINNED.replace("digest:", "digest: latest"))
    with pytest.raises(SettingsError, match=r"digest: 'latest' is none"):
        base_reference(tmp_path / "base.yaml")
