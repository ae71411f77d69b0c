"""CloudFormation types whose provisioning takes time: MiniStack runs provisioners on its event loop."""

from __future__ import annotations

from collections.abc import Iterable


def run_on_threads(types: Iterable[str]) -> None:
    """Have MiniStack provision these types on a thread of their own, where they may block and call back."""
    from ministack.services.cloudformation import stacks

    before, slow = stacks._runs_on_worker_thread, frozenset(types)

    def runs_on_worker_thread(resource_type: str) -> bool:
        return resource_type in slow or bool(before(resource_type))

    stacks._runs_on_worker_thread = runs_on_worker_thread
