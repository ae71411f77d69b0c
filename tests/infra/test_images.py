"""Container images: built on one pinned base, by CodeBuild or by the deploying machine's Docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from checks.assemblies import assembly
from infra.base_image import base_reference, pin_today
from infra.constructs.built_image import BUILD_SPEC, SPARK, TRACKING, TRAINING, TRAINING_GPU, stage_image
from passerelle.errors import SettingsError
from tests.infra.conftest import ROOT
from tests.infra.matters import RULES
from tests.infra.matters.platform import Platform

DIGEST = "sha256:" + "ab" * 32
PINNED = "# why\nname: registry.example.com/python\ntag: '3.12'\ndigest:\n"


@pytest.fixture(scope="module")
def by_docker() -> Path:
    """dev, with images that Docker builds, and a project that may train on a GPU."""
    changes = {
        "environments/dev.yaml": ("images: {source: codebuild}", "images: {source: docker}"),
        "projects/flights/project.yaml": ("\ntraining:\n", "\ntraining:\n  fallback_instance_types: [ml.g5.xlarge]\n"),
    }
    texts = {name: (ROOT / name).read_text("utf-8") for name in changes}
    changed = {name: texts[name].replace(*change) for name, change in changes.items()}
    assert all(changed[name] != text for name, text in texts.items())
    return assembly("dev", changed)


def test_docker_builds_each_image_for_the_platform_that_runs_it(by_docker: Path) -> None:
    assets = [json.loads(path.read_text())["dockerImages"] for path in by_docker.glob("*Images*.assets.json")]
    built = [image["source"] for found in assets for image in found.values()]
    assert {
        (source["dockerFile"], source["dockerBuildArgs"].get("REQUIREMENTS"), source["platform"]) for source in built
    } == {
        ("training/Dockerfile", None, "linux/amd64"),
        ("training/Dockerfile", "requirements-gpu.txt", "linux/amd64"),
        ("Dockerfile", None, "linux/arm64"),
    }
    assert {source["dockerBuildArgs"]["BASE"] for source in built} == {base_reference()}
    for source in built:
        assert (by_docker / source["directory"] / source["dockerFile"]).is_file()


def test_jobs_learn_which_image_is_for_gpus(by_docker: Path) -> None:
    functions = [item for _, item in Platform.read("dev", by_docker).of("AWS::Lambda::Function")]
    settings = [item["Environment"]["Variables"] for item in functions if "Environment" in item]
    told = [found for found in settings if "PASSERELLE_GPU_IMAGE_URI" in found]
    assert len(told) == 4  # gather_drop, record_dataset, record_tuning, record_training
    for found in told:
        plain, gpu = (json.dumps(found[f"PASSERELLE_{kind}IMAGE_URI"]) for kind in ("", "GPU_"))
        assert plain != gpu
        assert "cdk-hnb659fds-container-assets" in gpu


def test_without_a_project_that_may_use_a_gpu_no_image_is_built_for_one(synthesised: Callable[[str], Path]) -> None:
    platform = Platform.read("dev", synthesised("dev"))
    names = [item["RepositoryName"] for _, item in platform.of("AWS::ECR::Repository")]
    assert sorted(names) == ["passerelle-dev-tracking", "passerelle-dev-training"]
    assert '"PASSERELLE_GPU_IMAGE_URI": ""' in json.dumps(platform.stacks)


def test_a_new_image_may_replace_the_one_that_other_stacks_use(synthesised: Callable[[str], Path]) -> None:
    # CloudFormation lets no exported value change that another stack imports.
    for stack, template in Platform.read("dev", synthesised("dev")).stacks.items():
        exported = [output["Value"] for output in template.get("Outputs", {}).values() if "Export" in output]
        images = [name for name, item in template["Resources"].items() if item["Type"] == "Custom::PasserelleImage"]
        assert not [value for value in exported if value.get("Fn::GetAtt", [""])[0] in images], stack


def test_with_docker_nothing_is_built_on_aws_and_jobs_may_pull_that_repository_only(by_docker: Path) -> None:
    platform = Platform.read("dev", by_docker)
    assert list(platform.of("AWS::CodeBuild::Project", "AWS::ECR::Repository", "Custom::PasserelleImage")) == []
    text = json.dumps(platform.stacks)
    assert "cdk-hnb659fds-container-assets-111111111111-us-east-1:" in text
    assert "repository/cdk-hnb659fds-container-assets-111111111111-us-east-1" in text
    assert "repository/passerelle-*" not in text
    assert {name: list(rule(platform)) for name, rule in RULES.items() if list(rule(platform))} == {}


@pytest.mark.parametrize("source", [TRAINING, TRAINING_GPU, SPARK, TRACKING], ids=lambda source: source.name)
def test_every_stage_of_an_image_is_built_on_the_pinned_base(source: Any) -> None:
    lines = (ROOT / source.base / source.dockerfile).read_text("utf-8").splitlines()
    stages = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(stages) == {"${BASE}"}
    (default,) = [line.removeprefix("ARG BASE=") for line in lines if line.startswith("ARG BASE=")]
    assert default == re.sub("@.*", "", f"{_pin('name', source.pin)}:{_pin('tag', source.pin)}")
    assert not any(line.startswith("FROM ") for line in lines[: lines.index(f"ARG BASE={default}")])


def test_the_gpu_image_is_the_same_dockerfile_with_requirements_that_are_there() -> None:
    assert (TRAINING_GPU.paths, TRAINING_GPU.dockerfile) == (TRAINING.paths, TRAINING.dockerfile)
    assert stage_image(TRAINING_GPU).joinpath("arguments.txt").read_text() == "REQUIREMENTS=requirements-gpu.txt\n"
    lines = (ROOT / TRAINING.dockerfile).read_text("utf-8").splitlines()
    assert "ARG REQUIREMENTS=requirements.txt" in lines
    (copied,) = [line.split()[1] for line in lines if line.startswith("COPY") and "REQUIREMENTS" in line]
    for name in ("requirements.txt", TRAINING_GPU.arguments["REQUIREMENTS"]):
        assert (ROOT / copied.replace("${REQUIREMENTS}", name)).is_file()
    # Without these NVIDIA's container runtime mounts no driver.
    assert "NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility" in "\n".join(lines)


def _pin(field: str, pin: Path) -> str:
    return re.findall(rf"^{field}: (.*)$", pin.read_text("utf-8"), re.M)[0]


@pytest.mark.parametrize(
    ("base", "used"),
    [
        ("registry.example.com/python:3.12", "registry.example.com/python@sha256:resolved"),
        (f"registry.example.com/python@{DIGEST}", f"registry.example.com/python@{DIGEST}"),
    ],
)
def test_the_build_uses_one_digest_for_all_stages_and_says_which(tmp_path: Path, base: str, used: str) -> None:
    (tmp_path / "base.txt").write_text(base + "\n")
    (tmp_path / "arguments.txt").write_text("REQUIREMENTS=other.txt\nONE=1\n")
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
    assert (
        f"--build-arg BASE={used} --build-arg REQUIREMENTS=other.txt --build-arg ONE=1 --label org.opencontainers.image.base.name={used} --tag repo:tag ."
        in built
    )


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
