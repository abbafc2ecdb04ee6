"""Imports of subscribers from other systems."""
