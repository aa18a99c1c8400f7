// What a change would move, before it is made: rule by rule, over the whole walk, and which rule tests fail by it.
// The server counts; nothing is estimated here.
import { Alert } from 'antd';
import type { Moves } from './api/shapes';
import { Chart } from './chart';
import { useTexts } from './texts';
import { Plain } from './ui';

/** The number of a part that the server wrote as text, for a chart alone. */
const part = (text: string | undefined) => (text ? Number.parseFloat(text.replace(/[<>%]/g, '')) || 0 : 0);

export function Plan({ moves }: { moves: Moves }) {
  const { t, word } = useTexts();
  const moving = moves.rules.filter((one) => [one.gained, one.lost, one.switched].some((text) => text !== '0%') || one.audience_changed || one.fate !== 'stays');
  const failed = moves.cases?.failed ?? [];
  const flows: { from: string | null; to: string | null; part: string }[] = moves.walk.flows ?? [];
  return (
    <section aria-label={t('plan.title')} data-testid="plan">
      <h2>{t('plan.title')}</h2>
      {!moving.length && !moves.stable && <p className="faint">{t('plan.none')}</p>}
      {moves.stable && <p>{t('rollout.stable')}: <span className="mono">{moves.stable.from ?? '—'} → {moves.stable.to}</span></p>}
      <Plain label={t('plan.title')} lines={moves.rules} id={(one) => one.rule} columns={[
        { head: t('rollout.rule'), cell: (one) => <>{one.rule} {one.fate !== 'stays' && <span className="mark warn">{word('plan.fate', one.fate)}</span>} {one.audience_changed && <span className="mark warn">{t('plan.audience')}</span>} {one.reshuffled && <span className="mark bad">{t('plan.reshuffled')}</span>}</> },
        { head: t('plan.before'), num: true, cell: (one) => one.before ?? '—' }, { head: t('plan.after'), num: true, cell: (one) => one.after ?? '—' },
        { head: t('plan.gained'), num: true, cell: (one) => one.gained }, { head: t('plan.lost'), num: true, cell: (one) => one.lost }, { head: t('plan.switched'), num: true, cell: (one) => one.switched },
      ]} />
      {moving.length > 0 && <Chart label={t('plan.title')} unit="%" series={[t('plan.gained'), t('plan.lost'), t('plan.switched')]} bars={moves.rules.map((one) => ({ name: one.rule, parts: [part(one.gained), part(one.lost), part(one.switched)] }))} />}
      {flows.length > 0 && (
        <><h2>{t('plan.whole')}</h2><ul>{flows.map((one, at) => <li key={at} className="mono">{one.from ?? '—'} → {one.to ?? '—'}: {one.part}</li>)}</ul></>
      )}
      {moves.cases && (failed.length
        ? <Alert type="error" showIcon title={t('cases.fail', { n: failed.length })} description={<ul>{failed.map((one) => <li key={one.case}>{one.case}: {one.why}</li>)}</ul>} />
        : <p className="good">{t('cases.pass', { n: moves.cases.passed })}</p>)}
    </section>
  );
}
