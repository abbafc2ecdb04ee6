"""Monitoring: heartbeats, progress, health, metrics and diagnostics."""
