"""What an account must have before a deployment: pure rules over facts that `passerelle.aws.account` reads."""

from passerelle.domain.preflight.environment import Environment, read_environment
from passerelle.domain.preflight.finding import Finding, Status

__all__ = ["Environment", "Finding", "Status", "read_environment"]
