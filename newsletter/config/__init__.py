"""What an operator may set – configuration, environment, logging, tracing, failpoints – and translatable sentences."""
