"""Frozen values and their readers: sizes, queues, software, units, JobSpec; pure."""
