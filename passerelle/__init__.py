"""Passerelle: from notebook to production on AWS for tabular models."""
