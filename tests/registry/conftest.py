"""Fixtures of these tests."""

from tests.helpers.users import place  # noqa: F401 -- found here by its name
