"""Sphinx configuration; `make docs` builds without the network and fails on any warning."""

import sys
from pathlib import Path

import jobclusters

sys.path.insert(0, str(Path(__file__).parent))
import packages

project = "jobclusters"
copyright = "2026, the jobclusters developers"  # noqa: A001 -- Sphinx's name
release = version = jobclusters.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

#: Headings are anchors down to this level; a link to one that isn't there is a warning, and fails the build.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"jobclusters {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["tables.js"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#b34700", "color-brand-content": "#a14000"},
    "dark_css_variables": {"color-brand-primary": "#ffab6b", "color-brand-content": "#ffb780"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

#: The button copies what is typed, without prompts and without what is printed.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(_app: object) -> None:
    """Draw the packages before the pages are read."""
    place = Path(__file__).parent / "_build" / "generated"
    place.mkdir(parents=True, exist_ok=True)
    (place / "packages.svg").write_text(packages.draw())
