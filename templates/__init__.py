"""The job script templates: ``base.sh.j2``, and one for each batch system that extends it."""
