// Who did what, when and why; of everything, or of one app. What happened is said by the ledger's own words.
import { useQuery } from '@tanstack/react-query';
import { get } from './api/client';
import type { HistoryLine } from './api/schema';
import type { Happening } from './api/shapes';
import { Link, appPath } from './router';
import { useTexts } from './texts';
import { Answer } from './ui';

const SHOWN = ['version', 'number', 'rule', 'share', 'paused', 'reason', 'tenant', 'host', 'segment', 'member', 'grade', 'permission', 'by'];

/** An event in one line: its kind, and those of its fields that are short. */
export function eventText(event: Happening): string {
  const said = SHOWN.filter((key) => ['string', 'number', 'boolean'].includes(typeof event[key])).map((key) => `${key} ${event[key]}`);
  return [event.event, ...said].join(' · ');
}

export function Lines({ lines }: { lines: HistoryLine[] }) {
  const { t, time } = useTexts();
  if (!lines.length) return <p className="faint">{t('empty')}</p>;
  return (
    <ol className="walk" reversed={false}>
      {lines.map((line) => (
        <li key={line.revision} value={line.revision}>
          <span className="faint">{time(line.at)} · {t('timeline.by', { who: String(line.actor.id) })}</span>
          {(line.events as Happening[]).map((event, at) => (
            <div key={at}>{event.app && <><Link to={appPath(event.app)}>{event.app}</Link> </>}<span className="mono">{eventText(event)}</span></div>
          ))}
          {line.why && <div>“{line.why}”</div>}
        </li>
      ))}
    </ol>
  );
}

export function Happened({ app, limit = 50 }: { app?: string; limit?: number }) {
  const asked = useQuery({ queryKey: ['history', app ?? '', limit], queryFn: () => get('GET /api/v1/history', {}, { app, limit }) });
  return <Answer of={asked}>{(lines) => <Lines lines={lines} />}</Answer>;
}
