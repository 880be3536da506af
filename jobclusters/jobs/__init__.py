"""All jobs of one cluster, from submit to end."""
