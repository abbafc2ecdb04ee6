"""Tests of the rights of subscribers where issues are concerned."""
