"""What is on disk about clusters: names, liveness, credentials, janitor, sweep."""
