// An A/B test from its beginning to the arm that is promoted: a manager says what is compared, sees what the test says,
// sees whom the end would move, and ends it with an arm. In the language that is asked for.
import { accessible, check, open, signIn } from './browser.mjs';
import { mkdirSync } from 'node:fs';

const about = JSON.parse(process.argv[2]);
const { home, app, language } = about;
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });
const WORDS = {
  en: { begin: 'Begin a test', name: 'Name', rule: 'Rule', control: 'Control arm', early: 'Too early', promote: 'Promote b', anyway: 'Also when the test has not shown that it is better', go: 'Do it', promoted: 'Promoted', reason: 'Reason' },
  zh: { begin: '开始实验', name: '实验名', rule: '规则', control: '对照组', early: '为时过早', promote: '推广 b', anyway: '即使实验没有证明它更好', go: '确认', promoted: '已推广', reason: '理由' },
};
const say = WORDS[language];
const { browser, faults, people } = await open(home, about);
const serious = [];
const page = await people();
const see = async (where) => { serious.push(...(await accessible(page, where))); await page.screenshot({ path: `${pictures}/${language}-${where}.png` }); };

await signIn(page, home, about.manager, `/console/apps/${app}/experiments`);
const form = page.getByRole('form', { name: say.begin });
for (const [label, text] of [[say.name, 'copy-1'], [say.rule, 'copy'], [say.control, 'a']]) await form.getByLabel(label, { exact: true }).fill(text);
await form.getByRole('button', { name: say.begin, exact: true }).click();

const test = page.getByTestId('experiment-copy-1');
await test.getByText(say.early).waitFor();
await see('experiment');
await test.getByRole('button', { name: say.promote, exact: true }).click();
const dialog = page.getByRole('dialog');
await dialog.getByTestId('plan').getByText('1.0.0 → 1.1.0').first().waitFor();
await dialog.locator('textarea').fill('more orders');
await dialog.getByText(say.anyway).click();
await see('promote');
await dialog.getByRole('button', { name: say.go, exact: true }).click();
await test.getByText(say.promoted).first().waitFor();
check((await test.innerText()).includes('more orders'), 'why it ended stays beside it');

await browser.close();
console.log(JSON.stringify({ faults, serious }));
