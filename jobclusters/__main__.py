"""The command line, as ``python -m jobclusters``."""

from jobclusters.cli import main

main()
