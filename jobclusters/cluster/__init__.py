"""The cluster classes that users hold: the hooks of Dask, what is shown, and the choice of a class."""
