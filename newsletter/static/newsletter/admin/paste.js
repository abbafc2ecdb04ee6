// Converts rich text pasted into the text of a row, from Google Docs, Word or web pages, to Markdown. Text without links,
// emphasis, lists and headings is left to the browser. Undo works as for typed text.
"use strict";

{
  const DROPPED = "script, style, noscript, template, iframe, object, embed, svg, math, select, textarea, button, title";
  const BLOCKS = "p, div, ul, ol, li, table, tr, td, th, blockquote, section, article, header, footer, main, h1, h2, h3, h4, h5, h6, pre, hr, dl, dt, dd, figure, figcaption";
  // Private-use characters stand for Markdown marks until the whole line is known, so that adjacent marks can be merged.
  const BOLD = ["\uE000", "\uE001"], ITALIC = ["\uE002", "\uE003"];
  const STAND_INS = /[\uE000-\uE003]/g;

  const style = (node) => (node.getAttribute("data-style") || "").toLowerCase();
  const tidy = (line) => line.replace(/\s+/g, " ").trim();
  const isDropped = (node) => node.matches(DROPPED) || /mso-list:\s*ignore/.test(style(node));

  function isBold(node) {
    const weight = /(?<![\w-])font-weight:\s*(\w+)/.exec(style(node))?.[1];
    return weight ? weight === "bold" || Number(weight) >= 600 : node.matches("b, strong");
  }

  function isItalic(node) {
    const slant = /(?<![\w-])font-style:\s*(\w+)/.exec(style(node))?.[1];
    return slant ? slant === "italic" : node.matches("i, em");
  }

  // Escapes only the characters that Markdown would read as marks at their position.
  const escaped = (text) => text.replace(STAND_INS, "").replace(/[\\`*]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|<(?=[a-zA-Z/!?])|\](?=\()|&(?=#?\w+;)/gu, "\\$&");
  const protectedStart = (line) => line.replace(/^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|#{1,6}(?:\s|$)|>|--+|==+|~~~))/, (start) => `${start}\\`);

  function wrapped(text, [open, close]) {
    const [, lead, inner, stops, tail] = /^(\s*)([^]*?)([.,:;!?]*)(\s*)$/.exec(text.replaceAll(open, "").replaceAll(close, ""));
    return inner ? `${lead}${open}${inner}${close}${stops}${tail}` : text;
  }

  // The URL of a link, without the redirect that Google Docs puts around it; empty for other schemes, whose text is kept.
  function target(node) {
    try {
      let url = new URL(node.getAttribute("href"));
      if (/(^|\.)google\.[a-z.]+$/.test(url.hostname) && url.pathname === "/url" && url.searchParams.get("q")) {
        url = new URL(url.searchParams.get("q"));
      }
      if (!["http:", "https:", "mailto:"].includes(url.protocol)) return "";
      return url.href.replace(/[()<>\[\]]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
    } catch {
      return "";
    }
  }

  function linked(text, url) {
    const inner = text.trim();
    if (!inner || !url || inner.includes("](")) return text;
    const label = inner.replace(/(?<!\\)[[\]]/g, "\\$&");
    return text.replace(inner, () => `[${label}](${url})`);
  }

  function inline(node) {
    if (node.nodeType === Node.TEXT_NODE) return escaped(node.data.replace(/\s+/g, " "));
    if (node.nodeType !== Node.ELEMENT_NODE || isDropped(node)) return "";
    if (node.matches("br")) return " ";
    let text = [...node.childNodes].map(inline).join("");
    if (node.matches("a[href]")) text = linked(text, target(node));
    if (isItalic(node)) text = wrapped(text, ITALIC);
    if (isBold(node)) text = wrapped(text, BOLD);
    return text;
  }

  // A finished line: a mark that ends where the same mark begins again is merged with it.
  function line(text) {
    const joined = tidy(text).replace(/\uE001(\s*)\uE000/g, "$1").replace(/\uE003(\s*)\uE002/g, "$1");
    return protectedStart(joined).replace(/[\uE000\uE001]/g, "**").replace(/[\uE002\uE003]/g, "*");
  }

  // Word writes list items as paragraphs, with the bullet or number in a span marked "mso-list: Ignore".
  function wordItem(node) {
    if (!/mso-list:\s*l/.test(style(node)) || !node.matches("p")) return null;
    const mark = [...node.querySelectorAll("span")].find((part) => /mso-list:\s*ignore/.test(style(part)));
    const number = /^\s*(\d+)[.)]/.exec(mark ? mark.textContent : "");
    const level = Number(/level(\d+)/.exec(style(node))?.[1] || 1);
    return { text: `${"   ".repeat(level - 1)}${number ? `${number[1]}.` : "-"} ${line(inline(node))}`, isItem: true };
  }

  function list(node, depth) {
    const items = [];
    let number = Number(node.getAttribute("start")) || 1;
    for (const child of node.children) {
      if (child.matches("ul, ol")) {  // Google Docs and old pages nest lists directly in lists
        items.push(...list(child, depth + 1));
      } else if (child.matches("li")) {
        const mark = node.matches("ol") ? `${number}.` : "-";
        number += 1;
        items.push(...listItem(child, `${"   ".repeat(depth)}${mark} `, depth));
      }
    }
    return items;
  }

  function listItem(node, mark, depth) {
    const parts = blocks(node, depth + 1);
    const own = parts.filter((part) => !part.isItem).map((part) => part.text).join(" ");
    return [...(own ? [{ text: mark + own, isItem: true }] : []), ...parts.filter((part) => part.isItem)];
  }

  function blocks(node, depth = 0) {
    const found = [];
    let text = "";
    const flush = () => {
      const whole = line(text);
      if (whole) found.push({ text: whole, isItem: false });
      text = "";
    };
    for (const child of node.childNodes) {
      const isElement = child.nodeType === Node.ELEMENT_NODE && !isDropped(child);
      if (isElement && child.matches("br")) flush();
      else if (isElement && (child.matches(BLOCKS) || child.querySelector(BLOCKS))) {
        flush();
        found.push(...block(child, depth));
      } else text += inline(child);
    }
    flush();
    return found;
  }

  function block(node, depth) {
    const item = wordItem(node);
    if (item) return [item];
    if (node.matches("ul, ol")) return list(node, depth);
    if (node.matches("h1, h2, h3, h4, h5, h6")) {
      const words = tidy(inline(node).replace(STAND_INS, ""));
      return words ? [{ text: `### ${words}`, isItem: false }] : [];
    }
    const parts = blocks(node, depth);
    return node.matches("blockquote") ? parts.map((part) => ({ ...part, text: part.text.replace(/^/gm, "> ") })) : parts;
  }

  function markdown(html) {
    // Parsed into a separate document, in which nothing runs or loads. Styles and handlers are renamed because the content
    // security policy of the page would still report each of them in the console.
    const quiet = html.replace(/<style\b[^]*?(?:<\/style>|$)/gi, "")
      .replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/(?<=[\s/"'])(?=(?:style|on\w+)\s*=)/gi, "data-"));
    const page = new DOMParser().parseFromString(quiet, "text/html");
    return blocks(page.body).reduce((text, part, place, all) => {
      const between = !place ? "" : part.isItem && all[place - 1].isItem ? "\n" : "\n\n";
      return text + between + part.text;
    }, "");
  }

  const isMarked = (text) => /\*\S|\]\(\S|^ *(?:-|\d+\.|###|>) /m.test(text.replace(/\\./g, ""));

  function insert(field, text) {
    // execCommand is the only way to insert text that the browser can undo; without it, setRangeText still inserts the
    // text. Moving the selection first starts a new undo step, so that undo does not remove what was typed before.
    const { selectionStart, selectionEnd } = field;
    field.setSelectionRange(0, 0);
    field.setSelectionRange(selectionStart, selectionEnd);
    if (document.execCommand("insertText", false, text)) return;
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
  }

  // A URL pasted over selected text becomes a link with that text.
  function linkOnSelection(field, pasted) {
    const words = field.value.slice(field.selectionStart, field.selectionEnd);
    const isOneLink = /^https?:\/\/[^\s()<>[\]]+$/.test(pasted.trim());
    return isOneLink && words.trim() && !/[\n[\]]|:\/\//.test(words) ? `[${words}](${pasted.trim()})` : "";
  }

  document.addEventListener("paste", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLTextAreaElement) || !field.matches('[data-compose] [name$="-body"]')) return;
    const html = event.clipboardData.getData("text/html");
    const onWords = linkOnSelection(field, event.clipboardData.getData("text/plain"));
    const text = onWords || (html ? markdown(html) : "");
    if (!text || !isMarked(text)) return;
    event.preventDefault();
    insert(field, text);
  });
}
