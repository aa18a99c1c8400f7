// Who did what, when and why; and how an app was at any revision of the ledger.
import { Button, Input, InputNumber } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { get } from '../api/client';
import { lifeWord } from '../api/shapes';
import { Lines } from '../history';
import { go, useAddress } from '../router';
import { useTexts } from '../texts';
import { Answer, Mark, Plain, json } from '../ui';

const LINES = 50;

export function Page() {
  const { t, number } = useTexts();
  const { query } = useAddress();
  const app = query.get('app') ?? '';
  const at = Number(query.get('at')) || undefined;
  const [typed, setTyped] = useState(app);
  const [back, setBack] = useState<number | null>(at ?? null);
  const whole = /^[^/]+\/[^/]+$/.test(app) ? app : undefined;
  const asked = useQuery({ queryKey: ['history', app, at ?? 0, LINES], queryFn: () => get('GET /api/v1/history', {}, { app: whole, limit: LINES, before: at ? at + 1 : undefined }) });
  const to = (next: { app?: string; at?: number }) => {
    const told = new URLSearchParams();
    if (next.app) told.set('app', next.app);
    if (next.at) told.set('at', String(next.at));
    go(`/audit?${told}`);
  };
  return (
    <>
      <h1>{t('audit.title')}</h1>
      <form className="card row" onSubmit={(event) => { event.preventDefault(); to({ app: typed.trim(), at: back ?? undefined }); }}>
        <Input className="grow" aria-label={t('audit.app')} placeholder={`${t('audit.app')} (tenant/app)`} value={typed} onChange={(event) => setTyped(event.target.value)} />
        <InputNumber aria-label={t('audit.at')} placeholder={t('audit.at')} min={1} precision={0} value={back} onChange={setBack} style={{ width: 170 }} />
        <Button htmlType="submit" type="primary">{t('search')}</Button>
        {at && <Button onClick={() => { setBack(null); to({ app }); }}>{t('audit.newest')}</Button>}
      </form>
      {whole && at && <Then app={whole} at={at} />}
      <div className="card">
        <Answer of={asked}>{(lines) => (
          <>
            <Lines lines={lines} />
            {lines.length === LINES && <Button onClick={() => to({ app, at: lines.at(-1)!.revision - 1 })}>{t('audit.older')} ({number(lines.at(-1)!.revision - 1)})</Button>}
          </>
        )}</Answer>
      </div>
    </>
  );
}

function Then({ app, at }: { app: string; at: number }) {
  const { t, time } = useTexts();
  const [tenant = '', name = ''] = app.split('/');
  const asked = useQuery({ queryKey: ['then', app, at], queryFn: () => get('GET /api/v1/apps/{tenant}/{app}/at/{revision}', { tenant, app: name, revision: String(at) }), staleTime: Infinity });
  return (
    <section className="card" data-testid="then"><h2>{t('audit.state', { n: at, app })}</h2>
      <Answer of={asked}>{(page) => (
        <>
          {page.killed && <p className="bad">{t('app.killed', { reason: page.killed.reason })}</p>}
          <Plain label={t('app.versions')} lines={page.versions} id={(one) => one.number} columns={[
            { head: t('version.number'), cell: (one) => <span className="mono">{one.number}</span> },
            { head: t('version.life'), cell: (one) => <Mark group="life" value={lifeWord(one.life)} /> },
            { head: t('version.submitted'), cell: (one) => time(one.submitted_at) },
          ]} />
          <h2>{t('app.rollout')}</h2>
          {page.rollout ? <pre className="mono" tabIndex={0}>{json(page.rollout)}</pre> : <p className="faint">{t('app.norollout')}</p>}
        </>
      )}</Answer>
    </section>
  );
}
