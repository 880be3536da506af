"""Fixtures of these tests."""

from tests.helpers.heads import make, soon, started  # noqa: F401 -- found here by their names
