// What waits for people: versions for reviewers, changes for somebody else to agree on. An agreement names the hash of
// what was shown.
import { Button, Tabs } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { change, get } from '../api/client';
import type { ChangeLine } from '../api/schema';
import { lifeWord } from '../api/shapes';
import { Link, appPath, go, useAddress } from '../router';
import { useTexts } from '../texts';
import { Answer, Mark, Plain, json, useChange } from '../ui';
import { Because } from '../versions';

export function Page() {
  const { t } = useTexts();
  const { query } = useAddress();
  const tab = query.get('tab') ?? 'versions';
  return (
    <>
      <h1>{t('reviews.title')}</h1>
      <Tabs activeKey={tab} onChange={(key) => go(`/reviews?tab=${key}`)} items={[
        { key: 'versions', label: t('reviews.versions'), children: <Waiting /> },
        { key: 'changes', label: t('reviews.changes'), children: <Changes /> },
      ]} />
    </>
  );
}

function Waiting() {
  const { t, time } = useTexts();
  const asked = useQuery({ queryKey: ['reviews'], queryFn: () => get('GET /api/v1/reviews') });
  return (
    <div className="card"><Answer of={asked}>{(lines) => (
      <Plain label={t('reviews.versions')} lines={lines} id={(one) => `${one.app} ${one.version}`} columns={[
        { head: t('apps.name'), cell: (one) => <Link to={appPath(one.app, `/review/${encodeURIComponent(one.version)}`)}>{one.title || one.app} {one.version}</Link> },
        { head: t('version.life'), cell: (one) => <Mark group="life" value={lifeWord(one.life)} /> },
        { head: t('version.submitted'), cell: (one) => time(one.submitted_at) },
      ]} />
    )}</Answer></div>
  );
}

function Changes() {
  const { t, time } = useTexts();
  const asked = useQuery({ queryKey: ['changes'], queryFn: () => get('GET /api/v1/changes') });
  const agree = useChange((one: ChangeLine) => change('POST /api/v1/changes/{id}/approve', { hash: one.hash }, { names: { id: one.id } }));
  return (
    <Answer of={asked}>{(lines) => lines.length ? lines.map((one) => (
      <section key={one.id} className="card" aria-label={one.verb}>
        <div className="row spread">
          <b>{one.verb} {one.app && <Link to={appPath(one.app)}>{one.app}</Link>}</b>
          <div className="row">
            <Because label={t('change.withdraw')} act={(reason) => change('POST /api/v1/changes/{id}/withdraw', { reason }, { names: { id: one.id } })} />
            <Button type="primary" onClick={() => agree.mutate(one)} loading={agree.isPending}>{t('change.agree')}</Button>
          </div>
        </div>
        <p className="faint">{t('timeline.by', { who: one.by })} · {time(one.at)} · {t('change.lacks', { n: one.lacks })} · {t('change.until')} {time(one.until)}</p>
        <details><summary>{t('audit.events')}</summary><pre className="mono" tabIndex={0}>{json(one.change)}</pre></details>
      </section>
    )) : <p className="faint">{t('empty')}</p>}</Answer>
  );
}
