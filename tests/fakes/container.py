"""A container for tests: `train` and processing do what the environment's SCRIPT says, `serve` answers HTTP."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BASE = Path(os.environ["SAGEMAKER_BASE_DIR"])
TOGETHER = threading.Barrier(int(os.environ.get("TOGETHER", "1")))


def train() -> None:
    """Count to STEPS, a checkpoint a step, then print a loss an epoch; the model is the list of who counted."""
    checkpoint = BASE / "checkpoints" / "steps.json"
    done = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    if os.environ.get("ON_TERM") == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("started", flush=True)
    parameters = json.loads((BASE / "input/config/hyperparameters.json").read_text())
    if os.environ.get("FAIL"):
        (BASE / "output" / "failure").write_text(os.environ["FAIL"])
        sys.exit(3)
    for _ in range(len(done), int(os.environ.get("STEPS", "1"))):
        time.sleep(0.1)
        done.append(os.getpid())
        if checkpoint.parent.is_dir():
            partial = checkpoint.with_suffix(".partial")
            partial.write_text(json.dumps(done))
            partial.replace(checkpoint)
    for epoch in range(1, int(parameters.get("epochs", "0")) + 1):
        print(f"loss={(float(parameters['x']) - 1) ** 2 + 1 / epoch}", flush=True)
        time.sleep(0.2)
    if "x" in parameters and "epochs" not in parameters:
        print(f"loss={(float(parameters['x']) - 1) ** 2}", flush=True)
    channels = BASE / "input" / "data"
    data = {path.relative_to(channels).as_posix(): path.read_text() for path in channels.rglob("*") if path.is_file()}
    (BASE / "model" / "model.json").write_text(json.dumps({"pids": done, "parameters": parameters, "data": data}))
    (BASE / "output" / "data" / "notes.txt").write_text("notes")


def process() -> None:
    """Copy the input in capitals to the output."""
    for path in (BASE / "processing" / "in").rglob("*.txt"):
        (BASE / "processing" / "out" / path.name).write_text(path.read_text().upper())
    (BASE / "output" / "message").write_text(os.environ.get("MESSAGE", "fine"))
    sys.exit(int(os.environ.get("EXIT", "0")))


def files() -> dict[str, str]:
    """What the container was given, by its path below /opt/ml."""
    found = [path for path in BASE.rglob("*") if path.is_file()]
    return {path.relative_to(BASE).as_posix(): path.read_text(errors="replace") for path in found}


class Handler(BaseHTTPRequestHandler):
    """Echoes, as NAME, after DELAY seconds and once the file HOLD is gone; `crash` ends the process, `bad` is refused.

    A body `size:N` is answered with N bytes, `chunks` in chunks, `drip` with one byte after another without end,
    `files` with the files that the container was given; `hangup` is not answered, `half` not to its end. CALLS is a file
    of all bodies. With COUNT each line is answered with how many fields it has, with TOGETHER nothing is answered
    before so many requests are there; PARAMETERS are the answer to /execution-parameters.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/execution-parameters" and "PARAMETERS" in os.environ:
            self.answer(200, os.environ["PARAMETERS"].encode())
            return
        gate = os.environ.get("READY_WHEN")
        ready = not os.environ.get("NEVER_READY") and (gate is None or Path(gate).exists())
        if Path(os.environ.get("EXIT_WHEN", "/nonexistent")).exists():
            os._exit(9)
        self.answer(200 if ready else 503, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"crash":
            os._exit(9)
        self.wait()
        if body == b"drip":
            self.drip()
        if "CALLS" in os.environ:
            with Path(os.environ["CALLS"]).open("ab") as calls:
                calls.write(body + b"\n")
        if body in (b"hangup", b"half"):
            if body == b"half":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
            self.close_connection = True
            return
        if body == b"chunks":
            self.chunks()
            return
        if "COUNT" in os.environ:
            counts = b"".join(b"%d\n" % (line.count(b",") + 1) for line in body.splitlines())
            self.answer(200, counts)
            return
        if body.startswith(b"size:"):
            self.answer(200, b"x" * int(body[5:]))
            return
        seen = {name.lower(): value for name, value in self.headers.items()}
        status = 400 if body == b"bad" else 200
        seen_body = json.dumps(files()) if body == b"files" else body.decode("utf-8", "replace")
        document = {"name": os.environ.get("NAME"), "body": seen_body, "headers": seen}
        self.answer(status, json.dumps(document).encode())

    def wait(self) -> None:
        time.sleep(float(os.environ.get("DELAY", "0")))
        hold = Path(os.environ.get("HOLD", "/nonexistent"))
        while hold.exists():
            hold.with_name(f"{hold.name}.seen").touch()
            time.sleep(0.02)
        if "TOGETHER" in os.environ:
            TOGETHER.wait(30)

    def chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"one ", b"two ", b"three"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        custom = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if custom:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", f"seen {custom}")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return


def serve() -> None:
    """Serve until SIGTERM, and LINGER seconds more."""
    if "LINGER" in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(float(os.environ["LINGER"])), os._exit(0)))
    if os.environ.get("EXIT_AT_START"):
        sys.exit("cannot load the model")
    ThreadingHTTPServer.request_queue_size = 256
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    {"train": train, "serve": serve}.get(sys.argv[1] if len(sys.argv) > 1 else "", process)()
