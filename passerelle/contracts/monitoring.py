"""What monitoring keeps of a project's windows: as the steps write it, and command line, dashboard and reports read it.

In the runs table WATCH (what is known of the windows so far, `Watched`), WINDOW#<start> (one each, `WindowRecord`),
JOINED#<sha256> (an accepted file whose labels are joined, and how many predictions it told one), LABELS (the last
window that labels were joined to) and LOGGED (the last verdict that MLflow shows); in the reports zone, below
`zones.window_prefix`, files.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from passerelle.contracts.base import Contract

WATCH: Final = "WATCH"
WINDOW: Final = "WINDOW#"
JOINED: Final = "JOINED#"
LABELS: Final = "LABELS"
LOGGED: Final = "LOGGED"
#: In the curated zone, below `zones.labels_prefix`: inference_id, request_row, label (of several classes its name; none
#: where two that differ were told), and the file that told it.
LABELS_FILE: Final = "labels.parquet"
#: A window's files: what was counted, the verdict, a page for people, and SageMaker Model Monitor's three files.
PROFILE_FILE: Final = "profile.json"
DRIFT_FILE: Final = "drift.json"
PAGE_FILE: Final = "page.html"
MODEL_MONITOR_FILES: Final = ("statistics.json", "constraints.json", "constraint_violations.json")

#: judged: compared with the reference. empty: nobody asked the model. unjudged: rows came, and `line` says why they
#: could not be compared.
WindowStatus = Literal["judged", "empty", "unjudged"]
SeverityName = Literal["none", "minor", "moderate", "major"]


class CountedWindow(Contract):
    """What counting the records of a window gave, in a function or in a job.

    Attributes
    ----------
    rows : predictions of the judged model's version, each once.
    delivered : rows in all files, within the window, of the endpoint's own variant; more than `rows` where some came
        twice.
    others : by version, predictions of other models (`unknown`: not said), each once.
    latest : moment of the newest prediction of all versions, ISO 8601, UTC.
    broken : files that could not be read, with the reason.
    profile : the form that `Profile.to_dict` gives.
    expected : the form that `Expected.to_dict` gives, of what the model's errors should be; empty where nothing says.
    confirmed : the form that `Confirmed.to_dict` gives, of predictions whose label is known.
    conflicts : predictions that were told two labels that differ, which count as none.
    unshared : predictions of several classes whose record does not hold the probability of each, as those of earlier
        versions do not: of these neither is known, what was expected and what was confirmed.
    strangers : labels that are no class of the model, which was wrong each time; `strange` names the most frequent.
    """

    rows: int
    delivered: int
    others: dict[str, int] = {}
    latest: str | None = None
    broken: dict[str, str] = {}
    profile: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    confirmed: dict[str, Any] = {}
    conflicts: int = 0
    unshared: int = 0
    strangers: int = 0
    strange: tuple[str, ...] = ()


class Figure(Contract):
    """A metric of a window with its 95 % interval; `before` is what it was on the test period."""

    value: float
    lower: float
    upper: float
    before: float | None = None


#: The figure that is money of one prediction, where a project says what its model's decisions or errors are worth.
VALUE: Final = "value"


class CountQuestion(Contract):
    """What is asked of whoever counts a window: from `start` until before `end` (ISO 8601, UTC), of one variant's
    predictions those of one version of the model.
    """

    start: str
    end: str
    variant: str
    version: str


class WindowRecord(Contract):
    """One window as it was judged last.

    Attributes
    ----------
    start, end : ISO 8601, UTC; `end` is not part of it.
    source : names what was counted; other bytes, another source. What comes late makes the window be judged again.
    version, run_id : the model that served at its end, whose training data is the reference.
    severity : of its gravest alarm; `alarms` counts them, `line` says it in a sentence.
    moved : by column (`__score` and `__decision` are the model's), the share of rows that moved, 0 to 1.
    severities : by column that alarms, how severe.
    metric : the project's.
    estimated : by metric, what it probably is, before labels are known.
    unknown : `estimated`, `realised`: why the project's metric is not known so, where it is not.
    labelled : predictions whose label is known; `realised` is by metric what they say, `why` whether other inputs or
        other outcomes of the same inputs (concept) changed the project's metric, as far as that is sure. `conflicts`
        of all predictions were told two labels that differ, and have none.
    unshared, strangers : of several classes, as in `CountedWindow`.
    prefix : s3:// URI below which its files lie; "" where there are none.
    judged_at : ISO 8601, UTC.
    """

    project: str
    start: str
    end: str
    status: WindowStatus
    source: str
    version: str | None = None
    run_id: str | None = None
    rows: int = 0
    delivered: int = 0
    others: dict[str, int] = {}
    broken: int = 0
    severity: SeverityName = "none"
    alarms: int = 0
    line: str
    moved: dict[str, float] = {}
    severities: dict[str, SeverityName] = {}
    metric: str = ""
    estimated: dict[str, Figure] = {}
    unknown: dict[str, str] = {}
    labelled: int = 0
    conflicts: int = 0
    unshared: int = 0
    strangers: int = 0
    realised: dict[str, Figure] = {}
    why: str = ""
    prefix: str = ""
    judged_at: str

    @property
    def estimated_gain(self) -> float | None:
        """Money of all predictions, as it is estimated."""
        return self.estimated[VALUE].value * self.rows if VALUE in self.estimated else None

    @property
    def realised_gain(self) -> float | None:
        """Money of the predictions whose label is known."""
        return self.realised[VALUE].value * self.labelled if VALUE in self.realised else None


class Watched(Contract):
    """How far a project's windows are judged, and what lasts: `watch` is the form that `Watch.to_dict` gives.

    `next` is the start of the first window that is not judged yet; `again` names earlier ones that have new labels.
    `worth` is a watch of its own, of what labels show: they come when their windows were judged long ago. `untold` are
    messages (subject and text) that were decided on and may not have been sent yet.
    """

    next: str
    watch: dict[str, Any]
    worth: dict[str, Any] = {}
    again: tuple[str, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
