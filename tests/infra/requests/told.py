"""All stories, told once for everybody who asks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

from moto import mock_aws

from tests.infra.requests.carrying import CARRIED, carry
from tests.infra.requests.cloud import Cloud
from tests.infra.requests.deployed import Deployed
from tests.infra.requests.machines import Rendered
from tests.infra.requests.recorder import Recorder
from tests.infra.requests.stories import LONGEST_ENVIRONMENT, STORIES, tell

#: Nobody's: nothing here reaches AWS.
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Told:
    """What every story's states and functions asked of AWS."""

    rendered: dict[str, list[Rendered]]
    recorder: Recorder

    def of(self, operation: str) -> list[dict[str, Any]]:
        """Return the requests of an operation of states (`createModel`)."""
        return [
            dict(item.request)
            for items in self.rendered.values()
            for item in items
            if item.integration.partition(":")[2] == operation
        ]


@cache
def told_stories(synthesised: Callable[[str], Path]) -> Told:
    """Tell every story in the environment that it is about."""
    recorder = Recorder(lambda *_: None)
    rendered: dict[str, list[Rendered]] = {}
    with mock.patch.dict(os.environ, CREDENTIALS), mock_aws():
        for story in STORIES:
            longest = LONGEST_ENVIRONMENT if story.longest else None
            cloud = Cloud(Deployed(synthesised(story.environment)), recorder, environment=longest)
            rendered[story.name] = tell(story, cloud)
        staging, prod = (Cloud(Deployed(synthesised(name)), recorder) for name in ("staging", "prod"))
        rendered["carried"] = carry(CARRIED, staging, prod)
    return Told(rendered, recorder)
