"""What mailbox providers think of senders: DNS, DMARC reports, Gmail's Postmaster Tools, mails after leaving."""
