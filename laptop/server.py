"""The embedded AWS: MiniStack in this process, with the local SageMaker and what else we add, on 127.0.0.1.

Started by `laptop.platform` as `python -m laptop.server` with a clean environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from laptop.access import open_url
from laptop.certificates import CERTIFICATE, KEY
from laptop.settings import LaptopSettings

if TYPE_CHECKING:
    from laptop.sagemaker.api import SageMaker

LOG: Final = logging.getLogger("laptop")
ENDPOINTS_SECONDS: Final = 30.0


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    from laptop.ministack.switches import switches

    settings = LaptopSettings.from_env()
    os.environ.update(switches(settings))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    code = 1
    try:
        asyncio.run(_serve(settings))
        code = 0
    except BaseException:
        LOG.exception("the embedded AWS ends")
    finally:
        logging.shutdown()
        # All state is saved. The interpreter would wait for the threads of interrupted executions, for ever.
        os._exit(code)


async def _serve(settings: LaptopSettings) -> None:
    import hypercorn.asyncio
    import hypercorn.config
    import ministack.app as app

    from laptop.dashboards import Dashboards
    from laptop.ministack.alarm_actions import install_alarm_actions
    from laptop.ministack.alarm_requests import install_alarm_requests
    from laptop.ministack.alarms import Alarms
    from laptop.ministack.autoscaling import register_autoscaling
    from laptop.ministack.deliveries import install_deliveries
    from laptop.ministack.embedded_metrics import install_embedded_metrics
    from laptop.ministack.enforcement import install_enforcement
    from laptop.ministack.executions import Executions
    from laptop.ministack.identities import Identities
    from laptop.ministack.lambdas import count_every_invocation, keep_error_classes, keep_throttled_events
    from laptop.ministack.log_deliveries import install_log_deliveries
    from laptop.ministack.metric_filters import install_metric_filters
    from laptop.ministack.metric_search import install_metric_search
    from laptop.ministack.metric_store import install_metric_store
    from laptop.ministack.nested import NestedExecutions
    from laptop.ministack.recorded import Recorded
    from laptop.ministack.retries import install_retries
    from laptop.ministack.s3_events import add_version_ids
    from laptop.ministack.sagemaker_types import install_sagemaker_types
    from laptop.ministack.schedules import install_schedules
    from laptop.ministack.service import Admin, register_sagemaker
    from laptop.ministack.service_metrics import install_service_metrics
    from laptop.ministack.snapshots import Snapshots
    from laptop.ministack.surroundings import MiniStackSurroundings
    from laptop.ministack.tasks import SageMakerTasks
    from laptop.sagemaker.api import SageMaker

    recorded, executions = Recorded(settings.home / "aws" / "recorded.json"), Executions()
    recorded.install()
    executions.install()
    NestedExecutions(executions).install()
    install_retries()
    keep_error_classes()
    count_every_invocation()
    keep_throttled_events()
    add_version_ids()
    identities = Identities(settings)
    sagemaker = SageMaker(settings, MiniStackSurroundings(settings, identities))
    register_sagemaker(sagemaker)
    register_autoscaling(sagemaker.scaling)
    install_enforcement(settings, identities)
    install_schedules()
    install_deliveries()
    install_log_deliveries()
    install_embedded_metrics()
    install_metric_filters()
    install_metric_store()
    install_metric_search()
    install_alarm_requests()
    install_alarm_actions()
    Alarms(settings).install()
    install_service_metrics(settings)
    install_sagemaker_types(sagemaker)
    SageMakerTasks(sagemaker, executions).install()
    snapshots = Snapshots(
        settings.home / "aws" / "state", busy=lambda: executions.busy() or bool(sagemaker.jobs.running())
    )

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{settings.port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2.0
    if settings.tls:
        config.certfile, config.keyfile = str(settings.tls_folder / CERTIFICATE), str(settings.tls_folder / KEY)
    config.errorlog = logging.getLogger("hypercorn.error")

    admin = Admin(sagemaker, recorded, dashboards=Dashboards(settings), on_change=snapshots.touch)

    def begin() -> None:
        """Once the server answers: what ran before goes on."""
        identities.register_tracking_server()
        snapshots.start()
        sagemaker.start()
        # An execution that goes on may update an endpoint, which is refused while its servers come back.
        _await_endpoints(sagemaker)
        for arn in executions.redrive_interrupted():
            LOG.warning("execution goes on after the restart: %s", arn)
        admin.ready = True

    async def end() -> None:
        """Stop what works before the listener closes: nothing must fail because the platform goes down."""
        await stop.wait()
        executions.freeze()
        await asyncio.to_thread(sagemaker.close)
        await asyncio.to_thread(snapshots.close)

    threading.Thread(target=_when_ready, args=(settings, begin, stop), daemon=True).start()
    await hypercorn.asyncio.serve(admin.wrap(app.app), config, shutdown_trigger=end)


def _await_endpoints(sagemaker: SageMaker) -> None:
    """Who starts the platform again wants to ask its endpoints at once; one that does not come back is left alone."""
    deadline = time.monotonic() + ENDPOINTS_SECONDS
    while time.monotonic() < deadline:
        wanted = {
            item["EndpointName"]
            for item in sagemaker.call("ListEndpoints", {"MaxResults": 100})["Endpoints"]
            if item["EndpointStatus"] in ("InService", "Creating", "Updating", "SystemUpdating")
        }
        if wanted <= set(sagemaker.hosting.runtime.fleets):
            return
        time.sleep(0.1)


def _when_ready(settings: LaptopSettings, begin: object, stop: asyncio.Event) -> None:
    """Call `begin` when the server answers."""
    assert callable(begin)
    while not stop.is_set():
        try:
            with open_url(settings, "_ministack/health", timeout=2):
                break
        except OSError:
            time.sleep(0.05)
    try:
        begin()
    except Exception:
        LOG.exception("what ran before the restart does not go on")


if __name__ == "__main__":
    main()
