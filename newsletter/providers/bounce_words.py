"""The words by which replies of mail servers are told apart: patterns for lower-case text without URLs and addresses.

Every repetition has an upper bound, and none is inside another one: matching costs at most a constant times the length
of the text, which `bounces.MAX_LENGTH` bounds.
"""

from __future__ import annotations

import re

#: Operators of block lists, in words and in the links of a reply.
LIST_OPERATORS = (
    r"spamhaus|barracudacentral|spamcop|\bsorbs\b|cloudmark|invaluement|ivmsip|hostkarma|abusix|uceprotect|senderscore"
    r"|ipcheck\.proofpoint|\bcsi\.mimecast"
)
LINKED_LISTS = re.compile(LIST_OPERATORS + r"|\bdnsbl\b|\brbl\b|blacklist|blocklist")

_BLOCK_LISTS = (
    LIST_OPERATORS + r"|\b[sxp]bl\b|\bdbl\b|\bzen\b|\bcss\b|barracuda reputation|\bcsi\.|\b(?:dns)?rbl\b|\bdnsbls?\b"
    r"|\brbl\+|\buribl\b.{0,40}\bip\b|block ?-?list|black ?-?list|deny ?-?list|banned (?:sending )?ip|\[bl\d\d\]"
    r"|\[tss\d\d\].{0,120}permanent|\((?:bl|dial)\)|\bs31[45]0\b|\b(?:sc|ou|dy)-00\d|\brtr:|\bcon:|\bhl:|aup#|mxin506"
    r"|\bofr_?\d{0,4}_10[23]|\blpn\d{0,4}_(?:10[12]|510)|\[hme1\]|\[ph\d\d\]|\[cs01\]"
)
_ABOUT_SENDER = (
    r"reputation|\byour (?:ip|server|host|mail server|network|domain)\b|sending (?:ip|domain|server|host)\b|source ip"
    r"|ip (?:address )?source|\bip (?:is|was|has been) (?:blocked|listed|refused|rejected|banned)|client (?:host|ip)"
    r"|\bconnecting ip\b|\bptr\b|reverse dns|\brdns\b|\bhelo\b|\behlo\b|\bdmarc\b|\bspf\b|\bdkim\b"
    r"|authentication (?:checks?|level|requirements?|failed|failure)|unauthenticated|anti-spoofing|spoofed"
    r"|sender.{0,60}?(?:rejected|refused|denied|blocked|does not exist|doesn't exist|not owned|not allowed|unknown"
    r"|not exist|invalid|verif)|invalid sender|domain of sender|envelope sender|return path|mail ?from.{0,30}?"
    r"(?:refused|rejected|listed|denied)|tls (?:is )?required|starttls|encryption (?:is )?required|polic(?:y|ies)"
    r"|geographical|\bgeoip\b|country.{0,30}?(?:blocked|not accept)|(?:dynamic|transient|residential|generic) ip|dialup"
    r"|access denied, banned|not accepting connections|from your ip|rejected by destination domain|:blocked\)"
    r"|blocked - see|\bservice not available\b|weren't sent|many (?:spam )?complaints|abuse from|suspicious activity"
    r"|spam (?:incident|source)|for spamming|incident de spam|connection (?:refused|rejected|blocked) (?:due|because)"
)

#: About the sender: reputation, block lists, authentication, rules of the mailbox provider.
SENDER = re.compile(rf"{_BLOCK_LISTS}|{_ABOUT_SENDER}")

#: About the account at the provider that sends for us.
ACCOUNT = re.compile(
    r"username and password|(?:daily|hourly|monthly).{0,20}? sending (?:limit|quota) exceeded"
    r"|email address is not verified|maximum sending rate exceeded|sending (?:quota|paused) for this account"
)

RATE = re.compile(
    r"(?:mail|email|messages) too (?:quickly|fast)|at a rate that prevents|too many .{0,30}?"
    r"\b(?:connections|messages|recipients|mails|emails|sessions|deliveries)\b|too much (?:mail|email|traffic)"
    r"|trop de connexions|rate[ -]limit|throttl"
    r"|slow down|frequency limited|(?:excessive|unexpected|unusual) volume|maximum number of (?:connections|messages)"
    r"|(?:unusual|excessive|high) rate|per (?:hour|minute|day) message receive limit|new or untrusted ip|server busy"
    r"|deferred due to .{0,40}?volume|submission quota|(?:hourly|daily) (?:message |mail |receive )?limit"
    r"|connection (?:rate|limit)|message rate"
)
#: After these words, a rate limit has a cause in our DNS or set-up.
LIMITED_BECAUSE = re.compile(
    r"rate limited because.{0,200}?\b(?:spf|dkim|dmarc|unauthenticated|aligned|alignment|ptr|tls)\b"
)

GREYLISTED = re.compile(
    r"gr[ea]y-?list|try again in \d{1,6} ?(?:s|m|seconds?|minutes?)\b|temporarily deferred.{0,40}?first"
)
#: Greylisting in other words, if the code is temporary.
GREY_IF_TEMPORARY = re.compile(
    r"resource temporarily unavailable|service is currently unavailable|please come back later|please (?:re)?try later$"
)

AUTO_REPLY = re.compile(
    r"out of (?:the )?office|auto-?reply|auto-?response|automatic (?:reply|response)|\bon vacation\b|vacation (?:reply"
    r"|message)|abwesen(?:d|heit)|absence du bureau|r.ponse automatique|automatische antwort"
    r"|confirm that you are (?:a )?human|click to release"
)

CONTENT_FIRST = re.compile(
    r"\bube, id=|mcspamsignature|potential security issue|likely unsolicited|message content rejected"
)
CONTENT = re.compile(
    r"message (?:size|length)|size (?:limit|of).{0,20}?message|too (?:large|big)|header.{0,20}?size|attachment|\bvirus"
    r"|malware|infected|content (?:was |is )?(?:rejected|denied|restrictions?|blocked)|spam content|spam message"
    r"|suspicion of spam|suspected spam|(?:detected|identified|classified|flagged|considered|recognized|marked|scored)"
    r" as (?:possible |probable |likely )?(?:spam|junk|phishing|unsolicited)|due to (?:spam|virus)"
    r"|spam (?:score|filter)|\bphishing\b|looks like"
    r" spam|dt:spm|\buribl\b|\bsurbl\b|rfc ?5322|duplicate header|bare (?:line feeds?|lf)|multiple addresses in from"
    r"|missing (?:message-id|date|from|subject)|(?:banned|blocked|blacklisted|malicious|bad) (?:url|link)"
)
LOOP = re.compile(r"mail loop|routing loop|too many hops|\bhops\b|hop count")
EXPIRED = re.compile(
    r"message expired|queue\.expired|delivery time expired|retry time(?:out)? (?:not reached|exceeded)"
)

FULL = re.compile(
    r"over (?:its |the |disk |storage )?quota|overquota|quota (?:is |was )?(?:exceeded|full|reached)|exceeded.{0,30}?"
    r"\bquota|(?:mailbox|inbox|mail box|mbox) (?:is |was )?full|mailbox.{0,30}?limit|out of (?:storage|disk)"
    r"|storage allocation|(?:not enough|insufficient) (?:storage|disk|mailbox) ?space|insufficient system storage"
    r"|boite.{0,20}?pleine|destinataire pleine|space has been used up|extended quota|postfach (?:ist )?voll"
    r"|casella piena|buz.n lleno"
)
ABANDONED = re.compile(r"\binactive\b|overquotaperm")

_BOX = r"(?:account|mailbox|user|recipient|addressee|address|e-?mail|customer|compte|inbox|alias)"
#: What stands between a mailbox and what is said of it, with nothing else that it could be said of.
_GAP = r"(?:(?!connection|session|message|server|sender|domain|host).)"
_GONE = (
    r"(?:disabled|inactive|deactivated|suspended|frozen|terminated|discontinued|closed|locked out|cancell?ed|archived"
    r"|archivee|expired|bloque|no longer (?:valid|active|available|accepts?|in use|used|on server|exists?)"
    r"|not (?:been )?activated|not active|blocked due to inactivity)"
)
INACTIVE = re.compile(
    rf"\b{_BOX}\b{_GAP}{{0,60}}?\b{_GONE}\b|\b(?:disabled|inactive|deactivated|suspended|frozen|discontinued|closed"
    rf"|archived|expired|dormant) (?:e-?mail )?{_BOX}\b|recipient account is blocked"
)
LOCKED = re.compile(r"temporar(?:y|ily)")

_NO_SUCH = (
    r"user unknown|unknown user|unknown recipient|unknown mailbox|unknown account|no such (?:user|recipient|mailbox"
    r"|person|id|address|account|customer|local user)|doesn't have an? .{0,40}?account|(?:has no|no) mailbox here"
    rf"|\b{_BOX}\b{_GAP}{{0,80}}?\b(?:does not|doesn't|did not) exist|\b{_BOX} (?:was |is )?"
    r"(?:not found|unknown|unrecogni[sz]ed|not known|non-?existent|could not be found|cannot be found)"
    r"|unrecogni[sz]ed recipient"
    r"|could(?:n't| not) find (?:the |this )?(?:user|recipient|mailbox|account)|recipient verify failed|recipient"
    r" verification failed|invalid (?:mailbox|user|local part)|unknown (?:or illegal alias|local part|address)"
    r"|unknown local-part|no mailbox|address unknown|not (?:our|a valid|an existing) (?:customer|user"
    r"|mailbox|recipient)"
    r"|utilisateur inconnu|destinataire inconnu|adresse.{0,40}?destinataire.{0,20}?invalide|empf.nger unbekannt"
    r"|unbekannter empf.nger|usuario desconocido|utente sconosciuto|recip(?:ient)?notfound|no longer on server"
    r"|doesn't exist here|no account by that name|is not a (?:known|valid) (?:user|mailbox|recipient)"
)
MAILBOX = re.compile(_NO_SUCH)
#: A sentence about the sender that sounds like one about a mailbox.
MAILBOX_OF_SENDER = re.compile(
    r"sender.{0,80}?(?:does not exist|doesn't exist|unknown|not found|no such|no longer)|sender verify failed"
    r"|domain of sender.{0,80}?exist"
)
#: Not even that server knows.
MAY_NOT_EXIST = re.compile(r"may not exist")

NULL_MX = re.compile(r"null mx|mx (?:is )?null|does not accept (?:any )?(?:e-?mail|mail)\b.{0,40}?(?:nullmx|rfc ?7505)")
DOMAIN = re.compile(
    r"domain (?:name )?(?:was |is )?not found|find the recipient domain|unknown (?:host|domain)|host unknown"
    r"|(?:host|domain) (?:is )?unknown|no such (?:domain|host)|nxdomain|name service error|unrout(?:e)?able"
    r"|unable to route|mx lookup fail|no mx record|invalid (?:recipient )?domain|failed to resolve|could not resolve"
    r"|host (?:or domain name )?not found|domain.{0,80}?(?:does not|doesn't) exist|no mail server"
)
DOMAIN_FAULT = re.compile(r"malformed or unexpected name server reply|timed out|temporar|try again|timeout|servfail")

RELAY = re.compile(
    r"relay(?:ing)? (?:access )?(?:is )?(?:denied|prohibited|not (?:allowed|permitted))|unable to relay"
    r"|(?:not permitted|not allowed|not configured) to relay|rcpthosts|(?:do not|don't) relay|tenantattribution"
    r"|open relay"
)

NOT_WANTED_FIRST = re.compile(
    r"has a policy that prohibits|recipient preferences|rejected by (?:this user|the recipient|recipient)|blocked by"
    r" (?:the )?(?:recipient|user)|recipient (?:has )?(?:blocked|refuses)"
)
NOT_WANTED = re.compile(
    r"\brestricted\b|allowed-senders|authrequired|only accepts|not authenticated for group|not authorized to send to"
    r"|only subscribers (?:may|can)|permission to (?:send|post)"
)

#: May be about the mailbox: the code decides.
WEAK = re.compile(
    r"mailbox unavailable|(?:recipient )?address rejected|invalid (?:recipient|address)|recipient (?:was )?(?:rejected"
    r"|refused)|access denied|administrative prohibition|\brejected\b|mailbox is unavailable|user unavailable"
)
#: Those of them that are about the mailbox where there is no enhanced code.
WEAK_WITHOUT_CODE = re.compile(r"mailbox (?:is )?unavailable|invalid recipient|recipient address rejected")
#: Those that are about the mailbox with 5.1.0, which large providers use for reputation.
WEAK_WITH_OTHER_STATUS = re.compile(r"mailbox (?:is )?unavailable|invalid recipient|(?:recipient )?address rejected")
