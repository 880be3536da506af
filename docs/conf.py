"""Sphinx configuration; `make docs` builds without the network and fails on any warning."""

import jobclusters

project = "jobclusters"
copyright = "2026, the jobclusters developers"  # noqa: A001 -- Sphinx's name
release = version = jobclusters.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
