"""What matters in every template, as rules: each takes a platform and yields what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.infra.matters import alarms, encryption, exposure, lost, retention, running
from tests.infra.matters.platform import Platform

RULES: dict[str, Callable[[Platform], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        encryption.everything_at_rest_is_encrypted_with_the_platforms_key,
        encryption.buckets_are_encrypted_with_the_platforms_key,
        encryption.buckets_queues_and_topics_refuse_plain_http,
        encryption.connections_are_encrypted,
        exposure.nothing_is_open_to_the_internet,
        exposure.no_policy_lets_everybody_in,
        exposure.nobody_may_do_everything,
        retention.every_log_group_ends,
        retention.every_log_has_a_group,
        retention.what_holds_data_can_be_restored,
        retention.production_outlives_its_stack,
        alarms.everything_that_fails_tells_somebody,
        lost.no_event_is_lost,
        running.functions_run_as_their_packages_were_built,
        running.images_are_scanned_and_never_overwritten,
    )
}
