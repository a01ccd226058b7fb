import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { renderMarkdown } from "../../src/markdown.ts";
import { TEMPLATES_DIR } from "../../tools/migrate.ts";

const TAG = /<\/?([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>/g;
const TAGS = "h2 h3 h4 h5 h6 p ul ol li strong em code pre a blockquote hr table thead tbody tr th td".split(" ");
const ATTRIBUTES: Record<string, RegExp> = {
  href: /^(https:\/\/[^\s"'<>]+|mailto:[^\s"'<>]+|\/(?!\/)[\w/#.~-]*)$/,
  rel: /^noopener noreferrer nofollow$/,
  scope: /^col$/,
  "data-label": /^[^"<>]*$/,
  tabindex: /^0$/,
};

/** Fails on every tag, attribute and bare character that is not on the list, and on tags that are not closed in order. */
function expectInert(html: string): void {
  const open: string[] = [];
  for (const [whole, name, attributes] of html.matchAll(TAG)) {
    expect(TAGS).toContain(name);
    for (const [, key, value] of attributes.matchAll(/ ([a-z-]+)="([^"]*)"/g)) {
      expect(Object.keys(ATTRIBUTES)).toContain(key);
      expect(value).toMatch(ATTRIBUTES[key]);
    }
    if (whole.startsWith("</")) expect(open.pop()).toBe(name);
    else if (name !== "hr") open.push(name);
  }
  expect(open).toEqual([]);
  const rest = html.replace(TAG, "");
  expect(rest).not.toMatch(/[<>"']/);
  expect(rest).not.toMatch(/&(?!(amp|lt|gt|quot|#39);)/);
}

describe("renderMarkdown()", () => {
  test.each([
    ["# Title", "<h2>Title</h2>"],
    ["###### Deep", "<h6>Deep</h6>"],
    ["one\ntwo\n\nthree", "<p>one\ntwo</p>\n<p>three</p>"],
    ["**bold**, *soft*, `a < b`", "<p><strong>bold</strong>, <em>soft</em>, <code>a &lt; b</code></p>"],
    ["- a\n- b\n  - c\n  - d\n- e", "<ul><li>a</li>\n<li>b<ul><li>c</li><li>d</li></ul></li>\n<li>e</li></ul>"],
    ["1. a\n2. b\n   more", "<ol><li>a</li>\n<li>b more</li></ol>"],
    ["> said\n> so", "<blockquote><p>said\nso</p></blockquote>"],
    ["---", "<hr>"],
    ["```\n<b>\n```", '<pre tabindex="0"><code>&lt;b&gt;</code></pre>'],
    [
      "[a](https://example.com/x?y=1&z=2)",
      '<p><a href="https://example.com/x?y=1&amp;z=2" rel="noopener noreferrer nofollow">a</a></p>',
    ],
    ["[m](mailto:a@example.com)", '<p><a href="mailto:a@example.com" rel="noopener noreferrer nofollow">m</a></p>'],
    ["[here](/legal/terms)", '<p><a href="/legal/terms" rel="noopener noreferrer nofollow">here</a></p>'],
    [
      "| a | **b** |\n|---|---|\n| 1 | 2 |",
      '<table><thead><tr><th scope="col">a</th><th scope="col"><strong>b</strong></th></tr></thead><tbody><tr><td data-label="a">1</td><td data-label="b">2</td></tr></tbody></table>',
    ],
    ["2 * 3 * 4 and \\*not\\*", "<p>2 * 3 * 4 and *not*</p>"],
    ["a * b", "<p>a * b</p>"],
  ])("renders %j", (text, html) => {
    expect(renderMarkdown(text)).toBe(html);
    expectInert(html);
  });

  test.each([
    "<script>alert(1)</script>",
    "<ScRiPt src=https://evil.test/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<style>*{background:url(https://evil.test)}</style>",
    '<base href="https://evil.test/">',
    '<meta http-equiv="refresh" content="0;url=https://evil.test">',
    '<form action="https://evil.test"><button>Sign in</button></form>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<!-- --><script>alert(1)</script><!-- -->",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](\u0001javascript:alert(1))",
    "[x](javascript&#58;alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.test)",
    "[x](/\\evil.test)",
    "[x](http://evil.test)",
    "[x](https://user:pass@evil.test)",
    "[x](https://good.test\u202e@evil.test)",
    '[x](https://good.test" onmouseover="alert(1))',
    "[x](https://good.test'onclick=alert(1))",
    "[[a](javascript:alert(1))](https://good.test)",
    "![x](https://good.test/pixel.png)",
    "[x]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "`</code><script>alert(1)</script>`",
    "```\n</code></pre><script>alert(1)</script>",
    "| <b onclick=alert(1)> | \"x' |\n|---|---|\n| </td><script>alert(1)</script> | [x](javascript:1) |",
    '# <h1 onclick="alert(1)">',
    "> <blockquote>\n> <script>",
    "- <li><script>alert(1)</script>\n  - [x](data:text/html,1)",
    "**<b>*<i>**</b>*",
    "\uff1cscript\uff1ealert(1)",
    "&lt;script&gt;",
    "a\u2028<script>alert(1)</script>",
  ])("leaves nothing alive of %j", (text) => {
    const html = renderMarkdown(text);
    expectInert(html);
    expect(html).not.toMatch(/href="(?!https:\/\/good\.test)/);
  });

  test("takes time in proportion to the length of a hostile text", () => {
    const size = 100 * 1024;
    for (const piece of [
      "[",
      "[a](",
      "](",
      "*",
      "**",
      "* ",
      "*a",
      "**a*",
      "`",
      "``",
      "\\",
      "> ",
      "- ",
      "-",
      "|",
      "|-",
      "# ",
      "- a\n",
      "  - a\n",
      "> > a\n",
      "|a|\n|-|\n",
      "```\n",
      "a\n",
      " ",
      "<",
      "[a](https://a.test/",
    ]) {
      const startedAt = performance.now();
      const html = renderMarkdown(piece.repeat(size / piece.length));
      expect(performance.now() - startedAt, piece).toBeLessThan(1500);
      expect(html.length, piece).toBeLessThan(size * 30);
    }
    const table = `|${"a".repeat(size / 2)}|\n|-|\n${"|b|\n".repeat(size / 8)}`;
    expect(renderMarkdown(table).length).toBeLessThan(size * 40);
    renderMarkdown(`# ${" ".repeat(size)}\u2028`);
    renderMarkdown(`|a|\n|${"-".repeat(size)}x`);
  });

  test("renders the templates with headings, a list and a table", () => {
    for (const name of readdirSync(TEMPLATES_DIR)) {
      const html = renderMarkdown(readFileSync(join(TEMPLATES_DIR, name), "utf8"));
      expectInert(html);
      expect(html).toMatch(/^<blockquote><p><strong>/);
      expect(html).toContain("<h2>");
      expect(html).toContain("<ul>");
      expect(html).not.toMatch(/\*\*|\|/);
    }
  });
});
