import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core";

/** The browser of this machine, if it has one. */
export function findBrowser(): string | undefined {
  const named = process.env.CHROMIUM;
  const usual = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map((n) => `/usr/bin/${n}`);
  return [...(named ? [named] : []), ...usual].find((path) => existsSync(path));
}

export const openBrowser = (executablePath: string): Promise<Browser> =>
  chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

const WIDTHS = [1280, 320];
const THEMES = ["light", "dark"] as const;

/** A person with a browser of their own, who notices what is wrong with each page. */
export class Visitor {
  /** What was wrong, a line each. */
  readonly problems: string[] = [];
  readonly page: Page;
  /** Addresses of every page that was looked at. */
  readonly seen = new Set<string>();
  readonly #context: BrowserContext;
  readonly #screenshots: string | undefined;

  /** @param origins what may be asked; @param screenshots folder; absent: none are taken */
  static async arrive(
    browser: Browser,
    options: { origins: readonly string[]; screenshots?: string | undefined; javaScript?: boolean },
  ): Promise<Visitor> {
    const context = await browser.newContext({
      javaScriptEnabled: options.javaScript !== false,
      locale: "en-GB",
      viewport: { width: 1280, height: 800 },
    });
    return new Visitor(context, await context.newPage(), options);
  }

  private constructor(
    context: BrowserContext,
    page: Page,
    { origins, screenshots }: { origins: readonly string[]; screenshots?: string | undefined },
  ) {
    this.#context = context;
    this.#screenshots = screenshots;
    this.page = page;
    if (screenshots !== undefined) mkdirSync(screenshots, { recursive: true });
    page.setDefaultTimeout(10_000);
    const where = () => new URL(page.url()).pathname;
    page.on("console", (message) => {
      // A page that says what is wrong with a form is 400, and the browser calls that an error too.
      if (message.type() !== "error" || message.text().startsWith("Failed to load resource")) return;
      this.problems.push(`${where()}: console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.problems.push(`${where()}: script: ${error.message}`));
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol === "http:" && origins.includes(origin)) return;
      this.problems.push(`${where()}: asks for ${request.url().slice(0, 100)}`);
    });
    page.on("response", (response) => {
      const own = response.request().resourceType() === "document";
      if (response.status() >= (own ? 500 : 400)) this.problems.push(`${response.url()}: ${response.status()}`);
    });
  }

  /** The browser's own end of a debugging connection. */
  debug(): Promise<CDPSession> {
    return this.#context.newCDPSession(this.page);
  }

  async go(url: string): Promise<void> {
    await this.page.goto(url);
  }

  async fill(label: string, value: string): Promise<void> {
    await this.page.getByLabel(label, { exact: true }).fill(value);
  }

  async tick(label: string | RegExp): Promise<void> {
    await this.page.getByLabel(label).check();
  }

  async press(name: string | RegExp): Promise<void> {
    await this.page
      .getByRole("button", { name, exact: typeof name === "string" })
      .first()
      .click();
    await this.page.waitForLoadState();
  }

  async follow(name: string | RegExp): Promise<void> {
    await this.page
      .getByRole("link", { name, exact: typeof name === "string" })
      .first()
      .click();
    await this.page.waitForLoadState();
  }

  async text(): Promise<string> {
    return this.page.locator("main").innerText();
  }

  path(): string {
    return new URL(this.page.url()).pathname;
  }

  /** Looks at the page as it is, in both widths and both themes: with axe, for what does not fit, and as pictures. */
  async look(name: string): Promise<void> {
    const { page } = this;
    this.seen.add(this.path());
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of THEMES) {
        // Colours that are still on their way to the other theme are not what a person sees.
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        // Only colours differ between the themes, and only what fits between the widths.
        const found = await this.#examine((width === 1280) === (colorScheme === "light"));
        for (const line of found) this.problems.push(`${name} (${width}, ${colorScheme}): ${line}`);
        if (this.#screenshots === undefined) continue;
        await page.screenshot({ path: join(this.#screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
    // The narrowest at which a table is one.
    await page.setViewportSize({ width: 641, height: 800 });
    for (const line of await this.#tooWide()) this.problems.push(`${name} (641): ${line}`);
    await page.setViewportSize({ width: 1280, height: 800 });
  }

  async #examine(whole: boolean): Promise<string[]> {
    const { page } = this;
    if (!(await page.evaluate("typeof axe !== 'undefined'"))) await page.evaluate(axe.source);
    const options = { resultTypes: ["violations"], ...(!whole && { runOnly: ["color-contrast", "target-size"] }) };
    const found: string[] = await page.evaluate(`axe.run(document, ${JSON.stringify(options)}).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) =>
        id + " " + target.join(" ") + " " + String(failureSummary).replace(/\\s+/g, " ").slice(0, 200))))`);
    return [...found, ...(await this.#tooWide())];
  }

  #tooWide(): Promise<string[]> {
    return this.page.evaluate(`(() => {
      const { clientWidth, scrollWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return [];
      const out = [...document.querySelectorAll("body *")].filter((element) =>
        element.getBoundingClientRect().right > clientWidth + 1);
      return ["is " + scrollWidth + " wide: " + out.slice(-3).map((element) => element.outerHTML.slice(0, 80)).join(" ... ")];
    })()`);
  }

  async leave(): Promise<void> {
    await this.#context.close();
  }
}
