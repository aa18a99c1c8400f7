// Uploaded lists of units: how many each holds, never which. An upload says how far it is.
import { Button, Input, Progress } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useRef, useState, type FormEvent } from 'react';
import { change, get, upload } from '../api/client';
import type { SegmentLine } from '../api/schema';
import { useTexts } from '../texts';
import { Answer, Field, Plain, useChange } from '../ui';

export function Page() {
  const { t, number } = useTexts();
  const [name, setName] = useState('');
  const [part, setPart] = useState<number | null>(null);
  const file = useRef<HTMLInputElement>(null);
  const asked = useQuery({ queryKey: ['segments'], queryFn: () => get('GET /api/v1/segments') });
  const put = useChange(() => {
    const known = asked.data?.find((one) => one.segment === name.trim());
    setPart(0);
    return upload('PUT /api/v1/segments/{segment}', file.current!.files![0]!, 'text/plain', { names: { segment: name.trim() }, ifMatch: known ? `"${known.revision}"` : '*' }, setPart);
  }, () => { setName(''); file.current!.value = ''; });
  const drop = useChange((one: SegmentLine) => change('DELETE /api/v1/segments/{segment}', undefined, { names: { segment: one.segment }, ifMatch: `"${one.revision}"` }));
  const [chosen, setChosen] = useState(false);
  const submit = (event: FormEvent) => { event.preventDefault(); put.mutate(undefined); };
  return (
    <>
      <h1>{t('segments.title')}</h1>
      <form className="card" onSubmit={submit}>
        <div className="fields">
          <Field label={t('segments.name')}><Input value={name} onChange={(event) => setName(event.target.value)} /></Field>
          <Field label={t('segments.file')}><input type="file" ref={file} accept=".txt,.csv,text/plain" onChange={(event) => setChosen(Boolean(event.target.files?.length))} /></Field>
        </div>
        <Button type="primary" htmlType="submit" disabled={!name.trim() || !chosen} loading={put.isPending}>{t('segments.upload')}</Button>
        {part !== null && <Progress percent={Math.round(part * 100)} aria-label={t('segments.progress')} status={put.isError ? 'exception' : put.isSuccess ? 'success' : 'active'} />}
      </form>
      <div className="card"><Answer of={asked}>{(lines) => (
        <Plain label={t('segments.title')} lines={lines} id={(one) => one.segment} columns={[
          { head: t('segments.name'), cell: (one) => one.segment },
          { head: t('segments.units'), num: true, cell: (one) => number(one.units) },
          { head: t('apps.revision'), num: true, cell: (one) => number(one.revision) },
          { head: t('more'), cell: (one) => <Button size="small" onClick={() => drop.mutate(one)}>{t('remove')}</Button> },
        ]} />
      )}</Answer></div>
    </>
  );
}
