// Reduces caniemail's data to what newsletter/preflight reads, and prints it: `make caniemail` stores it.
// Of each client's versions only the latest tested counts.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const data = require("caniemail/caniemail.json");
const { version } = require("caniemail/package.json");

const clients = [
  ...new Set(
    data.data.flatMap(({ stats }) =>
      Object.entries(stats).flatMap(([family, platforms]) =>
        Object.keys(platforms).map((platform) => `${family}.${platform}`),
      ),
    ),
  ),
].sort();

const isDate = (version) => /^20\d\d(-\d\d)?$/.test(version);
const compareVersions = (a, b) => a.localeCompare(b, "en", { numeric: true });

// Versions are numbers or dates. Where a client has both (Outlook for macOS: 2016, 16.80) only the file's order tells.
function latest(stats, client) {
  const [family, platform] = client.split(".");
  const support = stats[family]?.[platform] ?? {};
  const versions = Object.keys(support);
  const hasBoth = versions.some(isDate) && !versions.every(isDate);
  if (!hasBoth) versions.sort(compareVersions);
  return versions.length ? support[versions.at(-1)] : "-";
}

function reduce(feature) {
  const found = clients.map((client) => [client, latest(feature.stats, client)]);
  const footnotes = found
    .map(([client, support]) => [client, [...support.matchAll(/#(\d+)/g)].map((match) => Number(match[1]))])
    .filter(([, numbers]) => numbers.length);
  return {
    title: feature.title,
    category: feature.category,
    support: found.map(([, support]) => support[0]).join(""),
    ...(footnotes.length && { footnotes: Object.fromEntries(footnotes), notes: feature.notes_by_num ?? {} }),
  };
}

const features = Object.fromEntries(
  [...data.data].sort((a, b) => (a.slug < b.slug ? -1 : 1)).map((feature) => [feature.slug, reduce(feature)]),
);
const lines = Object.entries(features).map(([slug, feature]) => `    ${JSON.stringify(slug)}: ${JSON.stringify(feature)}`);
const licence = readFileSync(require.resolve("caniemail/package.json").replace("package.json", "LICENSE"), "utf8");
process.stdout.write(`{
  "source": "Can I email (www.caniemail.com), from the npm package caniemail",
  "licence": "MIT",
  "licence_text": ${JSON.stringify(`Copyright (c) 2019 HTeuMeuLeu (the data)\n${licence.replace("MIT License", "").trim()}`)},
  "version": ${JSON.stringify(version)},
  "date": ${JSON.stringify(data.last_update_date.slice(0, 10))},
  "reading": "support has one letter per client, in the order of clients: y supported, a partly, n not, u unknown, - not tested",
  "families": ${JSON.stringify(data.nicenames.family)},
  "platforms": ${JSON.stringify(data.nicenames.platform)},
  "clients": ${JSON.stringify(clients)},
  "features": {
${lines.join(",\n")}
  }
}
`);
