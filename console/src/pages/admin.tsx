// Who is who: tenants, hosts, people, tokens and keys. A new token is shown once, in the page and nowhere else.
import { Alert, Button, Input, Select, Tabs } from 'antd';
import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useState, type FormEvent, type ReactNode } from 'react';
import { Refused, change, get } from '../api/client';
import { roleText, type Role } from '../api/shapes';
import { go, useAddress } from '../router';
import { useTexts, type Key } from '../texts';
import { Answer, Field, Mark, Plain, useChange } from '../ui';

const ROLES = ['admin', 'release-manager', 'sre', 'reviewer', 'security', 'auditor'] as const;
const TABS: [string, Key, () => ReactNode][] = [
  ['tenants', 'admin.tenants', () => <Tenants />], ['hosts', 'admin.hosts', () => <Hosts />], ['people', 'admin.people', () => <People />], ['tokens', 'admin.tokens', () => <Tokens />], ['keys', 'admin.keys', () => <Keys />],
];

export function Page() {
  const { t } = useTexts();
  const { query } = useAddress();
  return (
    <>
      <h1>{t('admin.title')}</h1>
      <Tabs activeKey={query.get('tab') ?? 'tenants'} onChange={(key) => go(`/admin?tab=${key}`)} items={TABS.map(([key, label, body]) => ({ key, label: t(label), children: body() }))} />
    </>
  );
}

/** What a role may not see is said in a sentence, and is no error. */
function Seen<T>({ of, children }: { of: UseQueryResult<T>; children: (value: T) => ReactNode }) {
  const { t } = useTexts();
  if (of.error instanceof Refused && of.error.status === 403) return <p className="faint">{t('admin.notyours')}</p>;
  return <Answer of={of}>{children}</Answer>;
}

function Add({ fields, act }: { fields: { key: string; label: string; options?: readonly string[] }[]; act: (values: Record<string, string>) => Promise<unknown> }) {
  const { t } = useTexts();
  const [values, setValues] = useState<Record<string, string>>({});
  const add = useChange(act, () => setValues({}));
  const set = (key: string) => (value: string) => setValues({ ...values, [key]: value });
  const submit = (event: FormEvent) => { event.preventDefault(); add.mutate(values); };
  return (
    <form className="card" onSubmit={submit}>
      <div className="fields">{fields.map(({ key, label, options }) => (
        <Field key={key} label={label}>{options
          ? <Select value={values[key]} onChange={set(key)} options={options.map((value) => ({ value, label: value }))} aria-label={label} />
          : <Input value={values[key] ?? ''} onChange={(event) => set(key)(event.target.value)} autoComplete="off" />}</Field>
      ))}</div>
      <Button type="primary" htmlType="submit" disabled={!values[fields[0]!.key]?.trim()} loading={add.isPending}>{t('admin.add')}</Button>
    </form>
  );
}

function Tenants() {
  const { t } = useTexts();
  const asked = useQuery({ queryKey: ['tenants'], queryFn: () => get('GET /api/v1/tenants') });
  return (
    <>
      <Add fields={[{ key: 'tenant', label: t('admin.id') }, { key: 'title', label: t('admin.name') }]} act={({ tenant = '', title = '' }) => change('POST /api/v1/tenants', { tenant: tenant.trim(), title })} />
      <div className="card"><Answer of={asked}>{(lines) => <Plain label={t('admin.tenants')} lines={lines} id={(one) => one.tenant} columns={[{ head: t('admin.id'), cell: (one) => one.tenant }, { head: t('admin.name'), cell: (one) => one.title ?? '' }]} />}</Answer></div>
    </>
  );
}

function Hosts() {
  const { t } = useTexts();
  const asked = useQuery({ queryKey: ['hosts'], queryFn: () => get('GET /api/v1/hosts') });
  return (
    <>
      <Add fields={[{ key: 'host', label: t('admin.id') }, { key: 'title', label: t('admin.name') }]} act={({ host = '', title = '' }) => change('POST /api/v1/hosts', { host: host.trim(), title })} />
      <div className="card"><Answer of={asked}>{(lines) => <Plain label={t('admin.hosts')} lines={lines} id={(one) => one.host} columns={[{ head: t('admin.id'), cell: (one) => one.host }, { head: t('admin.name'), cell: (one) => one.title ?? '' }, { head: t('admin.sandbox'), cell: (one) => (one.sandbox ? '✓' : '') }]} />}</Answer></div>
    </>
  );
}

function People() {
  const { t } = useTexts();
  const asked = useQuery({ queryKey: ['members'], queryFn: () => get('GET /api/v1/members') });
  const drop = useChange((member: string) => change('DELETE /api/v1/members/{member}', undefined, { names: { member } }));
  return (
    <>
      <Add fields={[{ key: 'member', label: t('admin.id') }, { key: 'title', label: t('admin.name') }, { key: 'role', label: t('admin.role'), options: ROLES }]}
        act={({ member = '', title = '', role = 'auditor' }) => change('PUT /api/v1/members/{member}', { role: role as (typeof ROLES)[number], title }, { names: { member: member.trim() } })} />
      <div className="card"><Seen of={asked}>{(lines) => <Plain label={t('admin.people')} lines={lines} id={(one) => one.member} columns={[
        { head: t('admin.id'), cell: (one) => one.member }, { head: t('admin.name'), cell: (one) => one.title }, { head: t('admin.role'), cell: (one) => roleText(one.role as Role) },
        { head: t('admin.identity'), cell: (one) => one.identity?.subject ?? '' }, { head: t('admin.tokens'), num: true, cell: (one) => one.tokens },
        { head: t('more'), cell: (one) => <Button size="small" onClick={() => drop.mutate(one.member)}>{t('remove')}</Button> },
      ]} />}</Seen></div>
    </>
  );
}

function Tokens() {
  const { t, time } = useTexts();
  const [given, setGiven] = useState<string | null>(null);
  const asked = useQuery({ queryKey: ['tokens'], queryFn: () => get('GET /api/v1/tokens') });
  const revoke = useChange((id: string) => change('DELETE /api/v1/tokens/{id}', undefined, { names: { id } }));
  const add = async ({ note = '', role = 'auditor' }: Record<string, string>) => {
    const answer = await change('POST /api/v1/tokens', { role: role as (typeof ROLES)[number], note });
    setGiven(answer.token ?? null);
    return answer;
  };
  return (
    <>
      <Add fields={[{ key: 'note', label: t('admin.note') }, { key: 'role', label: t('admin.role'), options: ROLES }]} act={add} />
      {given && <Alert type="success" style={{ marginBottom: 16 }} title={t('admin.once')} description={<span className="mono" data-testid="given">{given}</span>} closable={{ onClose: () => setGiven(null) }} />}
      <div className="card"><Seen of={asked}>{(lines) => <Plain label={t('admin.tokens')} lines={lines} id={(one) => one.id} columns={[
        { head: t('admin.id'), cell: (one) => <span className="mono">{one.id}</span> }, { head: t('admin.role'), cell: (one) => roleText(one.role as Role) }, { head: t('admin.note'), cell: (one) => one.note },
        { head: t('admin.state'), cell: (one) => <Mark group="token" value={one.state} /> }, { head: t('admin.expires'), cell: (one) => (one.expires ? time(one.expires) : '—') }, { head: t('admin.used'), cell: (one) => (one.last_used ? time(one.last_used) : '—') },
        { head: t('more'), cell: (one) => <Button size="small" onClick={() => revoke.mutate(one.id)}>{t('admin.revoke')}</Button> },
      ]} />}</Seen></div>
    </>
  );
}

function Keys() {
  const { t, time } = useTexts();
  const asked = useQuery({ queryKey: ['keyring'], queryFn: async () => { try { return await get('GET /api/v1/keyring'); } catch (error) { if (error instanceof Refused && error.status === 404) return null; throw error; } } });
  return (
    <div className="card"><Seen of={asked}>{(page) => page ? (
      <>
        <p>{t('admin.keyring', { n: page.version, trust: page.trust })} · {t('admin.expires')} {time(new Date(page.expires * 1000).toISOString())}</p>
        <Plain label={t('admin.keys')} lines={page.roles} id={(one) => one.role} columns={[
          { head: t('admin.role'), cell: (one) => one.role }, { head: t('admin.threshold'), num: true, cell: (one) => one.threshold }, { head: t('admin.keys'), cell: (one) => <span className="mono">{one.keys.join(', ')}</span> },
        ]} />
      </>
    ) : <p className="faint">{t('empty')}</p>}</Seen></div>
  );
}
