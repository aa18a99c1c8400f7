// The kill: one click opens it, a reason, one click does it. Then the receipt, as it grows: which nodes refuse, within
// how many milliseconds, and the instant after which no valid older answer can exist. It waits for nothing.
import { Alert, Button, Input, Modal, Radio, type GetRef } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useRef, useState, type FormEvent } from 'react';
import { change, get } from './api/client';
import type { AppPage, KillReceipt } from './api/schema';
import { lifeWord } from './api/shapes';
import { useTexts } from './texts';
import { Field, Mark, Plain, Trouble, useChange } from './ui';

export function Kill({ app }: { app: AppPage }) {
  const { t } = useTexts();
  const [open, setOpen] = useState(false);
  const [version, setVersion] = useState('');
  const [reason, setReason] = useState('');
  const [op, setOp] = useState<string | null>(null);
  const why = useRef<GetRef<typeof Input.TextArea>>(null);
  const [tenant = '', name = ''] = app.app.split('/');
  const kill = useChange(
    () => change('POST /api/v1/apps/{tenant}/{app}/kill', { reason: reason.trim(), ...(version ? { version } : {}) }, { names: { tenant, app: name } }),
    (done) => { setOp(done.op); setReason(''); },
  );
  const submit = (event: FormEvent) => { event.preventDefault(); if (reason.trim() && !kill.isPending) kill.mutate(undefined); };
  const shut = () => { setOpen(false); setOp(null); setVersion(''); kill.reset(); };
  const running = app.versions.filter((one) => lifeWord(one.life) !== 'killed');
  return (
    <>
      <Button danger type="primary" onClick={() => setOpen(true)}>{t('kill.button')}</Button>
      <Modal open={open} onCancel={shut} title={op ? t('receipt.title') : `${t('kill.title')} · ${app.title || app.app}`} footer={null} destroyOnHidden afterOpenChange={(shown) => { if (shown) why.current?.focus(); }}>
        {op ? <Receipt op={op} filings={kill.data?.filings ?? []} first={kill.data?.receipt ?? null} /> : (
          <form onSubmit={submit}>
            <Alert type="warning" showIcon title={t('kill.warn')} />
            <fieldset style={{ border: 0, padding: 0, margin: '12px 0' }}>
              <legend className="faint">{t('kill.what')}</legend>
              <Radio.Group value={version} onChange={(event) => setVersion(event.target.value)} options={[
                { label: t('kill.whole'), value: '' }, ...running.map((one) => ({ label: t('kill.version', { v: one.number }), value: one.number })),
              ]} />
            </fieldset>
            <Field label={t('reason')}><Input.TextArea ref={why} autoFocus rows={2} maxLength={1000} value={reason} onChange={(event) => setReason(event.target.value)} /></Field>
            {kill.error && <Trouble error={kill.error} />}
            <p><Button danger type="primary" htmlType="submit" disabled={!reason.trim()} loading={kill.isPending}>{t('kill.confirm')}</Button></p>
          </form>
        )}
      </Modal>
    </>
  );
}

function Receipt({ op, filings, first }: { op: string; filings: string[]; first: KillReceipt | null }) {
  const { t, time, number } = useTexts();
  const asked = useQuery({
    queryKey: ['kill', op],
    queryFn: () => get('GET /api/v1/kills/{op}', { op }),
    initialData: first ?? undefined,
    // Until it is whole it is asked for again every half second.
    refetchInterval: ({ state }) => (state.data && state.data.state === 'committed' && state.data.complete_by && !state.data.unreached.length ? false : 500),
  });
  const receipt = asked.data;
  if (!receipt) return asked.error ? <Trouble error={asked.error} /> : <p role="status">{t('loading')}</p>;
  const nodes = [
    ...receipt.nodes.map((one) => ({ node: one.node, said: t('receipt.ms', { n: number(one.ms) }), good: true })),
    ...receipt.unreached.map((one) => ({ node: one.address, said: `${t('receipt.unreached')}: ${one.why}`, good: false })),
  ];
  return (
    <div aria-live="polite" data-testid="receipt">
      <p><Mark group="receipt.state" value={receipt.state} /> {receipt.app} {receipt.version ?? t('kill.whole')} · {time(receipt.at)}</p>
      <Plain label={t('receipt.title')} lines={nodes} id={(one) => one.node} columns={[
        { head: t('receipt.node'), cell: (one) => one.node },
        { head: t('audit.events'), cell: (one) => <span className={one.good ? 'good' : 'bad'}>{one.said}</span> },
      ]} />
      <p>{t('receipt.complete')}: <b>{receipt.complete_by ? time(receipt.complete_by) : t('receipt.unknown')}</b></p>
      {filings.length > 0 && <p>{t('receipt.filings')}: {filings.join(', ')}</p>}
    </div>
  );
}
