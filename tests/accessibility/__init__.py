"""axe-core looks for barriers on every page, on a phone and on a screen, in light and dark."""
