"""A project: one validated project.yaml."""

from passerelle.domain.project.load import load_project
from passerelle.domain.project.model import Column, Project, is_positive

__all__ = ["Column", "Project", "is_positive", "load_project"]
