"""Whatever comes in, the server answers or refuses with a reason, and goes on: real process, real HTTP.

Each of four tests tries 250 requests, or as many as you like:

    PASSERELLE_FUZZ=25000 python -m pytest --timeout 0 tests/contract/test_serving_fuzz.py
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import CSV_LINE, GOOD_ROW, GOOD_VALUES, NAMES, RunningServer, make_bundle, running_server

CASES = int(os.environ.get("PASSERELLE_FUZZ", "250"))
fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

FORMS = ("application/json", "text/csv", "text/csv; header=present", "text/csv; header=absent", "application/jsonlines")
GOOD: dict[str, tuple[bytes, ...]] = {
    "application/json": (
        json.dumps({"dataframe_records": [GOOD_ROW]}).encode(),
        json.dumps({"dataframe_records": [GOOD_ROW] * 20, "explain": False}).encode(),
        json.dumps({"dataframe_split": {"columns": NAMES, "data": [GOOD_VALUES] * 2}}).encode(),
        json.dumps({"instances": [GOOD_VALUES]}).encode(),
        json.dumps({"inputs": {name: [value] for name, value in GOOD_ROW.items()}}).encode(),
        json.dumps({"dataframe_records": [GOOD_ROW], "explain": True}).encode(),
    ),
    "text/csv": (CSV_LINE.encode(), f"{','.join(NAMES)}\n{CSV_LINE}\n{CSV_LINE}\n".encode()),
    "application/jsonlines": (b"\n".join([json.dumps(GOOD_ROW).encode()] * 3), json.dumps(GOOD_VALUES).encode()),
}
TOKENS = (
    b"NaN", b"-Infinity", b"1e999", b"-1e-999", b"null", b"true", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b'\\"',
    b'"', b"'", b"{", b"}", b"[" * 600, b"]", b",", b",,", b":", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b"9" * 400, b"1_000", b"0x10", b"1600-01-01", b"9999-12-31T23:59:59+14:00", b"2013-02-30", b'"explain": true,', b"=1+1",
    "１２".encode(), "é".encode(), b" ", b"\t",
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(allow_nan=True),
    st.text(max_size=8), st.sampled_from(["NA", "", " UA ", "2013-01-01T10:00:00Z", "0001-01-01", "true", "nan", "A" * 3_000]),
)  # fmt: skip
WILD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.one_of(
    st.fixed_dictionaries({name: SCALARS | st.just(value) for name, value in GOOD_ROW.items()}),
    st.dictionaries(st.sampled_from([*NAMES, "Hour", "hour ", "", "\x00"]) | st.text(max_size=4), WILD, max_size=9),
    WILD,
)
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=70).map(
    str.strip
)


@st.composite
def wild_documents(draw: st.DrawFn) -> bytes:
    """Draw a JSON document in the shape of a request, with anything in its places."""
    rows = draw(st.lists(ROWS, max_size=4))
    values = draw(st.lists(st.lists(SCALARS, min_size=len(NAMES) - 1, max_size=len(NAMES) + 1), max_size=3))
    names = draw(st.sampled_from([NAMES, NAMES[::-1], [*NAMES[1:], NAMES[1]], []]) | st.lists(WILD, max_size=8))
    parts: dict[str, Any] = {
        "dataframe_records": rows, "instances": rows or values, "inputs": draw(ROWS), "explain": draw(WILD),
        "dataframe_split": draw(st.sampled_from([{"columns": names, "data": values}, {"columns": names}, rows])),
    }  # fmt: skip
    kept = draw(st.lists(st.sampled_from(sorted(parts)), max_size=2, unique=True))
    document = draw(st.sampled_from([{name: parts[name] for name in kept}, rows, values]))
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def damaged_bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a good body, and cut, repeat or insert something in a few places."""
    form = draw(st.sampled_from(sorted(GOOD)))
    body = draw(st.sampled_from(GOOD[form]))
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(body))), draw(st.integers(0, 12))
        piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=6) | st.just(body[at : at + 40]))
        body = body[:at] + piece + body[at + length :]
    return form, body


class Caller:
    """One kept connection, opened again where the server closed it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(self, body: bytes, headers: dict[str, str], *, method: str = "POST", path: str = "/invocations") -> None:
        """Ask, and hold the answer to what every answer must be."""
        plain = {name: value.encode("latin-1") for name, value in headers.items()}
        self._connection.request(method, path, body=body, headers=plain)  # type: ignore[arg-type]
        answer = self._connection.getresponse()
        content = answer.read()
        assert 200 <= answer.status < 300 or 400 <= answer.status < 500, (answer.status, content[:300])
        if content and answer.status >= 400 and answer.headers["content-type"] == "application/json":
            assert json.loads(content)["error"]["remedy"]


@pytest.fixture(scope="module", params=["xgboost", "logistic"])
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    base = tmp_path_factory.mktemp("serving")
    make_bundle("binary", base / "model", candidate=request.param, threshold=0.4)
    with running_server(base) as server:
        caller = Caller(server)
        before = server.post({"dataframe_records": [GOOD_ROW]}).json()
        yield caller
        assert server.post({"dataframe_records": [GOOD_ROW]}).json() == before
        assert psutil.Process(server.process.pid).memory_info().rss < 400e6
        assert server.process.poll() is None
        assert not [line for line in server.lines if "Traceback" in line or '"defect"' in line]


@fuzzed
@given(case=damaged_bodies(), accept=st.sampled_from([*FORMS, "", "*/*"]))
def test_a_damaged_request_is_answered_or_refused(caller: Caller, case: tuple[str, bytes], accept: str) -> None:
    form, body = case
    caller.ask(body, {"Content-Type": form, "Accept": accept})


@fuzzed
@given(
    body=wild_documents(),
    form=st.sampled_from(FORMS),
    headers=st.dictionaries(
        st.sampled_from(["Accept", "X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Custom-Attributes", "X-Any"]),
        HEADER_TEXT | st.just("explain=true"),
        max_size=2,
    ),
    target=st.sampled_from([("POST", "/invocations")] * 8 + [("GET", "/invocations"), ("PUT", "/ping"), ("POST", "/%C3%A9?x=%00"), ("HEAD", "/version")]),
)  # fmt: skip
def test_anything_in_the_shape_of_a_request_is_answered_or_refused(
    caller: Caller, body: bytes, form: str, headers: dict[str, str], target: tuple[str, str]
) -> None:
    method, path = target
    caller.ask(body, {"Content-Type": form, **headers}, method=method, path=path)
