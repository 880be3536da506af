"""The tests. ``conftest.py`` lets garbage be collected again, once all of them are imported: nothing of that is garbage."""

import gc

gc.disable()
