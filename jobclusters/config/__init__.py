"""Reads keywords, saved configurations and settings into a JobSpec; the only user of ``dask.config``."""
