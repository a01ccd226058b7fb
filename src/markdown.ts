// A renderer for what operators and resellers write: statements, terms, notices. Small (of the libraries, micromark adds
// 27 KiB to the bundle and marked 15) and safe by construction: it knows no HTML. Tags come from this file only, every
// character of the input is escaped, and an address is one of three kinds or stays text. Each line and each character is
// looked at a fixed number of times, so that a hostile text costs no more than its length.

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escaped = (text: string) => text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);

/** Zero-width and direction-changing characters can make an address look like another, and control ones hide a scheme. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const HIDDEN = /[\s\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff"'<>`\\^{|}]/;

/** An address that a link may have: TLS, a mail, or a page of ours. Everything else is no address. */
function addressOf(text: string): string | null {
  if (text.length > 500 || HIDDEN.test(text)) return null;
  if (/^\/(?!\/)[\w/#.~-]*$/.test(text)) return text;
  if (/^mailto:[\w.+-]+@[\w-]+(\.[\w-]+)+$/i.test(text)) return text;
  if (!/^https:\/\/[a-z0-9]/i.test(text) || !URL.canParse(text)) return null;
  const { username, password } = new URL(text);
  return username === "" && password === "" ? text : null;
}

/** Where `mark` comes next, remembered by the caller so that a text full of openings is searched once for each mark. */
class Finder {
  readonly #text: string;
  readonly #next = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  /** @returns -1 when it does not come any more */
  after(mark: string, from: number): number {
    const known = this.#next.get(mark);
    if (known !== undefined && (known === -1 || known >= from)) return known;
    const found = this.#text.indexOf(mark, from);
    this.#next.set(mark, found);
    return found;
  }
}

const LINK_TEXT_CHARACTERS = 300;

/** Bold, italic, code and links within one block. */
function inline(text: string, nested = false): string {
  const finder = new Finder(text);
  let html = "";
  let plain = 0;
  let i = 0;
  const flush = (to: number) => {
    html += escaped(text.slice(plain, to));
  };
  const put = (tagged: string, end: number) => {
    flush(i);
    html += tagged;
    i = end;
    plain = end;
  };
  while (i < text.length) {
    const char = text[i];
    if (char === "\\" && /^[\\`*_[\]#>|.-]$/.test(text[i + 1] ?? "")) {
      put(escaped(text[i + 1]!), i + 2);
    } else if (char === "`") {
      const end = finder.after("`", i + 1);
      if (end > i + 1) put(`<code>${escaped(text.slice(i + 1, end))}</code>`, end + 1);
      else i++;
    } else if (char === "*" && !nested) {
      const mark = text[i + 1] === "*" ? "**" : "*";
      const end = finder.after(mark, i + mark.length);
      const within = end === -1 ? "" : text.slice(i + mark.length, end);
      if (within !== "" && !/^\s|\s$/.test(within)) {
        const tag = mark === "**" ? "strong" : "em";
        put(`<${tag}>${inline(within, true)}</${tag}>`, end + mark.length);
      } else i += mark.length;
    } else if (char === "[") {
      const middle = finder.after("](", i);
      const end = middle === -1 || middle - i > LINK_TEXT_CHARACTERS ? -1 : finder.after(")", middle);
      const label = end === -1 ? "" : text.slice(i + 1, middle);
      const address = label === "" || label.includes("[") ? null : addressOf(text.slice(middle + 2, end));
      if (address === null) i++;
      else put(`<a href="${escaped(address)}" rel="noopener noreferrer nofollow">${escaped(label)}</a>`, end + 1);
    } else i++;
  }
  flush(text.length);
  return html;
}

const ITEM = /^( *)(?:[-*+]|\d{1,9}[.)]) +(.*)$/;
const NUMBERED = /^ *\d/;
const RULE = /^ {0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/;
const HEADING = /^(#{1,6}) +(.*)$/;
const isDashes = (line = "") => /^[\s|:-]+$/.test(line) && line.includes("-") && line.includes("|");

/** A line of `- one`, with `  - two` under it; a deeper line is of the second level too. */
function list(lines: readonly string[]): string {
  const tagOf = (line: string) => (NUMBERED.test(line) ? "ol" : "ul");
  const outer = tagOf(lines[0]!);
  const items: { text: string; inner: string[]; tag: string }[] = [];
  for (const line of lines) {
    const [, indent = "", text = ""] = ITEM.exec(line) ?? [];
    const last = items.at(-1);
    if (ITEM.test(line) && (indent.length < 2 || last === undefined)) items.push({ text, inner: [], tag: "ul" });
    else if (last === undefined) continue;
    else if (ITEM.test(line)) {
      if (last.inner.length === 0) last.tag = tagOf(line);
      last.inner.push(text);
    } else if (last.inner.length > 0) last.inner.push(`${last.inner.pop()} ${line.trim()}`);
    else last.text += ` ${line.trim()}`;
  }
  const html = items.map(({ text, inner, tag }) => {
    const under = inner.map((row) => `<li>${inline(row)}</li>`).join("");
    return `<li>${inline(text)}${under === "" ? "" : `<${tag}>${under}</${tag}>`}</li>`;
  });
  return `<${outer}>${html.join("\n")}</${outer}>`;
}

const cellsOf = (line: string) =>
  line
    .trim()
    .replace(/^\|/, "")
    .replace(/\|$/, "")
    .split("|")
    .map((cell) => cell.trim());

/** Cells name their column too, for the narrow screen on which a row becomes a card (src/web/style.ts). */
function table([head = "", , ...rows]: readonly string[]): string {
  const names = cellsOf(head);
  const labels = names.map((name) => escaped(name.replace(/[*`[\]]/g, "").slice(0, 60)));
  const body = rows.map((row) => {
    const cells = cellsOf(row).slice(0, names.length);
    return `<tr>${cells.map((cell, i) => `<td data-label="${labels[i]}">${inline(cell)}</td>`).join("")}</tr>`;
  });
  const titles = names.map((name) => `<th scope="col">${inline(name)}</th>`).join("");
  return `<table><thead><tr>${titles}</tr></thead><tbody>${body.join("\n")}</tbody></table>`;
}

/**
 * Renders Markdown: headings, paragraphs, lists, quotes, tables, rules, code, bold, italic and links. The
 * page has the h1, so headings begin at h2.
 * @param text at most LIMITS.documentBytes
 * @returns HTML that is safe in a page
 */
export function renderMarkdown(text: string): string {
  return blocks(text.split(/\r\n|[\r\n\u2028\u2029]/), false).join("\n");
}

function blocks(lines: readonly string[], quoted: boolean): string[] {
  const out: string[] = [];
  let i = 0;
  /** Takes lines while they belong. */
  const take = (belongs: (line: string, n: number) => boolean): string[] => {
    const from = i;
    while (i < lines.length && belongs(lines[i]!, i - from)) i++;
    return lines.slice(from, i);
  };
  const isQuote = (line: string) => line.startsWith(">") && !quoted;
  const startsBlock = (line: string) =>
    line.trim() === "" ||
    HEADING.test(line) ||
    isQuote(line) ||
    line.startsWith("```") ||
    RULE.test(line) ||
    ITEM.test(line);
  while (i < lines.length) {
    const line = lines[i]!;
    const heading = HEADING.exec(line);
    if (line.trim() === "") i++;
    else if (heading !== null) {
      const level = Math.max(2, heading[1]!.length);
      out.push(`<h${level}>${inline(heading[2]!.trim())}</h${level}>`);
      i++;
    } else if (line.startsWith("```")) {
      i++;
      const code = take((row) => !row.startsWith("```"));
      i++;
      out.push(`<pre tabindex="0"><code>${escaped(code.join("\n"))}</code></pre>`);
    } else if (RULE.test(line)) {
      out.push("<hr>");
      i++;
    } else if (isQuote(line)) {
      const rows = take(isQuote).map((row) => row.replace(/^> ?/, ""));
      out.push(`<blockquote>${blocks(rows, true).join("\n")}</blockquote>`);
    } else if (ITEM.test(line)) {
      out.push(list(take((row) => ITEM.test(row) || /^ {2,}\S/.test(row))));
    } else if (line.includes("|") && isDashes(lines[i + 1])) {
      out.push(table(take((row) => row.includes("|"))));
    } else {
      const rows = take((row, n) => n === 0 || !startsBlock(row));
      out.push(`<p>${inline(rows.map((row) => row.trim()).join("\n"))}</p>`);
    }
  }
  return out;
}
