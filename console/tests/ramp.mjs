// A ramp, watched live: a manager sees how far it is and what it waits for, pauses and resumes it; then devices crash
// on the new version, and the page shows how its guard takes it back while nobody does anything.
import { accessible, check, open, signIn } from './browser.mjs';
import { mkdirSync } from 'node:fs';
import { randomUUID } from 'node:crypto';

const about = JSON.parse(process.argv[2]);
const { home, ramped: app, language, device, host } = about;
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });
const WORDS = {
  en: { running: 'Running', paused: 'Paused', back: 'Rolled back', pause: 'Pause', resume: 'Resume', step: 'step 1 of 2', units: '60 / 60', fail: 'Fail', inconclusive: 'Inconclusive', by: 'ramp-moved' },
  zh: { running: '推进中', paused: '已暂停', back: '已回滚', pause: '暂停推进', resume: '继续', step: '第 1 / 2 步', units: '60 / 60', fail: '失败', inconclusive: '尚无定论', by: 'ramp-moved' },
};
const say = WORDS[language];
const { browser, faults, people } = await open(home, about);
const serious = [];
const page = await people();
const see = async (where) => { serious.push(...(await accessible(page, where))); await page.screenshot({ path: `${pictures}/${language}-${where}.png` }); };

/** Devices of both cohorts in turn, so many of each. */
async function report(event, candidates, controls) {
  const events = [];
  for (let n = 0; n < Math.max(candidates, controls); n += 1) {
    for (const [arm, version, of] of [['candidate', '2.0.0', candidates], ['control', '1.0.0', controls]]) {
      if (n < of) events.push({ id: randomUUID().replaceAll('-', ''), app, version, rule: 'next', arm, event });
    }
  }
  const reply = await fetch(`${device}/v1/events`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ host, events }) });
  check(reply.status === 202, `events were answered with ${reply.status}`);
}

await signIn(page, home, about.manager, `/console/apps/${app}/ramps`);
const ramp = page.getByTestId('ramp');
await ramp.getByText(say.running).waitFor();
check((await ramp.innerText()).includes(say.step), 'the page says which step it is');

await ramp.getByRole('button', { name: say.pause, exact: true }).click();
await page.getByRole('form', { name: say.pause }).locator('input').fill('looking at it');
await page.getByRole('form', { name: say.pause }).getByRole('button').click();
await ramp.getByText(say.paused).waitFor();
await ramp.getByRole('button', { name: say.resume, exact: true }).click();
await ramp.getByText(say.running).waitFor();

// As many crash on either side: an outage stops nothing.
await report('activated', 55, 55);
await report('crashed', 5, 5);
await ramp.getByText(say.units).waitFor();
await ramp.getByText(say.inconclusive).waitFor();
await see('ramp');

await report('crashed', 25, 0);
await ramp.getByText(say.back).waitFor();
await ramp.getByText(say.fail, { exact: true }).waitFor();
await see('ramp-stopped');

await page.goto(`${home}/console/audit?app=${encodeURIComponent(app)}`);
await page.getByText(say.by).first().waitFor();

await browser.close();
console.log(JSON.stringify({ faults, serious }));
