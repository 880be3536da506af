"""The process that owns the scheduler: launch, register, serve, close when idle, stop."""
