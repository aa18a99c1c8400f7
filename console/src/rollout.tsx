// The rollout editor. Edits are mine until I apply them; before that the server says what would move, and the change
// names the revision it was made for, so that somebody else's change is shown and never overwritten.
import { Alert, Button, Input, Select, Slider, Switch } from 'antd';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { change, get, question } from './api/client';
import type { AppPage, Rollout as Rules, Rollout_Rule as Rule } from './api/schema';
import { lifeWord, type Moves } from './api/shapes';
import { canonical as text, differences, rebased } from './merge';
import { Plan } from './plan';
import { shareOf } from './share';
import { useTexts } from './texts';
import { Field, Plain, Trouble, json, useChange } from './ui';

type Base = { rollout: Rules | null; etag: string | null };
const fresh = (app: AppPage): Rules => app.rollout ?? { app: app.app, hosts: [], stable: app.versions.filter((one) => lifeWord(one.life) === 'listed').at(-1)?.number ?? '', rule: [] };

/** The smallest request that makes `mine` of `base`: who may move one share need not be able to put everything. */
async function apply(app: string, base: Base, mine: Rules, etag: string | null, why: string) {
  const [tenant = '', name = ''] = app.split('/');
  const how = { names: { tenant, app: name }, ifMatch: etag, why: why.trim() || undefined };
  const [was, now] = [base.rollout?.rule ?? [], mine.rule ?? []];
  const differing = now.filter((rule, at) => text(rule) !== text(was[at]));
  const rest = (rollout: Rules | null) => text({ ...rollout, rule: null });
  if (base.rollout && rest(base.rollout) === rest(mine) && was.length === now.length && differing.length === 1) {
    const rule = differing[0]!;
    const before = was[now.indexOf(rule)]!;
    const only = (key: 'share' | 'paused') => text({ ...before, [key]: null }) === text({ ...rule, [key]: null });
    const names = { ...how.names, rule: rule.name };
    if (only('share')) return change('PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/share', { share: rule.share ?? '100%' }, { ...how, names });
    if (only('paused')) return change('PUT /api/v1/apps/{tenant}/{app}/rollout/rules/{rule}/paused', { paused: rule.paused ?? false }, { ...how, names });
  }
  return change('PUT /api/v1/apps/{tenant}/{app}/rollout', mine, how);
}

export function Rollout({ app, etag }: { app: AppPage; etag: string | null }) {
  const { t } = useTexts();
  const [base, setBase] = useState<Base>({ rollout: app.rollout ?? null, etag });
  const [mine, setMine] = useState<Rules>(() => fresh(app));
  const [why, setWhy] = useState('');
  // What I applied last: when it is still what I have, whatever is true now has it.
  const [applied, setApplied] = useState('');
  const [cases, setCases] = useState('');
  const hosts = useQuery({ queryKey: ['hosts'], queryFn: () => get('GET /api/v1/hosts') });
  const [tenant = '', name = ''] = app.app.split('/');
  const edited = text(mine) !== text(base.rollout ?? fresh({ ...app, rollout: null }));
  const moved = base.etag !== etag && text(base.rollout) !== text(app.rollout ?? null);
  const plan = useMutation({ mutationFn: async (draft: Rules) => {
    const { value, etag: of } = await question('POST /api/v1/apps/{tenant}/{app}/plan', { tenant, app: name }, { rollout: draft, ...(cases.trim() ? { cases } : {}) });
    return { moves: value as Moves, etag: of, draft: text(draft) };
  } });
  const put = useChange((at: string | null) => apply(app.app, base, mine, at, why), () => { setApplied(text(mine)); setWhy(''); plan.reset(); });
  // Nothing of mine is at stake: what is true now is what is shown.
  useEffect(() => {
    if (base.etag === etag) return;
    const settled = text(mine) === applied || text(mine) === text(app.rollout ?? null);
    if (!edited || settled || !moved) {
      setBase({ rollout: app.rollout ?? null, etag });
      if (!edited || settled) setMine(fresh(app));
    }
  }, [app, etag, edited, moved, base.etag, mine, applied]);
  const edit = (part: Partial<Rules>) => setMine({ ...mine, ...part });
  const rules = mine.rule ?? [];
  const setRule = (at: number, part: Partial<Rule>) => edit({ rule: rules.map((rule, n) => {
    if (n !== at) return rule;
    const next: Rule = { ...rule, ...part };
    for (const key of Object.keys(part) as (keyof Rule)[]) if (next[key] === undefined) delete next[key];
    return next;
  }) });
  const move = (at: number, by: number) => {
    const next = [...rules];
    next.splice(at + by, 0, ...next.splice(at, 1));
    edit({ rule: next });
  };
  const listed = app.versions.filter((one) => lifeWord(one.life) === 'listed').map((one) => ({ value: one.number, label: one.number }));
  const previewed = plan.data?.draft === text(mine) && plan.data.etag === etag && !moved;
  const reset = () => { setBase({ rollout: app.rollout ?? null, etag }); setMine(fresh(app)); plan.reset(); };
  return (
    <div>
      {!app.rollout && <Alert type="info" title={t('app.norollout')} style={{ marginBottom: 12 }} />}
      {moved && edited && text(mine) !== applied && (
        <section className="card" aria-live="assertive" data-testid="conflict">
          <h2 className="warn">{t('rollout.moved', { n: app.revision })}</h2>
          <p>{t('rollout.moved.text')}</p>
          <Plain label={t('rollout.moved', { n: app.revision })} lines={differences(mine, app.rollout ?? null)} id={(one) => one.field} columns={[
            { head: t('rollout.field'), cell: (one) => one.field }, { head: t('rollout.col.mine'), cell: (one) => <span className="mono">{one.mine}</span> }, { head: t('rollout.col.theirs'), cell: (one) => <span className="mono">{one.theirs}</span> },
          ]} />
          <p className="row">
            <Button onClick={reset}>{t('rollout.theirs')}</Button>
            {app.rollout && <Button type="primary" onClick={() => { const next = rebased(base.rollout, mine, app.rollout!); setMine(next); setBase({ rollout: app.rollout!, etag }); plan.mutate(next); }}>{t('rollout.mine')}</Button>}
          </p>
        </section>
      )}
      <div className="card">
        <div className="fields">
          <Field label={t('rollout.stable')}><Select value={mine.stable || undefined} options={listed} onChange={(stable) => edit({ stable })} aria-label={t('rollout.stable')} /></Field>
          <Field label={t('rollout.hosts')}><Select mode="multiple" value={mine.hosts} options={hosts.data?.map((one) => ({ value: one.host, label: one.title || one.host }))} onChange={(chosen) => edit({ hosts: chosen })} aria-label={t('rollout.hosts')} /></Field>
        </div>
      </div>
      {rules.map((rule, at) => (
        <RuleCard key={at} rule={rule} versions={listed} set={(part) => setRule(at, part)}
          up={at > 0 ? () => move(at, -1) : undefined} down={at < rules.length - 1 ? () => move(at, 1) : undefined} drop={() => edit({ rule: rules.filter((_, n) => n !== at) })} />
      ))}
      <Button onClick={() => edit({ rule: [...rules, { name: `rule-${rules.length + 1}`, share: '1%', serve: mine.stable }] })}>{t('rollout.add')}</Button>
      <details style={{ margin: '14px 0' }}><summary>{t('cases.title')}</summary>
        <Field label={t('cases.hint')}><Input.TextArea className="mono" rows={8} value={cases} onChange={(event) => { setCases(event.target.value); plan.reset(); }} /></Field>
      </details>
      <div className="card">
        <div className="row">
          {edited && <span className="warn" role="status">{t('rollout.edited')}</span>}
          <Button type="primary" disabled={!edited || moved} loading={plan.isPending} onClick={() => plan.mutate(mine)}>{t('rollout.preview')}</Button>
          <Button disabled={!edited} onClick={reset}>{t('rollout.reset')}</Button>
        </div>
        {plan.error && <Trouble error={plan.error} />}
        {plan.data && previewed && (
          <>
            <Plan moves={plan.data.moves} />
            <div className="row" style={{ marginTop: 12 }}>
              <Input className="grow" aria-label={t('why')} placeholder={t('why')} value={why} onChange={(event) => setWhy(event.target.value)} />
              <Button type="primary" danger={Boolean(plan.data.moves.cases?.failed.length)} loading={put.isPending} onClick={() => put.mutate(plan.data!.etag)}>{t('rollout.apply')}</Button>
            </div>
          </>
        )}
      </div>
    </div>
  );
}

function RuleCard({ rule, versions, set, up, down, drop }: { rule: Rule; versions: { value: string; label: string }[]; set: (part: Partial<Rule>) => void; up?: () => void; down?: () => void; drop: () => void }) {
  const { t } = useTexts();
  const share = rule.share ?? '100%';
  const [typed, setTyped] = useState(share);
  useEffect(() => setTyped(share), [share]);
  const valid = shareOf(typed);
  return (
    <section className="rule" aria-label={`${t('rollout.rule')} ${rule.name}`}>
      <div className="row spread">
        <Input style={{ maxWidth: 220 }} value={rule.name} aria-label={t('rollout.name')} onChange={(event) => set({ name: event.target.value })} />
        <div className="row">
          <label className="row"><Switch size="small" checked={rule.paused ?? false} onChange={(paused) => set({ paused: paused || undefined })} aria-label={`${t('rollout.paused')} ${rule.name}`} /> {t('rollout.paused')}</label>
          <Button size="small" disabled={!up} onClick={up} aria-label={t('rollout.up', { name: rule.name })}>↑</Button>
          <Button size="small" disabled={!down} onClick={down} aria-label={t('rollout.down', { name: rule.name })}>↓</Button>
          <Button size="small" onClick={drop} aria-label={t('rollout.drop', { name: rule.name })}>✕</Button>
        </div>
      </div>
      <div className="share">
        <Slider min={0} max={100} step={0.1} value={Number.parseFloat(share)} onChange={(value) => set({ share: `${value}%` })} ariaLabelForHandle={`${t('rollout.share')} ${rule.name}`} marks={{ 0: '0%', 50: '50%', 100: '100%' }} />
        <Field label={t('rollout.exact')}>
          <Input value={typed} status={valid ? '' : 'error'} title={valid ? undefined : t('rollout.badshare')} aria-label={`${t('rollout.exact')} ${rule.name}`} aria-invalid={!valid}
            onChange={(event) => { setTyped(event.target.value); const next = shareOf(event.target.value); if (next) set({ share: next }); }}
            onBlur={() => setTyped(share)} />
        </Field>
      </div>
      <div className="fields">
        {rule.split
          ? <Document label={t('rollout.split')} value={rule.split} set={(split) => set({ split })} />
          : <Field label={t('rollout.serve')}><Select value={rule.serve ?? undefined} options={versions} onChange={(serve) => set({ serve })} aria-label={`${t('rollout.serve')} ${rule.name}`} /></Field>}
        <Document label={t('rollout.audience')} value={rule.when} empty={t('rollout.everyone')} set={(when) => set({ when })} />
      </div>
    </section>
  );
}

/** A part of the rollout as its document; what does not parse stays with whoever types it. */
function Document({ label, value, empty, set }: { label: string; value: unknown; empty?: string; set: (value: any) => void }) {
  const { t } = useTexts();
  const blank = value === undefined || text(value) === '{}';
  const [typed, setTyped] = useState(blank ? '' : json(value));
  const [bad, setBad] = useState(false);
  useEffect(() => { if (!bad) setTyped(blank ? '' : json(value)); /* eslint-disable-next-line */ }, [text(value)]);
  const leave = () => {
    try { set(typed.trim() ? JSON.parse(typed) : undefined); setBad(false); } catch { setBad(true); }
  };
  return (
    <Field label={bad ? `${label}: ${t('rollout.bad')}` : label}>
      <Input.TextArea className="mono" rows={2} placeholder={empty} status={bad ? 'error' : ''} aria-invalid={bad} value={typed} onChange={(event) => setTyped(event.target.value)} onBlur={leave} />
    </Field>
  );
}
