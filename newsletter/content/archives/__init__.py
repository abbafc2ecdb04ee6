"""Archives of other tools and of repositories, read as issues that were published before. Pure."""
