"""The one error family of Passerelle, ordered by whose fault it is.

PasserelleError
├── SettingsError          the installation is wrong: never retried
├── InputError             the caller's file, project or request is wrong: never retried
│   ├── ProjectError       project.yaml
│   ├── DataRejectedError  the data broke its contract beyond the declared threshold
│   ├── AlreadyProcessedError  these bytes were processed by an earlier run
│   └── NotFoundError      the thing that was named does not exist
├── JobFailedError         a SageMaker job or endpoint failed; its reason is in the message
├── TransientError         worth retrying: throttling, a server that is down
└── BundleError            a model bundle is corrupt, tampered with or of an unknown format: never loaded

A message says what, the value, what would be valid, and the remedy.
"""

from __future__ import annotations


class PasserelleError(Exception):
    """Any error that Passerelle raises on purpose."""


class SettingsError(PasserelleError):
    """The installation or the environment is wrong."""


class InputError(PasserelleError):
    """The caller gave something wrong; the message names it and the remedy."""


class ProjectError(InputError):
    """A project.yaml is not valid; the message names file, line, field and remedy."""


class DataRejectedError(InputError):
    """The data broke its contract beyond the declared threshold."""


class AlreadyProcessedError(InputError):
    """These bytes were already processed; the message names the run."""


class NotFoundError(InputError):
    """The named thing does not exist; the message lists what does, where short."""


class JobFailedError(PasserelleError):
    """A SageMaker job or endpoint ended otherwise than it should."""


class TransientError(PasserelleError):
    """A dependency failed in a way that a retry may cure."""


class BundleError(PasserelleError):
    """A model bundle must not be loaded: corrupt, tampered with, or of an unknown format."""
