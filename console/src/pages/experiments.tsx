// A/B tests: what each says now, its arms beside the control, and the acts that begin one, promote an arm or end it.
// Whom an end moves is shown before it happens. The verdict is the server's; nothing is judged here.
import { Alert, AutoComplete, Button, Checkbox, Input, Modal, Select } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { change, get, look } from '../api/client';
import type { Moves } from '../api/shapes';
import { Plan } from '../plan';
import { useAddress } from '../router';
import { useTexts } from '../texts';
import { Answer, Field, Mark, Plain, Trouble, useChange } from '../ui';

type Interval = { estimate: number; low: number; high: number };
type Guard = { measure: string; verdict: string; events: number; control_events: number };
type Arm = { arm: string; is_control: boolean; version: string; weight: number; units: number; events: number; mean?: number; interval?: Interval; difference?: Interval; lift?: Interval; chance_to_win?: number; says?: string; guards?: Guard[] };
type Design = { rule: string; control: string; primary: { measure: string; better: string }; hypothesis?: string };
type Test = { experiment: string; state: string; verdict: string; since: string; until: string; not_before: string; redrawn?: number; unfit?: string; design: Design; ratio?: { p: number; is_alarm: boolean }; arms: Arm[]; end?: { arm?: string; reason: string } };

const BASE = '/api/v1/apps/{tenant}/{app}/experiments' as const;
const ONE = `${BASE}/{experiment}` as const;
const named = (app: string) => { const [tenant = '', name = ''] = app.trim().split('/'); return { tenant, app: name }; };
const percent = (value?: number) => (value === undefined ? '—' : `${(value * 100).toFixed(2)}%`);
const around = (it?: Interval) => (it ? `${percent(it.estimate)} [${percent(it.low)}, ${percent(it.high)}]` : '—');

export function Page() {
  const { t } = useTexts();
  const { query } = useAddress();
  const [app, setApp] = useState(query.get('app') ?? '');
  const found = useQuery({ queryKey: ['apps-named', app], queryFn: () => get('GET /api/v1/apps', {}, { search: app, limit: 20 }) });
  const chosen = found.data?.find((one) => one.app === app.trim());
  return (
    <>
      <h1>{t('experiments.title')}</h1>
      <div className="card"><Field label={t('explain.app')}><AutoComplete value={app} onChange={setApp} options={found.data?.map((one) => ({ value: one.app, label: one.title ? `${one.title} · ${one.app}` : one.app }))} aria-label={t('explain.app')} /></Field></div>
      {chosen && <Experiments app={chosen.app} />}
    </>
  );
}

export function Experiments({ app }: { app: string }) {
  const { t } = useTexts();
  const names = named(app);
  const asked = useQuery({ queryKey: ['experiments', app], queryFn: () => look(`GET ${BASE}`, names), refetchInterval: 5_000 });
  return (
    <Answer of={asked}>{({ value, etag }) => {
      const tests = (value.experiments ?? []) as Test[];
      return (
        <>
          {!tests.length && <p className="faint">{t('empty')}</p>}
          {tests.map((one) => <Shown key={one.experiment} app={app} test={one} etag={etag} />)}
          <Begin app={app} etag={etag} />
        </>
      );
    }}</Answer>
  );
}

function Shown({ app, test, etag }: { app: string; test: Test; etag: string | null }) {
  const { t, time, number, word } = useTexts();
  const [ending, setEnding] = useState<{ arm?: string } | null>(null);
  const running = test.state === 'running' || test.state === 'paused';
  const guards = test.arms.flatMap((arm) => (arm.guards ?? []).map((guard) => ({ ...guard, arm: arm.arm })));
  const { tenant, app: name } = named(app);
  const table = `/api/v1/apps/${encodeURIComponent(tenant)}/${encodeURIComponent(name)}/experiments/${encodeURIComponent(test.experiment)}?format=csv`;
  return (
    <section className="card" aria-label={test.experiment} data-testid={`experiment-${test.experiment}`}>
      <div className="row spread">
        <h2>{test.experiment} <Mark group="experiment.state" value={test.state} /> <span className={`mark ${TONES[test.verdict] ?? 'faint'}`}>{word('experiment.verdict', test.verdict)}</span></h2>
        <div className="row">
          <a href={table} download={`${test.experiment}.csv`}>{t('experiment.export')}</a>
          {running && <Button size="small" onClick={() => setEnding({})}>{t('experiment.end')}</Button>}
        </div>
      </div>
      <p className="faint">{t('experiment.about', { rule: test.design.rule, measure: test.design.primary.measure, better: word('experiment.better', test.design.primary.better), since: time(test.since), earliest: time(test.not_before) })}</p>
      {test.design.hypothesis && <p>{test.design.hypothesis}</p>}
      {test.ratio?.is_alarm && <Alert type="error" showIcon title={t('experiment.ratio', { p: test.ratio.p.toPrecision(2) })} />}
      {test.unfit && <Alert type="warning" showIcon title={test.unfit} />}
      <Plain label={test.experiment} lines={test.arms} id={(one) => one.arm} columns={[
        { head: t('experiment.arm'), cell: (one) => <>{one.arm} {one.is_control && <span className="faint">({t('experiment.control')})</span>} <span className="mono faint">{one.version}</span></> },
        { head: t('experiment.units'), num: true, cell: (one) => number(one.units) },
        { head: t('experiment.mean'), num: true, cell: (one) => around(one.interval) === '—' ? percent(one.mean) : around(one.interval) },
        { head: t('experiment.difference'), num: true, cell: (one) => around(one.difference) },
        { head: t('experiment.lift'), num: true, cell: (one) => around(one.lift) },
        { head: t('experiment.chance'), num: true, cell: (one) => percent(one.chance_to_win) },
        { head: t('experiment.says'), cell: (one) => one.says ? <span className={`mark ${TONES[one.says] ?? 'faint'}`}>{word('experiment.says', one.says)}</span> : '' },
        { head: t('more'), cell: (one) => running ? <Button size="small" onClick={() => setEnding({ arm: one.arm })}>{t('experiment.promote', { arm: one.arm })}</Button> : test.end?.arm === one.arm ? t('experiment.state.promoted') : '' },
      ]} />
      {guards.length > 0 && <Plain label={t('experiment.guards')} lines={guards} id={(one) => `${one.arm} ${one.measure}`} columns={[
        { head: t('experiment.guards'), cell: (one) => one.measure }, { head: t('experiment.arm'), cell: (one) => one.arm },
        { head: t('experiment.says'), cell: (one) => <span className={`mark ${TONES[one.verdict] ?? 'faint'}`}>{word('experiment.guard', one.verdict)}</span> },
        { head: t('experiment.events'), num: true, cell: (one) => `${number(one.events)} / ${number(one.control_events)}` },
      ]} />}
      {test.end && <p className="faint">{test.end.reason}</p>}
      {ending && <Ending app={app} test={test} arm={ending.arm} etag={etag} shut={() => setEnding(null)} />}
    </section>
  );
}

const TONES: Record<string, string> = { shown: 'good', better: 'good', pass: 'good', 'ratio-alarm': 'bad', unfit: 'bad', worse: 'bad', fail: 'bad', 'too-early': 'warn', 'too-long': 'warn', unknown: 'warn', running: 'accent' };

function Ending({ app, test, arm, etag, shut }: { app: string; test: Test; arm?: string; etag: string | null; shut: () => void }) {
  const { t } = useTexts();
  const [reason, setReason] = useState('');
  const [anyway, setAnyway] = useState(false);
  const names = { ...named(app), experiment: test.experiment };
  const end = useChange(
    () => arm
      ? change(`POST ${ONE}/promote`, { arm, reason: reason.trim(), anyway }, { names, ifMatch: etag })
      : change(`POST ${ONE}/end`, { reason: reason.trim() }, { names, ifMatch: etag }),
    shut,
  );
  // Once it is under way, whom it would move is no question any more.
  const plan = useQuery({ enabled: end.isIdle || end.isError, queryKey: ['experiment-plan', app, test.experiment, arm, etag], queryFn: () => get(`GET ${ONE}/plan`, names, arm ? { arm } : {}) });
  const submit = (event: FormEvent) => { event.preventDefault(); if (reason.trim() && !end.isPending) end.mutate(undefined); };
  const title = arm ? t('experiment.promote', { arm }) : t('experiment.end');
  return (
    <Modal open onCancel={shut} title={`${title} · ${test.experiment}`} footer={null} width={760} destroyOnHidden>
      <form onSubmit={submit}>
        <Answer of={plan}>{(moves) => <Plan moves={moves as Moves} />}</Answer>
        <Field label={t('reason')}><Input.TextArea autoFocus rows={2} maxLength={1000} value={reason} onChange={(event) => setReason(event.target.value)} /></Field>
        {arm && <Checkbox checked={anyway} onChange={(event) => setAnyway(event.target.checked)}>{t('experiment.anyway')}</Checkbox>}
        {end.error && <Trouble error={end.error} />}
        <p><Button type="primary" htmlType="submit" disabled={!reason.trim()} loading={end.isPending}>{t('experiment.do')}</Button></p>
      </form>
    </Modal>
  );
}

function Begin({ app, etag }: { app: string; etag: string | null }) {
  const { t } = useTexts();
  const [name, setName] = useState('');
  const [rule, setRule] = useState('');
  const [control, setControl] = useState('');
  const [measure, setMeasure] = useState('converted');
  const [better, setBetter] = useState('more');
  const [guards, setGuards] = useState('crashed');
  const [least, setLeast] = useState('14d');
  const [hypothesis, setHypothesis] = useState('');
  const begin = useChange(() => {
    const guard = guards.split(/[\s,]+/).filter(Boolean).map((one) => ({ measure: one }));
    const design = { rule: rule.trim(), control: control.trim(), primary: { measure: measure.trim(), better }, guard, at_least: least.trim(), hypothesis: hypothesis.trim() };
    return change(`PUT ${ONE}`, design, { names: { ...named(app), experiment: name.trim() }, ifMatch: etag });
  }, () => { setName(''); setHypothesis(''); });
  const submit = (event: FormEvent) => { event.preventDefault(); begin.mutate(undefined); };
  const text = (label: string, value: string, set: (value: string) => void) => <Field label={label}><Input value={value} onChange={(event) => set(event.target.value)} autoComplete="off" /></Field>;
  return (
    <form className="card" onSubmit={submit} aria-label={t('experiment.begin')}>
      <h2>{t('experiment.begin')}</h2>
      <p className="faint">{t('experiment.hint')}</p>
      <div className="fields">
        {text(t('experiment.name'), name, setName)}
        {text(t('rollout.rule'), rule, setRule)}
        {text(t('experiment.control'), control, setControl)}
        {text(t('experiment.measure'), measure, setMeasure)}
        <Field label={t('experiment.better')}><Select value={better} onChange={setBetter} aria-label={t('experiment.better')} options={['more', 'less'].map((value) => ({ value, label: t(value === 'more' ? 'experiment.better.more' : 'experiment.better.less') }))} /></Field>
        {text(t('experiment.guards'), guards, setGuards)}
        {text(t('experiment.least'), least, setLeast)}
        {text(t('experiment.hypothesis'), hypothesis, setHypothesis)}
      </div>
      {begin.error && <Trouble error={begin.error} />}
      <Button type="primary" htmlType="submit" disabled={!name.trim() || !rule.trim() || !control.trim()} loading={begin.isPending}>{t('experiment.begin')}</Button>
    </form>
  );
}
