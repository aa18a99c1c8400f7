// Two people edit one rollout: the one who is second sees what the first did, as it happens, and loses nothing.
import { check, open, signIn } from './browser.mjs';

const about = JSON.parse(process.argv[2]);
const { home, app } = about;
const { browser, faults, people } = await open(home, about);
const [one, two] = [await people(), await people()];
const button = (page, name) => page.getByRole('button', { name, exact: true });
await signIn(one, home, about.manager, `/console/apps/${app}`);
await signIn(two, home, about.other, `/console/apps/${app}`);

await two.getByRole('region', { name: /ios/ }).getByRole('switch').click();
await button(two, 'Preview').click();
await two.getByTestId('plan').waitFor();

await one.getByRole('region', { name: /ramp/ }).locator('.share input[type=text]').fill('12.345678');
await button(one, 'Preview').click();
await button(one, 'Apply').click();
await one.getByTestId('plan').waitFor({ state: 'detached' });

// Told by the feed, without doing anything.
const conflict = two.getByTestId('conflict');
await conflict.getByText('12.345678%').waitFor();
check(!(await two.getByTestId('plan').isVisible()), 'a preview of what is no more is not applied');
await button(two, 'Preview my edits against theirs').click();
await conflict.waitFor({ state: 'detached' });
await button(two, 'Apply').click();
await two.getByTestId('plan').waitFor({ state: 'detached' });
// And the first sees it too.
await one.getByRole('region', { name: /ios/ }).getByRole('switch', { checked: true }).waitFor();

await browser.close();
console.log(JSON.stringify({ faults }));
