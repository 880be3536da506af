"""Run as ``python -m jobclusters.cli``."""

from jobclusters.cli import main

main()
