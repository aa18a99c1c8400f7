// Every page, in light and dark: no serious finding, no error, no word that people wrote taken for anything but text,
// no credential where a script could read it; and the keyboard alone gets through.
import { accessible, check, open, signIn } from './browser.mjs';

const about = JSON.parse(process.argv[2]);
const { home, app, hostile } = about;
const PAGES = ['', 'apps', `apps/${app}`, `apps/${app}/versions`, `apps/${app}/timeline`, `apps/${app}/experiments`, `apps/${app}/review/1.1.0`, 'reviews', 'reviews?tab=changes', 'experiments', `experiments?app=${encodeURIComponent(app)}`, 'explain', 'fleet', 'audit', 'segments', 'admin', 'admin?tab=hosts', 'admin?tab=people', 'admin?tab=tokens', 'admin?tab=keys', 'settings'];
const [serious, taken, kept] = [[], [], []];
const all = [];
let shown = 0;
for (const dark of [false, true]) {
  const { browser, faults, people } = await open(home, { dark });
  const page = await people();
  page.on('dialog', (dialog) => { taken.push(dialog.message()); void dialog.dismiss(); });
  await page.goto(`${home}/console/`);
  await page.locator('input[name=token]').waitFor();
  serious.push(...(await accessible(page, 'sign-in')));
  await signIn(page, home, about.admin);
  for (const path of PAGES) {
    await page.goto(`${home}/console/${path}`);
    await page.locator('h1').waitFor();
    await page.waitForLoadState('domcontentloaded');
    await page.waitForFunction(() => !document.querySelector('.ant-spin-spinning'));
    serious.push(...(await accessible(page, `${path || 'overview'}${dark ? ' dark' : ''}`)));
    if ((await page.locator('main').innerText()).includes(hostile)) shown += 1;
    if ((await page.title()) === 'taken' || (await page.locator('main img').count())) taken.push(path);
  }
  if (!dark) {
    // Whoever has no mouse: the first stop leads past the menu, and a kill can be reached, said and left.
    await page.goto(`${home}/console/apps/${app}`);
    await page.locator('h1').waitFor();
    await page.keyboard.press('Tab');
    check((await page.evaluate(() => document.activeElement?.className)) === 'skip', 'the first stop leads past the menu');
    await page.keyboard.press('Enter');
    const kill = page.getByRole('button', { name: 'Kill', exact: true });
    for (let n = 0; n < 40 && !(await kill.evaluate((one) => one === document.activeElement)); n += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').locator('textarea').waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA');
    serious.push(...(await accessible(page, 'kill')));
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    // A script of this page sees no credential anywhere.
    const seen = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
    if (seen.includes('hd_')) kept.push(seen);
    // Signed out is out.
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.locator('input[name=token]').waitFor();
    check((await page.context().cookies()).every(({ name }) => !name.includes('huidu')), 'no cookie is left');
  }
  all.push(...faults);
  await browser.close();
}
console.log(JSON.stringify({ faults: all, serious, taken, hostile: shown, kept }));
