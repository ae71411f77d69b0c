"""PostgreSQL's folder: made once, made anew when it was interrupted, out of root's home when that is closed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from laptop import postgres
from laptop.settings import LaptopSettings
from tests.laptop_platform import platform_home

needs_root = pytest.mark.skipif(not postgres.is_root(), reason="only root's home is closed to PostgreSQL's user")


@pytest.fixture
def settings() -> Iterator[LaptopSettings]:
    with platform_home() as home:
        yield LaptopSettings(home=home)


def test_a_cluster_is_made_once_and_an_interrupted_one_anew(settings: LaptopSettings) -> None:
    data = postgres.data_folder(settings)
    data.mkdir(parents=True)
    (data / "half").write_text("an interrupted start")
    postgres.initialise(settings)
    assert (data / "PG_VERSION").exists()
    assert not (data / "half").exists()
    made = (data / "PG_VERSION").stat().st_mtime_ns
    postgres.initialise(settings)
    assert (data / "PG_VERSION").stat().st_mtime_ns == made


def test_only_the_owner_can_read_the_cluster(settings: LaptopSettings) -> None:
    postgres.initialise(settings)
    assert postgres.data_folder(settings).stat().st_mode & 0o077 == 0


@needs_root
def test_the_cluster_lies_elsewhere_when_the_home_is_closed_and_goes_with_the_platforms_state(
    settings: LaptopSettings,
) -> None:
    settings.home.chmod(0o700)
    data = postgres.data_folder(settings)
    try:
        assert not data.is_relative_to(settings.home)
        postgres.initialise(settings)
        (data / "of-the-first-platform").write_text("")
        postgres.initialise(settings)
        assert (data / "of-the-first-platform").exists(), "a restart keeps it"
        for path in settings.home.iterdir():
            shutil.rmtree(path)
        postgres.initialise(settings)
        assert not (data / "of-the-first-platform").exists(), "state was deleted: the database must not come back"
    finally:
        postgres.delete(settings)
    assert not data.parent.exists()


@needs_root
def test_postgresql_does_not_run_as_root_nor_with_roots_groups() -> None:
    identity = postgres.identity()
    assert identity["user"] != 0
    assert identity["extra_groups"] == []


def test_the_server_listens_on_this_machine_only(settings: LaptopSettings) -> None:
    command = postgres.server_command(settings, 1234)
    assert "listen_addresses=127.0.0.1" in command
    assert "unix_socket_directories=" in command
    assert Path(command[0]).exists()
    assert os.access(command[0], os.X_OK)
