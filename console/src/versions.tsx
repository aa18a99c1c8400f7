// The versions of an app and where each stands in its life: what is under review, listed, delisted, killed, and why.
import { Button, Input, Popover } from 'antd';
import { useState, type FormEvent } from 'react';
import { change } from './api/client';
import type { AppPage } from './api/schema';
import { lifeWord, type Life } from './api/shapes';
import { Link, appPath } from './router';
import { useTexts } from './texts';
import { Mark, Plain, bytes, useChange } from './ui';

type Names = { tenant: string; app: string };

/** An act that needs a reason: a button, then the reason and the act. */
export function Because({ label, danger, act }: { label: string; danger?: boolean; act: (reason: string) => Promise<unknown> }) {
  const { t } = useTexts();
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState('');
  const done = useChange(act, () => { setOpen(false); setReason(''); });
  const submit = (event: FormEvent) => { event.preventDefault(); if (reason.trim()) done.mutate(reason.trim()); };
  const form = (
    <form onSubmit={submit} className="row" aria-label={label}>
      <Input style={{ width: 260 }} aria-label={t('reason')} placeholder={t('reason.needed')} value={reason} onChange={(event) => setReason(event.target.value)} />
      <Button type="primary" danger={danger} htmlType="submit" disabled={!reason.trim()} loading={done.isPending}>{label}</Button>
    </form>
  );
  return <Popover trigger="click" open={open} onOpenChange={setOpen} content={form}><Button size="small">{label}</Button></Popover>;
}

export function Unkill({ act }: { names: Names; etag: string | null; act: (reason: string) => Promise<unknown> }) {
  const { t } = useTexts();
  return <Because label={t('app.unkill')} act={act} />;
}

export function Versions({ app, etag }: { app: AppPage; etag: string | null }) {
  const { t, time } = useTexts();
  const [tenant = '', name = ''] = app.app.split('/');
  const enlist = useChange((version: string) => change('POST /api/v1/apps/{tenant}/{app}/versions/{version}/list', undefined, { names: { tenant, app: name, version }, ifMatch: etag }));
  return (
    <div className="card">
      <Plain label={t('app.versions')} lines={[...app.versions].reverse()} id={(one) => one.number} columns={[
        { head: t('version.number'), cell: (one) => <Link to={appPath(app.app, `/review/${encodeURIComponent(one.number)}`)} className="mono">{one.number}</Link> },
        { head: t('version.life'), cell: (one) => <><Mark group="life" value={lifeWord(one.life)} /> {(one.life as Life).reason && <span className="faint">{(one.life as Life).reason}</span>}</> },
        { head: t('version.submitted'), cell: (one) => time(one.submitted_at) },
        { head: t('version.notes'), cell: (one) => one.notes ?? '' },
        { head: t('version.size'), num: true, cell: (one) => bytes(one.bundle.bytes) },
        { head: t('more'), cell: (one) => {
          const names = { tenant, app: name, version: one.number };
          const word = lifeWord(one.life);
          if (word === 'killed') return <Because label={t('app.unkill')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/unkill', { reason, version: one.number }, { names, ifMatch: etag })} />;
          if (word === 'listed') return <Because label={t('version.delist')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/versions/{version}/delist', { reason }, { names, ifMatch: etag })} />;
          if (word === 'rejected' || word === 'draft') return null;
          return <Button size="small" onClick={() => enlist.mutate(one.number)} loading={enlist.isPending && enlist.variables === one.number}>{t('version.list')}</Button>;
        } },
      ]} />
    </div>
  );
}
