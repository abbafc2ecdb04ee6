"""Tests of the rights of a person where issues are concerned."""
