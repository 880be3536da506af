"""How scheduler, workers and clients reach each other: interfaces, TLS, links."""
