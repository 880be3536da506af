"""Decides how many jobs there should be, and which go; pure."""
