// From review to kill: a reviewer approves, a manager lists, ramps with a preview, explains a device, pauses, kills in
// two clicks and a reason, sees the receipt, and finds all of it in the audit. In the language that is asked for.
import { accessible, check, open, signIn } from './browser.mjs';
import { mkdirSync } from 'node:fs';

const about = JSON.parse(process.argv[2]);
const { home, app, language } = about;
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });
const WORDS = {
  en: { approve: 'Approve', list: 'List', preview: 'Preview', apply: 'Apply', add: 'Add a rule', kill: 'Kill', now: 'Kill now', explain: 'Explain', passes: 'All 1 tests pass', fails: '1 tests fail', committed: 'In force and in the ledger', complete: 'No valid older answer exists after', audit: 'Audit', approved: 'Approved', listed: 'Listed', live: 'Live' },
  zh: { approve: '通过', list: '上架', preview: '预览影响', apply: '应用变更', add: '添加规则', kill: '紧急停用', now: '立即停用', explain: '解释', passes: '1 个测试全部通过', fails: '1 个测试失败', committed: '已生效并入账', complete: '此刻之后不存在有效的旧答复', audit: '审计', approved: '已通过', listed: '已上架', live: '实时' },
};
const say = WORDS[language];
const { browser, faults, people } = await open(home, about);
const serious = [];
const page = await people();
const button = (name, at = page) => at.getByRole('button', { name, exact: true });
const see = async (where) => { serious.push(...(await accessible(page, where))); await page.screenshot({ path: `${pictures}/${language}-${where}.png` }); };

// The reviewer.
await signIn(page, home, about.reviewer, `/console/apps/${app}/review/1.2.0`);
await page.getByText('1.2.0').first().waitFor();
await see('review');
await button(say.approve).click();
await page.getByText(say.approved).first().waitFor();
await page.context().clearCookies();

// The manager.
await signIn(page, home, about.manager, `/console/apps/${app}/versions`);
await button(say.list).click();
await page.getByRole('row', { name: '1.2.0' }).getByText(say.listed).waitFor();
await see('versions');

await page.goto(`${home}/console/apps/${app}`);
const rule = page.getByRole('region', { name: /ramp/ });
await rule.locator('.share input[type=text]').fill('25.5');
await page.locator('details summary').click();
const cases = (expect) => `app = "${app}"\n[[case]]\nname = "everybody else"\ndevice = { unit = "u1" }\nnow = "2026-12-01T00:00:00Z"\nexpect = "${expect}"\n`;
await page.locator('details textarea').fill(cases('9.9.9'));
await button(say.preview).click();
await page.getByText(say.fails).waitFor();
await page.locator('details textarea').fill(cases('1.0.0'));
await button(say.preview).click();
const plan = page.getByTestId('plan');
await plan.getByText(say.passes).waitFor();
check((await plan.innerText()).includes('20.5%'), 'the preview says what the rule gains');
await plan.evaluate((element) => element.scrollIntoView({ block: 'center' }));
await see('preview');
await button(say.apply).click();
await plan.waitFor({ state: 'detached' });
await page.locator('[data-testid=news]').getByText(say.live).waitFor();

// Why a device gets what it gets.
await page.goto(`${home}/console/explain?app=${encodeURIComponent(app)}`);
await page.locator('input').nth(2).fill('u1');
await button(say.explain).click();
await page.getByTestId('explained').getByText('1.0.0').first().waitFor();
await see('explain');

// Paused, which takes no preview of a whole rollout to be right.
await page.goto(`${home}/console/apps/${app}`);
await page.getByRole('region', { name: /ramp/ }).getByRole('switch').click();
await button(say.preview).click();
await button(say.apply).click();
await plan.waitFor({ state: 'detached' });

// Two clicks and a reason.
await button(say.kill).click();
await page.getByRole('dialog').locator('textarea').fill('pays twice');
await see('kill');
await button(say.now).click();
const receipt = page.getByTestId('receipt');
await receipt.getByText(say.committed).waitFor();
await receipt.getByText('node-0').waitFor();
const said = await receipt.innerText();
check(/\d+ (ms|毫秒)/.test(said), `the receipt says how quick: ${said}`);
check(said.includes(say.complete) && /\d{2}:\d{2}:\d{2}/.test(said.slice(said.indexOf(say.complete))), `the receipt says from when on: ${said}`);
await see('receipt');

// All of it is in the audit, and what was is shown as it was.
await page.goto(`${home}/console/audit?app=${encodeURIComponent(app)}`);
await page.getByText('pays twice').first().waitFor();
const audit = await page.locator('main').innerText();
for (const event of ['review-approved', 'version-listed', 'share-set', 'pause-set', 'killed']) check(audit.includes(event), `${event} is in the audit: ${audit}`);
const raised = await page.locator('li', { hasText: 'share-set' }).first().getAttribute('value');
await page.goto(`${home}/console/audit?app=${encodeURIComponent(app)}&at=${Number(raised) - 1}`);
await page.getByTestId('then').getByText('"5%"').waitFor();
await page.goto(`${home}/console/audit?app=${encodeURIComponent(app)}&at=${raised}`);
await page.getByTestId('then').getByText('"25.5%"').waitFor();
await see('audit');

await browser.close();
console.log(JSON.stringify({ faults, serious }));
