"""What following the code finds: calls of AWS."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.infra.iam.values import NONE, UNKNOWN, Const, Record, Values

#: Packages that say what a call is for: the step, or the part of the container, that makes it through our adapters.
PURPOSES = ("passerelle.steps.", "training.", "lambdas.", "cli.")


class AnalysisError(Exception):
    """The code does something with a client that cannot be followed, so nothing could be proved of it."""


@dataclass(frozen=True)
class ApiCall:
    """A call of a boto3 client. `gone`: the caller tells a missing resource from one it may not see."""

    service: str
    method: str
    arguments: Record
    file: str
    line: int
    purpose: str = ""
    gone: bool = False

    @property
    def where(self) -> str:
        through = f" (for {self.purpose})" if self.purpose else ""
        return f"{self.file}:{self.line}{through}"

    def argument(self, name: str) -> Values:
        """Return what an argument may be: UNKNOWN when the code does not say, NONE when it is not given."""
        return self.arguments.get(name)

    def given(self, name: str) -> bool:
        """Return whether an argument may be given."""
        return bool(self.argument(name) - NONE)

    def may_lack(self, name: str) -> bool:
        """Return whether an argument may be missing."""
        return bool(self.argument(name) & (NONE | UNKNOWN)) or Const(None) in self.argument(name)

    def on_behalf_of(self, function: str) -> ApiCall:
        """Return the call as its caller's, where that says what it is for."""
        return self if self.purpose or not function.startswith(PURPOSES) else replace(self, purpose=function)
