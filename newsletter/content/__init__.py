"""Issue content: Markdown, issue files, digests, feeds. Only `store` and `revisions` use the database."""
