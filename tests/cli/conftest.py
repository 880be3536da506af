"""Fixtures of these tests."""

from tests.helpers.heads import started  # noqa: F401 -- found here by its name
from tests.helpers.users import place  # noqa: F401
