// The official compiler as one warm process: a JSON line {"mjml"} in, a JSON line {"html", "errors", "ms"} out.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const mjml2html = createRequire(import.meta.url)("mjml");

for await (const line of createInterface({ input: process.stdin })) {
  const started = process.cpuUsage();
  const { html, errors } = mjml2html(JSON.parse(line).mjml, { keepComments: true, fonts: {}, validationLevel: "soft" });
  const { user, system } = process.cpuUsage(started);
  const answer = { html, errors: errors.map((error) => error.formattedMessage), ms: (user + system) / 1000 };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
