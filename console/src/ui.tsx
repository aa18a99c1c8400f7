// What pages share: a table, a mark, states of a question, and what is said when a change is done or refused. Text
// that people wrote is only ever a child of an element.
import { App as Messages, Alert, Button, Spin } from 'antd';
import { useMutation, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ItWaits, Refused } from './api/client';
import { useTexts } from './texts';

const TONES: Record<string, string> = {
  live: 'good', listed: 'good', approved: 'good', ready: 'good', holds: 'good', committed: 'good', added: 'good',
  ramping: 'accent', held: 'warn', 'in-review': 'warn', submitted: 'warn', degraded: 'warn', 'expires-soon': 'warn', provisional: 'warn', changed: 'warn', doubting: 'warn', draining: 'warn',
  running: 'accent', finished: 'good', paused: 'warn', aborted: 'warn', overtaken: 'warn', 'held by a guard': 'warn', 'moved by hand': 'warn', 'held: units do not arrive as drawn': 'warn', 'rolled back': 'bad', pass: 'good', fail: 'bad', error: 'warn',
  killed: 'bad', rejected: 'bad', quarantined: 'bad', expired: 'bad', removed: 'bad', silent: 'bad', voided: 'bad',
};

export function Mark({ group, value }: { group: string; value: string }) {
  const { word } = useTexts();
  return <span className={`mark ${TONES[value] ?? 'faint'}`}>{word(group, value)}</span>;
}

export type Column<T> = { head: string; cell: (line: T) => ReactNode; num?: boolean };

export function Plain<T>({ lines, columns, id, label }: { lines: readonly T[]; columns: Column<T>[]; id: (line: T) => string; label: string }) {
  const { t } = useTexts();
  if (!lines.length) return <p className="faint">{t('empty')}</p>;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="plain">
        <caption hidden>{label}</caption>
        <thead><tr>{columns.map((one) => <th key={one.head} scope="col" className={one.num ? 'num' : undefined}>{one.head}</th>)}</tr></thead>
        <tbody>{lines.map((line) => <tr key={id(line)}>{columns.map((one) => <td key={one.head} className={one.num ? 'num' : undefined}>{one.cell(line)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

/** A refusal in the server's own words; they say what to do. */
export function Trouble({ error, again }: { error: unknown; again?: () => void }) {
  const { t } = useTexts();
  const refused = error instanceof Refused ? error : null;
  const text = refused ? refused.problem.detail : String(error);
  const more = refused?.mistakes.map((one, at) => <li key={at}>{one.message}{one.pointer ? ` (${one.pointer})` : ''}{one.help ? `: ${one.help}` : ''}</li>);
  return (
    <Alert type="error" showIcon title={t('error.title')} action={again && <Button size="small" onClick={again}>{t('again')}</Button>}
      description={<><div>{text}</div>{more?.length ? <ul>{more}</ul> : null}</>} />
  );
}

/** What a question came to, or that it is under way, or why not. */
export function Answer<T>({ of, children }: { of: UseQueryResult<T>; children: (value: T) => ReactNode }) {
  const { t } = useTexts();
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (of.error) return <Trouble error={of.error} again={() => void of.refetch()} />;
  return <p role="status"><Spin size="small" /> {t('loading')}</p>;
}

/** A change: says what became of it, and has everything on the page asked for again. */
export function useChange<A, R>(act: (argument: A) => Promise<R>, after?: (result: R) => void) {
  const { t } = useTexts();
  const { message, notification } = Messages.useApp();
  const client = useQueryClient();
  return useMutation({
    mutationFn: act,
    onSuccess: (result) => {
      const revision = (result as { revision?: number } | undefined)?.revision;
      if (revision) void message.success(t('done', { n: revision }));
      after?.(result);
    },
    onError: (error) => {
      if (error instanceof ItWaits) {
        const { id, lacks } = error.waits.waits;
        notification.info({ title: t('waits.title'), description: t('waits.text', { n: lacks, id }) });
      } else if (error instanceof Refused && error.code === 'sign-in-again') {
        const next = encodeURIComponent(location.pathname + location.search);
        notification.warning({ title: t('fresh'), description: <a href={`/api/v1/signin?fresh&next=${next}`}>{t('signin.go')}</a>, duration: 0 });
      } else if (error instanceof Refused && error.code === 'stale') {
        // The page that made the change shows the other one.
      } else {
        notification.error({ title: t('error.title'), description: <Said error={error} /> });
      }
    },
    onSettled: () => client.invalidateQueries(),
  });
}

function Said({ error }: { error: unknown }) {
  const refused = error instanceof Refused ? error : null;
  return <>{refused ? refused.problem.detail : String(error)}{refused?.mistakes.length ? <ul>{refused.mistakes.map((one, at) => <li key={at}>{one.message}</li>)}</ul> : null}</>;
}

export function Field({ label, children }: { label: string; children: ReactNode }) {
  return <label className="field"><span>{label}</span>{children}</label>;
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let at = 0;
  while (n >= 1024 && at < 3) { n /= 1024; at += 1; }
  return `${at ? n.toFixed(1) : n} ${units[at]}`;
}

export const json = (value: unknown) => JSON.stringify(value, null, 2);
