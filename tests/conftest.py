"""What makes the whole suite quick: long files first, no tracer where it sees little, AWS's models read once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore.session
import pytest

TESTS: Final = Path(__file__).parent
#: Those that take longest. Begun last, one would keep one core busy alone while the other has nothing left to do.
LONGEST: Final = (
    "contract/test_spot_training.py",
    "contract/test_tuning_run.py",
    "unit/training/test_prepare_cluster.py",
    "infra/test_iam_proof.py",
    "infra/test_checks.py",
    "unit/steps/test_reproduce_kinds.py",
    "unit/training/test_declared_served.py",
    "contract/test_laptop_platform.py",
    "contract/test_database_copy.py",
    "unit/training/test_prepare_spark.py",
    "contract/test_doctor_account.py",
    "infra/test_requests_of_code.py",
    "infra/test_checkov.py",
    "infra/test_images.py",
    "contract/test_carrying.py",
)
#: They read templates and sources; the tracer would see little of the product, and make them half as slow again.
UNTRACED: Final = TESTS / "infra"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let long files begin first; pytest-xdist keeps this order (--no-loadscope-reorder), file by file."""
    order = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Stop coverage's tracer, with the fixtures' too, while a test runs that it would learn nothing of."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None or not item.path.is_relative_to(UNTRACED):
        yield
        return
    controller.pause()
    try:
        yield
    finally:
        controller.resume()


@pytest.fixture(scope="session", autouse=True)
def models_read_once() -> Iterator[None]:
    """Let all sessions of boto3 share what they read of botocore's files.

    moto begins each test with a new session, which would read the models of S3, DynamoDB and the others again: 0.2 s.
    """
    create = cache(botocore.session.create_loader)

    def shared(*search_path: Any) -> Any:
        loader = create(*search_path)
        # Each session of boto3 adds its own folder, always the same.
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", shared)
        yield
