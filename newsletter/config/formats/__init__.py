"""How dates and times are written, for languages in which Django's own formats do not fit (FORMAT_MODULE_PATH)."""
