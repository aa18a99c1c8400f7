// Why a device gets what it gets: an id goes in, the walk comes out. The id is in no address and is kept nowhere.
import { AutoComplete, Button, Input, Select } from 'antd';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { get, question } from '../api/client';
import { Link, appPath, useAddress } from '../router';
import { useTexts } from '../texts';
import { Field, Trouble } from '../ui';

type Told = { app: string; state: string; version?: string; reason: unknown; rule?: string; arm?: string; steps: Record<string, unknown>[]; text: string };

export function Page() {
  const { t } = useTexts();
  const { query } = useAddress();
  const [app, setApp] = useState(query.get('app') ?? '');
  const [host, setHost] = useState<string>();
  const [unit, setUnit] = useState('');
  const [version, setVersion] = useState('');
  const [more, setMore] = useState('');
  const hosts = useQuery({ queryKey: ['hosts'], queryFn: () => get('GET /api/v1/hosts') });
  const found = useQuery({ queryKey: ['apps-named', app], queryFn: () => get('GET /api/v1/apps', {}, { search: app, limit: 20 }) });
  const asked = useMutation({ mutationFn: async () => {
    const [tenant = '', name = ''] = app.trim().split('/');
    const device = { ...(more.trim() ? JSON.parse(more) : {}), unit: unit.trim() };
    const body = { host: host ?? hosts.data?.[0]?.host, device, ...(version.trim() ? { version: version.trim() } : {}) };
    return (await question('POST /api/v1/apps/{tenant}/{app}/explain', { tenant, app: name }, body)).value as Told;
  } });
  const submit = (event: FormEvent) => { event.preventDefault(); asked.mutate(); };
  return (
    <>
      <h1>{t('explain.title')}</h1>
      <form className="card" onSubmit={submit}>
        <div className="fields">
          <Field label={t('explain.app')}><AutoComplete value={app} onChange={setApp} options={found.data?.map((one) => ({ value: one.app, label: one.title ? `${one.title} · ${one.app}` : one.app }))} aria-label={t('explain.app')} /></Field>
          <Field label={t('explain.host')}><Select value={host ?? hosts.data?.[0]?.host} onChange={setHost} options={hosts.data?.map((one) => ({ value: one.host, label: one.title || one.host }))} aria-label={t('explain.host')} /></Field>
          <Field label={t('explain.unit')}><Input value={unit} onChange={(event) => setUnit(event.target.value)} autoComplete="off" /></Field>
          <Field label={t('explain.version')}><Input value={version} onChange={(event) => setVersion(event.target.value)} autoComplete="off" /></Field>
          <Field label={t('explain.more')}><Input.TextArea rows={2} className="mono" placeholder='{"platform": "ios"}' value={more} onChange={(event) => setMore(event.target.value)} /></Field>
        </div>
        <Button type="primary" htmlType="submit" disabled={!app.includes('/') || !unit.trim()} loading={asked.isPending}>{t('explain.ask')}</Button>
      </form>
      {asked.error && <Trouble error={asked.error} />}
      {asked.data && (
        <section className="card" aria-live="polite" data-testid="explained">
          <h2>{t('explain.answer')}</h2>
          <p><Link to={appPath(asked.data.app)}>{asked.data.app}</Link> <b className="mono">{asked.data.version ?? asked.data.state}</b> {asked.data.rule && <span className="mark accent">{asked.data.rule}</span>} {asked.data.arm && <span className="mark">{asked.data.arm}</span>}</p>
          <h2>{t('explain.walk')}</h2>
          <pre className="mono" tabIndex={0}>{asked.data.text}</pre>
        </section>
      )}
    </>
  );
}
