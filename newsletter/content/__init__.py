"""Reading and writing issues: Markdown, issue files, digests. Parsing is pure; `store` alone knows the tables."""
