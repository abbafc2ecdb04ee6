"""What an operator may set: the configuration, its environment, logging, system checks, tracing and failpoints."""
