// A browser that notices: every error of the console, every refused policy, every answer of 500 and more is a fault of
// the story that it happens in. Debian's Chromium through playwright-core, headless, with an empty profile.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';

const PATIENCE = 60_000;

export async function open(home, { dark = false, language = 'en' } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const faults = [];
  const people = async () => {
    const context = await browser.newContext({ locale: language === 'zh' ? 'zh-CN' : 'en-GB', colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', viewport: { width: 1280, height: 860 } });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on('console', (message) => {
      // A refusal that the page asked for and shows is no error of the page.
      const expected = /the server responded with a status of (401|404|412)/.test(message.text());
      if (message.type() === 'error' && !expected) faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
    page.on('response', (reply) => { if (reply.status() >= 500) faults.push(`${reply.status()} ${reply.url()}`); });
    return page;
  };
  return { browser, faults, people, home };
}

export async function signIn(page, home, token, path = '/console/') {
  await page.goto(home + path);
  await page.locator('input[name=token]').fill(token);
  await page.locator('button[type=submit]').click();
  await page.locator('nav a').first().waitFor();
}

const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Findings that keep somebody out. */
export async function accessible(page, where) {
  // Evaluated by the driver, not loaded by the page: the page's policy would rightly refuse it.
  await page.evaluate(AXE);
  // What is judged is what stays: a button on its way from one colour to another has neither.
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime))
    .map(({ finished }) => finished.catch(() => undefined))));
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${where}: ${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${colours(any[0]?.data)}`).join(' | ')}`);
}

/** Of a contrast: what is too near to what. */
function colours(data) {
  return data?.contrastRatio ? `${data.fgColor} on ${data.bgColor}, ${data.contrastRatio}` : '';
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}
