// Rich text pasted into the text of a row, from Google Docs, Word or web pages, becomes Markdown. The server converts it.
// Without an answer, the plain text is inserted. Undo works as for typed text.
"use strict";

{
  const LONGEST_WAIT = 8000;  // milliseconds
  const RICH = /<(?:a|b|strong|i|em|cite|s|del|sub|sup|code|pre|h[1-6]|[uod]l|table|blockquote|img|figure|hr|q)\b|font-(?:weight|style)\s*:|mso-list:/i;

  const isMarked = (text) => /\*\S|~~\S|`\S|\]\(\S|<\w|^ *(?:-|\d+\.|#+|>|\|) |^---$|\\$/m.test(text.replace(/\\[^\n]/g, ""));

  function insert(field, text) {
    // execCommand is the only way to insert text that the browser can undo; without it, setRangeText still inserts the
    // text. Moving the selection first starts a new undo step, so that undo does not remove what was typed before.
    const { selectionStart, selectionEnd } = field;
    if (document.activeElement === field) {
      field.setSelectionRange(0, 0);
      field.setSelectionRange(selectionStart, selectionEnd);
      if (document.execCommand("insertText", false, text)) return;
    }
    field.setRangeText(text, selectionStart, selectionEnd, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
  }

  // A URL pasted over selected text becomes a link with that text.
  function linkOnSelection(field, pasted) {
    const words = field.value.slice(field.selectionStart, field.selectionEnd);
    const isOneLink = /^https?:\/\/[^\s()<>[\]]+$/.test(pasted.trim());
    return isOneLink && words.trim() && !/[\n[\]]|:\/\//.test(words) ? `[${words}](${pasted.trim()})` : "";
  }

  async function converted(form, html) {
    const answer = await fetch(form.dataset.paste, {
      method: "POST",
      body: html,
      headers: {
        "Content-Type": "text/html; charset=utf-8",
        "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value,
      },
      redirect: "error",
      signal: AbortSignal.timeout(LONGEST_WAIT),
    });
    return answer.json();
  }

  // What was left out, below the field and for screen readers.
  function say(field, sentences) {
    let note = field.parentElement.querySelector("[data-paste-note]");
    if (!note) {
      note = document.createElement("p");
      note.className = "help";
      note.setAttribute("role", "status");
      note.dataset.pasteNote = "";
      field.after(note);
    }
    note.textContent = sentences.join(" ");
  }

  async function pasteRich(field, html, plain) {
    const form = field.form;
    try {
      const { markdown, notes } = await converted(form, html);
      insert(field, markdown && isMarked(markdown) ? markdown : plain || markdown || "");
      say(field, notes);
    } catch {
      insert(field, plain);
      say(field, [form.dataset.textPastedPlain]);
    }
  }

  document.addEventListener("paste", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLTextAreaElement) || !field.matches('[data-compose] [name$="-body"]')) return;
    const html = event.clipboardData.getData("text/html");
    const plain = event.clipboardData.getData("text/plain");
    const onWords = linkOnSelection(field, plain);
    if (!onWords && !RICH.test(html)) return;
    event.preventDefault();
    if (onWords) insert(field, onWords); else pasteRich(field, html, plain);
  });
}
