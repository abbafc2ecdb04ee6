"""Replies of mail servers with their classes: facts as receivers send them, with addresses and numbers shortened."""

from __future__ import annotations

from newsletter.providers.bounce_classes import BounceClass

C = BounceClass

#: Replies by class, with who sends them first.
REPLIES: dict[BounceClass, tuple[tuple[str, str], ...]] = {
    C.NO_MAILBOX: (
        ("Gmail", "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the "
         "recipient's email address for typos https://support.google.com/mail/?p=NoSuchUser - gsmtp"),
        ("Outlook", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"),
        ("Microsoft 365", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
        ("Microsoft 365", "550 5.4.1 [x@example.org]: Recipient address rejected: Access denied "
         "[AM7EUR06FT.prod.protection.outlook.com]"),
        ("Microsoft 365", "550 5.1.351 Remote server returned unknown recipient or mailbox unavailable -> 550 : "
         "User unknown"),
        ("Yahoo", "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]"),
        ("Yahoo", "552 1 Requested mail action aborted, mailbox not found"),
        ("AOL", "550 5.1.1 <x@aol.com>: Recipient address rejected: aol.com"),
        ("Comcast", "550 5.1.1 Not our Customer"),
        ("Apple", "550 5.1.1 unknown or illegal alias: x@icloud.com"),
        ("Apple", "550 5.1.1 <x@privaterelay.appleid.com>: user not found"),
        ("Apple", "550 5.1.6 recipient no longer on server: x"),
        ("IONOS", "550 Requested action not taken: mailbox unavailable For explanation visit "
         "https://postmaster.1und1.de/en/case?c=r1601&i=ip&v=192.0.2.7"),
        ("Orange", "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]"),
        ("Free", "550 5.1.1 user unknown (UserSearch)"),
        ("SFR", "550 5.7.1 <x@sfr.fr>: Recipient address rejected: User unknown"),
        ("QQ", "550 Mailbox not found. https://service.mail.qq.com/cgi-bin/help"),
        ("Yandex", "550 5.7.1 No such user!"),
        ("Yandex", "554 5.2.1 No such user yet!"),
        ("Mail.ru", "550 Message was not accepted -- invalid mailbox. Local mailbox x@mail.ru is unavailable: "
         "user not found"),
        ("Mimecast", "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [abc]"),
        ("Zoho", "550 5.1.1 User does not exist - <x@example.org>"),
        ("Proton", "550 5.1.1 Recipient not found"),
        ("Postfix", "550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in virtual mailbox table"),
        ("Postfix", "550 5.1.1 <x@example.org>: Recipient address rejected: Recipient verify failed. Response: 450 "
         "4.1.1 try later"),
        ("qmail", "553 sorry, no mailbox here by that name (#5.1.1)"),
        ("Amazon SES", "5.3.0 - Other mail system problem 550-'Unknown user x' (delivery attempts: 0)"),
    ),
    C.INACTIVE: (
        ("Gmail", "550 5.2.1 The email account that you tried to reach is inactive. https://g.example/?p=DisabledUser"),
        ("Gmail", "550 5.2.1 The email account that you tried to reach is disabled."),
        ("Yahoo", "554 30 Sorry, your message to x@yahoo.fr cannot be delivered. This mailbox is disabled (554.30)."),
        ("Comcast", "550 5.1.1 x@comcast.net Account Closed, Please Remove"),
        ("Apple", "550 5.1.1 <x@icloud.com>: inactive email address"),
        ("La Poste", "550 5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420"),
        ("La Poste", "550 5.5.0 Le compte du destinataire est bloque. The recipient account is blocked. LPN007_426"),
        ("Free", "550 5.2.1 This mailbox has been blocked due to inactivity (UserSearch)"),
        ("QQ", "550 x@qq.com is a deactivated mailbox"),
        ("163", "550 User suspended"),
        ("Mail.ru", "550 Message was not accepted. Local mailbox x@mail.ru is unavailable: user is terminated"),
        ("i.ua", "550 Mailbox is frozen. See http://mail.i.ua/err/3/"),
        ("Postfix", "525 5.7.13 Disabled recipient address"),
    ),
    C.NULL_MX: (
        ("Postfix", "556 5.1.10 <x@example.org>: Recipient address rejected: Domain has null MX"),
    ),
    C.NO_DOMAIN: (
        ("Gmail", "553 5.1.2 We weren't able to find the recipient domain."),
        ("Exchange", "550 5.4.310 DNS domain example.org does not exist"),
        ("Exim", "550 Unrouteable address"),
        ("Amazon SES", "550 5.4.4 Invalid domain"),
    ),
    C.MAILBOX_FULL: (
        ("Gmail", "452 4.2.2 The recipient's inbox is out of storage space. https://g.example/?p=OverQuotaTemp"),
        ("Microsoft 365", "550 5.2.2 STOREDRV.Deliver: mailbox full."),
        ("Apple", "552 5.2.2 <x@icloud.com>: user is over quota"),
        ("Web.de", "552 Requested mail action aborted: exceeded storage allocation Quota exceeded"),
        ("Orange", "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]"),
        ("Yandex", "552 5.2.2 Mailbox size limit exceeded"),
        ("Plain", "552 5.2.2 mailbox full"),
    ),
    C.FULL_ABANDONED: (
        ("Gmail", "552 5.2.2 The recipient's inbox is out of storage space and inactive. "
         "https://g.example/?p=OverQuotaPerm"),
        ("Gmail", "552 5.2.2 The email account that you tried to reach is over quota and inactive. - gsmtp"),
        ("Gmail", "552 5.2.2 The recipient's inbox is out of storage space. https://g.example/?p=OverQuotaPerm"),
    ),
    C.RATE_LIMITED: (
        ("Gmail", "550 5.2.1 The user you are trying to contact is receiving email at a rate that prevents additional "
         "messages from being delivered. https://g.example/?p=ReceivingRatePerm"),
        ("Gmail", "450 4.2.1 The user you are trying to contact is receiving email too quickly."),
        ("Gmail", "421 4.7.0 This message is suspicious due to the very low reputation of the sending IP address. To "
         "protect our users, mail from this address has been temporarily rate limited."),
        ("Gmail", "421 4.7.28 Gmail has detected an unusual rate of unsolicited email originating from your DKIM "
         "domain [example.org]."),
        ("Outlook", "421 RP-001 (BAY) The mail server IP connecting has exceeded the rate limit allowed. Reason for "
         "rate limitation is related to IP/domain reputation."),
        ("Outlook", "451 4.7.650 The mail server [192.0.2.7] has been temporarily rate limited due to IP reputation. "
         "(S3113)"),
        ("Outlook", "451 4.7.652 The mail server [192.0.2.7] has exceeded the maximum number of connections."),
        ("Outlook", "451 4.7.500 Server busy. Please try again later from [192.0.2.7]. (AS761)"),
        ("Microsoft 365", "550 5.2.122 Recipient's per hour message receive limit exceeded"),
        ("Yahoo", "421 4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or user "
         "complaints"),
        ("Comcast", "451 4.2.0 Throttled - https://postmaster.comcast.net/smtp-error-codes.php#RL000010"),
        ("Apple", "421 4.7.1 Messages to x@icloud.com deferred due to excessive volume."),
        ("Orange", "421 mwinf5c79 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, "
         "slow down. OFR005_104"),
        ("QQ", "550 Ip frequency limited [abc. Blocked IP 192.0.2.7]. http://service.mail.qq.com/"),
        ("GoDaddy", "550 5.1.1 <x@example.org> - 192.0.2.7 has sent to too many recipients this hour. IB607"),
    ),
    C.POLICY: (
        ("Gmail", "550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all "
         "senders to authenticate with either SPF or DKIM."),
        ("Gmail", "550 5.7.26 Unauthenticated email from example.org is not accepted due to domain's DMARC policy."),
        ("Gmail", "421 4.7.40 Your email has been rate limited because the sending domain doesn't have a DMARC record"),
        ("Gmail", "421 4.7.26 This email has been rate limited because it is unauthenticated."),
        ("Gmail", "421 4.7.27 Your email has been rate limited because SPF authentication didn't pass."),
        ("Gmail", "421 4.7.29 Your email has been rate limited because this message wasn't sent over a TLS connection"),
        ("Gmail", "421 4.7.30 Your email has been rate limited because DKIM authentication didn't pass."),
        ("Gmail", "421 4.7.32 Your email has been rate limited because the From: header isn't aligned with either "
         "organizational domain."),
        ("Gmail", "421 4.7.23 Your email has been rate limited because the sending IP doesn't have a PTR record"),
        ("Gmail", "550 5.7.1 This message is likely suspicious due to the very low reputation of the sending domain."),
        ("Gmail", "550 5.7.25 The IP address sending this message does not have a PTR record setup"),
        ("Gmail", "550 5.4.5 Daily user sending limit exceeded."),
        ("Outlook", "550 5.7.515 Access denied, sending domain example.org doesn't meet the required authentication "
         "level."),
        ("Outlook", "550 5.7.509 Access denied, sending domain [EXAMPLE.ORG] does not pass DMARC verification and has "
         "a DMARC policy of reject."),
        ("Outlook", "550 5.7.606 Access denied, banned sending IP [192.0.2.7]. To request removal from this list "
         "please visit https://sender.office.com/ (AS16012609)"),
        ("Outlook", "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your Internet "
         "service provider since part of their network is on our block list (S3140)."),
        *(("Outlook", f"550 {code} (BAY004-MC1F1) Unfortunately, messages weren't sent. Mail rejected by Outlook.com "
           "for policy reasons.") for code in ("SC-001", "SC-004", "OU-002", "DY-001")),
        ("Postfix", "550 5.7.1 <x@example.org>: Recipient address rejected: Access denied"),
        ("Yahoo", "553 5.7.2 [TSS09] All messages from 192.0.2.7 will be permanently deferred; Retrying will NOT "
         "succeed."),
        ("Yahoo", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.7, because the ip is in Spamhaus's "
         "list"),
        ("Yahoo", "554 Message not allowed - [PH01] Email not accepted for policy reasons."),
        ("Yahoo", "554 5.7.9 Message not accepted for policy reasons."),
        ("AT&T", "553 5.3.0 flph844 DNSBL:RBL 521< 192.0.2.7 >_is_blocked. For assistance forward this email to "
         "abuse_rbl@abuse-att.net"),
        ("Comcast", "554 resimta-c2p-001 192.0.2.7 found on one or more DNSBLs, see "
         "http://postmaster.comcast.net/smtp-error-codes.php#BL000010"),
        ("Apple", "550 5.7.1 [CS01] Message rejected due to local policy."),
        ("Apple", "554 5.7.1 [HME1] This message was blocked for failing both SPF and DKIM authentication checks."),
        ("Apple", "554 mr85p00im-smtpin001.me.com ESMTP not accepting connections"),
        ("GMX", "554-Transaction failed 554-Reject due to policy restrictions. 554 For explanation visit "
         "https://postmaster.gmx.net/en/case?c=hd"),
        ("Mail.com", "554-mail.com (mxgmxus002) Nemesis ESMTP Service not available 554-No SMTP service 554-Bad DNS "
         "PTR resource record."),
        ("GMX", "554 gmx.net (mxgmx117) Nemesis ESMTP Service not available, IP address is block listed. ?c=bl"),
        ("T-Online", "554 IP=192.0.2.7 - A problem occurred. (Ask your postmaster for help or to contact "
         "tosa@rx.t-online.de to clarify.) (BL)"),
        ("T-Online", "554 IP=192.0.2.7 - Dialup/transient IP not allowed. Use a mailgateway or contact "
         "toda@rx.t-online.de if obsolete. (DIAL)"),
        ("Orange", "550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for "
         "spamming issues. OFR006_102"),
        ("Orange", "501 5.0.2 x@orange.fr Mail rejected. DMARC check failed."),
        ("Free", "451 too many errors from your ip (192.0.2.7), please visit http://postmaster.free.fr/"),
        ("QQ", "550 DMARC check failed. http://service.mail.qq.com/"),
        ("163", "554 HL:IPB 126 smtp5,abc"),
        ("163", "554 IP in blacklist"),
        ("Mimecast", "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550"),
        ("Mimecast", "550 Rejected by header based Anti-Spoofing policy: x@example.org - "
         "https://community.mimecast.com/docs/DOC-1369#550"),
        ("Proofpoint", "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7"),
        ("Proofpoint", "550 5.7.0 Local Policy Violation"),
        ("Barracuda", "550 permanent failure for one or more recipients (x@example.org:blocked)"),
        ("Barracuda", "554 Service unavailable; Client host [192.0.2.7] blocked using Barracuda Reputation"),
        ("Cisco", "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation."),
        ("Trend Micro", "550 Service unavailable; Client Host [192.0.2.7] blocked using Trend Micro RBL+."),
        ("Zoho", "541 5.4.1 Mail rejected by destination domain"),
        ("Spectrum", "550 5.1.0 <b@amazonses.com> sender rejected. Please see https://x.example AUP#In-1310"),
        ("Virgin", "550 5.1.0 MXIN506 MailFrom domain is listed in Spamhaus."),
        ("Zimbra", "550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.7 is blacklisted using SPAMHAUS-XBL"),
        ("Postfix", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"),
        ("Postfix", "554 5.7.1 Service unavailable; Sender address [x@example.org] blocked using dbl.spamhaus.org"),
        ("Sendmail", "553 5.1.8 <x@example.org>... Domain of sender address x@example.org does not exist"),
        ("Plain", "550 Blocked using Spamhaus"),
    ),
    C.CONTENT: (
        ("Gmail", "550 5.7.1 This message is likely unsolicited email."),
        ("Gmail", "552 5.7.0 This message was blocked because its content presents a potential security issue."),
        ("Gmail", "552 5.3.4 Your message exceeded Google's message size limits."),
        ("Exchange", "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient"),
        ("T-Online", "550 The message has been rejected due to spam or virus classification"),
        ("QQ", "550 Mail content denied"),
        ("126", "554 DT:SPM 126 smtp5,abc please see http://mail.163.com/help/help_spam_16.htm?ip=1"),
        ("Yandex", "554 5.7.1 Message rejected under suspicion of SPAM; https://ya.cc/1IrBc"),
        ("Mail.ru", "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=abc"),
        ("Mimecast", "554 email rejected due to security policies - MCSpamSignature.sa.2.2"),
        ("Barracuda", "550 5.7.1 Message content rejected, UBE, id=12345"),
        ("Zoho", "554 5.7.1 Email cannot be delivered. Reason: Email flagged as Spam."),
        ("Postfix", "552 5.3.4 Message size exceeds fixed limit"),
        ("Plain", "550 5.6.11 Message contains bare line feeds"),
    ),
    C.GREYLISTED: (
        ("Postfix", "450 4.7.1 <x@example.org>: Recipient address rejected: Greylisted, try again in 500 seconds"),
        ("Mimecast", "451 Internal resource temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451"),
        ("Yandex", "451 4.7.1 Sorry, the service is currently unavailable. Please come back later."),
        ("Spanish", "421 4.7.1 192.0.2.7 blocked using grey.rbl - Rechazo temporal - Greylisting in action"),
    ),
    C.NOT_WANTED: (
        ("Gmail", "550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibits the "
         "email that you sent."),
        ("Facebook", "550 5.1.1 RCP-P2 https://fb.example Refused due to recipient preferences"),
        ("Exchange", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required"),
        ("Microsoft 365", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; sender not authenticated for "
         "group"),
    ),
    C.TEMPORARY: (
        ("Amazon SES", "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>"),
        ("Exchange", "550 4.4.7 QUEUE.Expired; message expired"),
        ("Postfix", "450 4.1.1 <x@example.org>: Recipient address rejected: User unknown in virtual alias table"),
        ("Postfix", "550 5.7.1 <x@example.org>: Recipient address rejected: User x temporary locked. Please try again "
         "later!"),
        ("Postfix", "554 5.4.6 Too many hops"),
    ),
    C.RELAY_DENIED: (
        ("Postfix", "554 5.7.1 <x@example.org>: Relay access denied"),
        ("qmail", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
    ),
    C.AUTO_REPLY: (
        ("Any", "AutoReply message from x@example.org"),
        ("Any", "550 I am out of the office until Monday"),
    ),
    C.UNKNOWN: (
        ("Yahoo", "554 delivery error: dd Requested mail action aborted"),
        ("Exim", "550 Administrative prohibition"),
        ("Plain", "550 the account or domain may not exist, they may be blacklisted, or missing the proper dns "
         "entries."),
        ("Plain", "552"),
    ),
}  # fmt: skip

CASES = [(found, reply) for found, replies in REPLIES.items() for _who, reply in replies]
NAMES = [f"{who}-{found.value}" for found, replies in REPLIES.items() for who, _reply in replies]
