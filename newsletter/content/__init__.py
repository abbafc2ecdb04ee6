"""Reading and writing issues: Markdown, issue files, digests. Parsing is pure; only `store` knows the tables."""
