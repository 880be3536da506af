"""Talks to one batch system: a script goes in, ids and states come out."""
