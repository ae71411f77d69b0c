"""Projects' dashboards as pages of the laptop, below /_passerelle/dashboard/: what CloudWatch's console shows on AWS.

They are read through the embedded AWS's own APIs, as `passerelle dashboard` reads those of AWS.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, unquote

from laptop.access import administrator, authority
from laptop.settings import LaptopSettings
from passerelle.errors import InputError, NotFoundError, PasserelleError

if TYPE_CHECKING:
    from passerelle.aws.deployed import DeployedPlatform
    from passerelle.contracts.monitoring import WindowRecord

PREFIX: Final = "/_passerelle/dashboard/"
REFRESH_SECONDS: Final = 60
#: HTTP status, headers, body.
Answer = tuple[int, dict[str, str], bytes]
_SPANS: Final = {"3h": "3 hours", "1d": "day", "1w": "week", "4w": "4 weeks"}


def dashboard_url(settings: LaptopSettings, project: str = "") -> str:
    """Return where a project's page is, without one where all of them are listed."""
    return f"{settings.endpoint_url}{PREFIX}{quote(project)}"


class Dashboards:
    """Answers for /_passerelle/dashboard/, /…/<project> and /…/<project>/<window>."""

    def __init__(self, settings: LaptopSettings) -> None:
        self._settings = settings

    @cached_property
    def _platform(self) -> DeployedPlatform:
        from passerelle.aws.deployed import DeployedPlatform

        keys = administrator(self._settings)
        return DeployedPlatform.on_laptop(
            self._settings.endpoint_url,
            region=self._settings.region,
            keys=(keys.access_key_id, keys.secret_access_key),
            authority=authority(self._settings),
        )

    def answer(self, path: str, query: str) -> Answer:
        """Return a page; takes some tenths of a second, so it is not for an event loop."""
        from passerelle.domain.dashboard.page import framed
        from passerelle.domain.dashboard.words import escape

        project, _, window = unquote(path.removeprefix(PREFIX)).strip("/").partition("/")
        try:
            if window:
                return _page(200, self._window(project, window))
            return _page(200, self._project(project, parse_qs(query)) if project else self._all())
        except PasserelleError as error:
            status = 404 if isinstance(error, NotFoundError) else 400 if isinstance(error, InputError) else 503
            back = f'<p><a href="{PREFIX}">All projects</a></p>'
            return _page(status, framed("Not shown", f"<h1>Not shown</h1><p>{escape(error)}</p>{back}"))

    def _project(self, project: str, asked: dict[str, list[str]]) -> str:
        from passerelle.domain.dashboard.page import Around, project_page
        from passerelle.steps.project_board import DEFAULT_SPAN, read_board

        span = asked.get("span", [DEFAULT_SPAN])[0]
        still = asked.get("refresh") == ["0"]
        board = read_board(self._platform, project, span=span)
        kept = "&refresh=0" if still else ""
        ways = [(words, f"?span={name}{kept}", name == span) for name, words in _SPANS.items()]
        ways.append(("go on", f"?span={span}", False) if still else ("hold still", f"?span={span}&refresh=0", False))
        ways.append(("all projects", PREFIX, False))

        def window_page(record: WindowRecord) -> str:
            return f"{PREFIX}{quote(project)}/{quote(record.start)}" if record.prefix else ""

        around = Around(refresh_seconds=0 if still else REFRESH_SECONDS, ways=ways, window_page=window_page)
        return project_page(board, around)

    def _window(self, project: str, start: str) -> str:
        """Return what the monitors wrote of a window."""
        from passerelle.aws.monitored import read_window_page

        return read_window_page(self._platform, project, start)

    def _all(self) -> str:
        from passerelle.domain.dashboard.index import index_page
        from passerelle.steps.project_board import read_boards

        return index_page(read_boards(self._platform), lambda project: f"{PREFIX}{quote(project)}", REFRESH_SECONDS)


def _page(status: int, text: str) -> Answer:
    from passerelle.domain.dashboard.page import POLICY

    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return status, headers, text.encode()


def of_this_machine(host: str) -> bool:
    """Return whether a request names this machine: a page elsewhere may give its own name this address."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name in ("127.0.0.1", "localhost", "[::1]")
