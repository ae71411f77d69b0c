"""Headless Chromium, driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) through pipes.

No driver stands between: pages are rendered by servers, so a test opens, reads, presses keys and takes pictures.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: Where `make browser` unpacks it: the program, libraries that a bare system lacks, fonts.
UNPACKED: Final = Path(__file__).parent / "node_modules" / ".chromium"
VARIABLE: Final = "PASSERELLE_BROWSER"
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-domain-reliability", "--no-pings", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def find_program() -> Path | None:
    """Return a browser: the one that the environment names, the one from npm, or one that is installed."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if (UNPACKED / "chromium").exists() and runs_here():
        return UNPACKED / "chromium"
    installed = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    apps = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    found = next((path for path in map(shutil.which, installed) if path), None)
    return Path(found) if found else apps if apps.exists() else None


def runs_here() -> bool:
    """Return whether the browser from npm is for this kind of machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


@dataclass
class Page:
    """One page: what it asked the network for, and what its console complained of."""

    _browser: Browser
    _session: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open an address in a window of a size, and wait until it is loaded."""
        self.requested.clear()
        self.complaints.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._browser.loaded.discard(self._session)
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self._await_load()

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """Return the visible texts of all elements that a selector finds."""
        found = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.innerText.trim())"
        )
        return [str(text) for text in found]

    def press(self, key: str) -> None:
        """Press and release a key, such as `Tab` or `Enter`."""
        codes = {"Tab": 9, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            spoken = text if kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **spoken
            )

    def follow(self) -> None:
        """Press Enter on what has the focus, a link, and wait until the page it leads to is loaded."""
        self._browser.loaded.discard(self._session)
        self.press("Enter")
        self._await_load()

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the page as PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return self._browser.call(method, self._session, **parameters)

    def _await_load(self) -> None:
        while self._session not in self._browser.loaded:
            self._browser.read()


class Browser:
    """A running browser; every test has a page of its own."""

    def __init__(self, program: Path, profile: Path) -> None:
        self._sent, self._buffer, self._pages = 0, b"", dict[str, Page]()
        self.loaded = set[str]()
        environment = {**os.environ, "HOME": str(profile)}
        if program.parent == UNPACKED:
            environment["LD_LIBRARY_PATH"] = str(UNPACKED / "al2023" / "lib")
            if not Path("/etc/fonts/fonts.conf").exists():
                environment["FONTCONFIG_PATH"] = str(UNPACKED / "fonts")
        self._log = profile / "browser.log"
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT)
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        # It reads descriptor 3 and writes to 4, which ours may be: what is copied there must not be one of them.
        far = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in (from_us, to_us)]
        self._process = os.posix_spawn(
            program,
            [str(program), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, one, place) for one, place in ((log, 1), (log, 2), (far[0], 3), (far[1], 4))
            ],
        )
        for one in (from_us, to_us, log, *far):
            os.close(one)

    def new_page(self) -> Page:
        """Return a page that notes what it asks for and complains of."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result; what happens meanwhile is noted."""
        self._sent += 1
        number = self._sent
        command = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while (answer := self.read()).get("id") != number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return dict(answer["result"])

    def read(self) -> dict[str, Any]:
        """Return the next message, and note what it says."""
        while b"\0" not in self._buffer:
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise AssertionError(f"the browser ended: {self._log.read_text(errors='replace')[-2_000:]}")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message)
        return message

    def close(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._to)
        os.close(self._from)

    def _note(self, message: dict[str, Any]) -> None:
        page, said = self._pages.get(message.get("sessionId", "")), message.get("params", {})
        if page is None:
            return
        match message.get("method"):
            case "Page.loadEventFired":
                self.loaded.add(message["sessionId"])
            case "Network.requestWillBeSent":
                page.requested.append(said["request"]["url"])
            case "Runtime.exceptionThrown":
                page.complaints.append(said["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled":
                page.complaints.append(" ".join(str(one.get("value")) for one in said["args"]))
            case "Log.entryAdded":
                page.complaints.append(said["entry"]["text"])


@contextmanager
def running_browser(program: Path) -> Iterator[Browser]:
    """Yield a browser with a profile of its own, and end it."""
    with tempfile.TemporaryDirectory(prefix="passerelle-browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        try:
            yield browser
        finally:
            browser.close()
