// The ramps of an app, live: how far each has come, what it waits for, what its guards say and what that rests on; and
// the acts on one. The server judges; nothing is computed here but the length of a bar.
import { Alert, Button, Progress } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { change, get } from './api/client';
import type { AppPage, Rollout_Plan } from './api/schema';
import type { Cohorts, Guarded, Ramp, Waits } from './api/shapes';
import { Chart } from './chart';
import { useTexts } from './texts';
import { Mark, Plain, Trouble, useChange } from './ui';
import { Because } from './versions';

const OVER = ['rolled back', 'finished'];
/** Verdicts rest on counts that change without a revision. */
const LOOK_EVERY = 2_000;

export function Ramps({ app, etag }: { app: AppPage; etag: string | null }) {
  const { t } = useTexts();
  const [tenant = '', name = ''] = app.app.split('/');
  const asked = useQuery({
    queryKey: ['ramp', app.app],
    queryFn: async () => (await get('GET /api/v1/apps/{tenant}/{app}/ramp', { tenant, app: name })).ramps as Ramp[],
    refetchInterval: ({ state }) => (state.data?.some((one) => !OVER.includes(one.state)) ? LOOK_EVERY : 15_000),
  });
  if (!asked.data) return asked.error ? <Trouble error={asked.error} /> : <p role="status">{t('loading')}</p>;
  if (!asked.data.length) return <div className="card"><p className="faint">{t('ramps.none')}</p></div>;
  return <>{asked.data.map((one) => <One key={one.rule} ramp={one} names={{ tenant, app: name }} etag={etag} />)}</>;
}

function One({ ramp, names, etag }: { ramp: Ramp; names: { tenant: string; app: string }; etag: string | null }) {
  const { t, word, time, number } = useTexts();
  const over = OVER.includes(ramp.state);
  const cohorts = (of: Cohorts | undefined) => (of ? `${number(of.candidate)} / ${number(of.control)}` : '—');
  return (
    <section className="card" aria-label={`${t('ramps.ramp')} ${ramp.rule}`} data-testid="ramp">
      <div className="row spread">
        <h2>{ramp.rule}: <span className="mono">{ramp.stable} → {ramp.version ?? '—'}</span> <Mark group="ramp.state" value={ramp.state} /></h2>
        {!over && <Acts ramp={ramp} names={names} etag={etag} />}
      </div>
      <p>
        {t('ramps.step', { n: ramp.step, of: ramp.steps })} · {t('ramps.since', { when: time(ramp.since) })} · {t('ramps.takes', { share: ramp.share, control: ramp.control })} · {t('ramps.units')} {cohorts(ramp.units)}
        {ramp.plan.dry_run && <> · <span className="mark warn">{t('ramps.dry')}</span></>}
      </p>
      {ramp.ratio?.is_alarm && <Alert type="warning" showIcon title={t('ramps.ratio', { p: ramp.ratio.p.toExponential(1) })} />}
      <Curve plan={ramp.plan} at={over ? 0 : ramp.step} />
      {!over && ramp.waits.length > 0 && <><p className="faint">{t('ramps.waits')}:</p><ul>{ramp.waits.map((one, at) => <li key={at}>{waits(one, t, time)}</li>)}</ul></>}
      <div aria-live="polite">
        <Plain label={t('ramps.guards')} lines={ramp.guards} id={(one) => one.measure} columns={[
          { head: t('ramps.measure'), cell: (one) => <span className="mono">{one.measure}</span> },
          { head: t('ramps.says'), cell: (one) => <Mark group="verdict" value={one.verdict} /> },
          { head: t('ramps.then'), cell: (one) => word('ramp.act', one.action) },
          { head: t('ramps.events'), num: true, cell: (one) => cohorts(one.events) },
          { head: t('ramps.difference'), num: true, cell: (one) => difference(one) },
          { head: t('ramps.evidence'), cell: (one) => <Evidence of={one} /> },
        ]} />
      </div>
    </section>
  );
}

/** What a coin laid on harm has become beside what it takes; the bar grows with its logarithm, as evidence does. */
function Evidence({ of: { evidence, measure } }: { of: Guarded }) {
  const { t } = useTexts();
  if (!evidence) return <>—</>;
  const part = Math.log(Math.max(evidence.harm, 1)) / Math.log(evidence.needed);
  const said = `${evidence.harm.toFixed(2)} / ${evidence.needed.toFixed(0)}`;
  return <span className="row"><Progress aria-label={t('ramps.evidence.of', { measure })} percent={Math.min(100, Math.round(100 * part))} showInfo={false} size={[90, 8]} status={part >= 1 ? 'exception' : 'normal'} /><span className="mono">{said}</span></span>;
}

function difference({ evidence }: Guarded) {
  if (!evidence) return '—';
  const percent = (value: number) => `${(100 * value).toFixed(2)}%`;
  const interval = evidence.low === null || evidence.high === null ? '' : ` [${percent(evidence.low)}, ${percent(evidence.high)}]`;
  return percent(evidence.difference) + interval;
}

/** The plan as it grows: one bar a step. */
function Curve({ plan, at }: { plan: Rollout_Plan; at: number }) {
  const { t } = useTexts();
  const share = (text: string) => Number.parseFloat(text.replace('%', ''));
  const bars = plan.step.map((step, n) => {
    const now = n + 1 === at;
    const name = `${n + 1}${step.hold ? ` · ${step.hold}` : ''}${step.approval ? ` · ${t('ramps.approval')}` : ''}`;
    return { name, parts: [now ? 0 : share(step.share), now ? share(step.share) : 0] };
  });
  return <Chart label={t('ramps.curve')} unit="%" stacked series={[t('ramps.planned'), t('ramps.here')]} bars={bars} />;
}

function Acts({ ramp, names, etag }: { ramp: Ramp; names: { tenant: string; app: string }; etag: string | null }) {
  const { t } = useTexts();
  const rule = ramp.rule;
  const resume = useChange(() => change('POST /api/v1/apps/{tenant}/{app}/ramp/resume', { rule }, { names, ifMatch: etag }));
  const approve = useChange(() => change('POST /api/v1/apps/{tenant}/{app}/ramp/approve', { rule }, { names, ifMatch: etag }));
  const asks = (what: Waits['for']) => ramp.waits.some((one) => one.for === what);
  return (
    <span className="row">
      {asks('approval') && <Button size="small" type="primary" loading={approve.isPending} onClick={() => approve.mutate(undefined)}>{t('ramps.approve')}</Button>}
      {asks('resume')
        ? <Button size="small" loading={resume.isPending} onClick={() => resume.mutate(undefined)}>{t('ramps.resume')}</Button>
        : <Because label={t('ramps.pause')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/ramp/pause', { rule, reason }, { names })} />}
      <Because label={t('ramps.abort')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/ramp/abort', { rule, reason }, { names })} />
      <Because danger label={t('ramps.back')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/ramp/roll-back', { rule, reason }, { names })} />
    </span>
  );
}

type Said = ReturnType<typeof useTexts>;

function waits(one: Waits, t: Said['t'], time: Said['time']): string {
  switch (one.for) {
    case 'hold': return t('wait.hold', { when: time(one.until) });
    case 'units': return t('wait.units', { n: one.least, have: one.have });
    case 'guard': return t('wait.guard', { measure: one.measure });
    default: return t(`wait.${one.for}`);
  }
}
