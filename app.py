"""CDK entry: one frozen configuration per environment, synthesise, nothing else.

cdk deploy --all -c env=dev|staging|prod|laptop
"""

from __future__ import annotations

import sys
from pathlib import Path

from aws_cdk import App

from infra.checks import add_checks
from infra.config import load_config
from infra.platform import Platform
from infra.projects import FOLDER, load_projects, project_names
from passerelle.errors import PasserelleError


def main() -> None:
    """Synthesise the environment that `-c env=` names."""
    app = App()
    folder = app.node.try_get_context("projects_dir")
    overrides = {
        "tracking_uri": app.node.try_get_context("tracking_uri"),
        "projects": project_names(Path(folder)) if folder else None,
    }
    config = load_config(str(app.node.try_get_context("env") or "laptop"), overrides)
    projects = load_projects(config.projects, Path(folder) if folder else FOLDER)
    Platform(app, config=config, projects=projects)
    add_checks(app, config, projects)
    app.synth()


try:
    main()
except PasserelleError as error:
    sys.exit(f"Error: {error}")
