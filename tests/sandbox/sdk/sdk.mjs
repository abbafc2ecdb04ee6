// Speaks to the sandbox through Resend's official SDK for Node, and prints what it got as JSON.
import { Resend } from "resend";

// The address of the sandbox is RESEND_BASE_URL.
const client = new Resend(process.env.RESEND_API_KEY);

const mail = (to) => ({
  from: "The Digest <digest@letters.test>",
  to: [to],
  subject: "Eleven stories",
  html: "<p>Read them – all of them.</p>",
  text: "Read them – all of them.",
  tags: [{ name: "delivery", value: "7" }],
  headers: { "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" },
});

async function data(call) {
  const { data, error } = await call;
  if (error) throw new Error(JSON.stringify(error));
  return data;
}

const one = await data(client.emails.send(mail("ada@readers.test")));
const batch = [mail("ben@readers.test"), mail("cleo@readers.test")];
const options = { idempotencyKey: "issue-1" };
const first = await data(client.batch.send(batch, options));
const again = await data(client.batch.send(batch, options));
const read = await data(client.emails.get(one.id));
const listed = await data(client.emails.list());
const domains = await data(client.domains.list());
const domain = await data(client.domains.get(domains.data[0].id));
const usage = await data(client.usage.get());
const endpoint = (await data(client.webhooks.list())).data[0];
const log = await data(client.webhooks.events.list({ webhookId: endpoint.id, limit: 100 }));
const entry = { webhookId: endpoint.id, eventId: log.data.at(-1).id };
const event = await data(client.webhooks.events.get(entry));
const attempts = await data(client.webhooks.events.attempts.list(entry));
const replayed = await data(client.webhooks.events.replay(entry));
await data(client.webhooks.update(endpoint.id, { status: "disabled" }));
const webhook = await data(client.webhooks.get(endpoint.id));
const unplayed = await client.webhooks.events.replay(entry);
const counted = await data(client.emails.metrics({ metrics: ["sent"], emailId: [one.id] }));
const refused = await client.emails.send({ ...mail("ada@readers.test"), to: undefined });

console.log(
  JSON.stringify({
    to: read.to,
    text: read.text,
    tags: read.tags,
    listed: listed.data.length,
    batch: first.data.length,
    same: first.data[0].id === again.data[0].id,
    domain: domain.name,
    records: domain.records.length,
    sent_today: usage.emails.daily.sent,
    event: event.payload.type,
    about: event.payload.data.email_id === one.id,
    attempted: attempts.object,
    replayed: replayed.id === event.id,
    webhook: webhook.status,
    unplayed: unplayed.error.name,
    counted: counted.totals,
    refusal: refused.error.message,
  }),
);
