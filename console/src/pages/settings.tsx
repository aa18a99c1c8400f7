// How changes come to be agreed on: approvals of versions, and the kinds of change that take a second person.
import { Button, Input, InputNumber, Switch } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { change, get } from '../api/client';
import type { EyesPolicy, ReviewPolicy } from '../api/schema';
import { shareOf } from '../share';
import { useTexts } from '../texts';
import { Answer, Field, Plain, useChange } from '../ui';

export function Page() {
  const { t } = useTexts();
  const reviews = useQuery({ queryKey: ['review-policy'], queryFn: () => get('GET /api/v1/review-policy') });
  const eyes = useQuery({ queryKey: ['eyes'], queryFn: () => get('GET /api/v1/eyes') });
  return (
    <>
      <h1>{t('settings.title')}</h1>
      <section className="card"><h2>{t('settings.reviews')}</h2><Answer of={reviews}>{(policy) => <Reviews key={JSON.stringify(policy)} policy={policy as ReviewPolicy} />}</Answer></section>
      <section className="card"><h2>{t('settings.kinds')}</h2><Answer of={eyes}>{(policy) => <Eyes key={JSON.stringify(policy)} policy={policy as EyesPolicy} />}</Answer></section>
    </>
  );
}

function Reviews({ policy }: { policy: ReviewPolicy }) {
  const { t } = useTexts();
  const [mine, setMine] = useState(policy);
  const put = useChange(() => change('PUT /api/v1/review-policy', mine));
  return (
    <>
      <div className="fields">
        <Field label={t('settings.approvals')}><InputNumber min={1} max={10} precision={0} value={mine.approvals} onChange={(value) => setMine({ ...mine, approvals: value ?? 1 })} /></Field>
        <Field label={t('settings.filing')}><Switch style={{ alignSelf: 'start' }} checked={mine.filing_required ?? false} onChange={(filing_required) => setMine({ ...mine, filing_required })} aria-label={t('settings.filing')} /></Field>
      </div>
      <Button type="primary" disabled={JSON.stringify(mine) === JSON.stringify(policy)} loading={put.isPending} onClick={() => put.mutate(undefined)}>{t('save')}</Button>
    </>
  );
}

function Eyes({ policy }: { policy: EyesPolicy }) {
  const { t } = useTexts();
  const [mine, setMine] = useState(policy);
  const [free, setFree] = useState(policy.free_share ?? '');
  const put = useChange(() => change('PUT /api/v1/eyes', { ...mine, ...(free ? { free_share: shareOf(free) ?? free } : {}) }));
  const kinds = Object.entries((mine.kinds ?? {}) as Record<string, { approvals: number; roles?: string[] }>);
  const set = (kind: string, approvals: number) => setMine({ ...mine, kinds: { ...mine.kinds, [kind]: { ...mine.kinds?.[kind], approvals } } });
  const edited = JSON.stringify(mine) !== JSON.stringify(policy) || free !== (policy.free_share ?? '');
  return (
    <>
      <Plain label={t('settings.kinds')} lines={kinds} id={([kind]) => kind} columns={[
        { head: t('settings.kind'), cell: ([kind]) => kind },
        { head: t('settings.needed'), cell: ([kind, needed]) => <InputNumber min={1} max={10} precision={0} value={needed.approvals} onChange={(value) => set(kind, value ?? 1)} aria-label={`${t('settings.needed')} ${kind}`} /> },
        { head: t('settings.roles'), cell: ([, needed]) => needed.roles?.join(', ') ?? '' },
      ]} />
      <div className="fields"><Field label={t('settings.free')}><Input value={free} status={!free || shareOf(free) ? '' : 'error'} onChange={(event) => setFree(event.target.value)} /></Field></div>
      <Button type="primary" disabled={!edited} loading={put.isPending} onClick={() => put.mutate(undefined)}>{t('save')}</Button>
    </>
  );
}
