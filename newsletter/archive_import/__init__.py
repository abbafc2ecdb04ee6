"""Archives of past issues: checked, imported piece by piece, put on the web with their old dates, and undone."""
