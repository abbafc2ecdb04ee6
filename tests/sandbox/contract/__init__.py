"""Our client and the sandbox, checked against Resend's published OpenAPI description.

The description is not part of this repository: see `description.py` for where it is expected. It has no errors (4xx,
5xx), no `GET /usage`, no webhook event log, no permissive batches, no limit of 100 mails in a batch, and no body of
`PATCH /emails/{id}`. For these, tests/sandbox compares the sandbox with Resend's documentation and SDKs.
"""
