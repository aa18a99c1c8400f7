// Everything at a glance: what is live, ramping, held and killed, how this node is, and what people did last.
import { useQuery } from '@tanstack/react-query';
import { get } from '../api/client';
import { lifeWord } from '../api/shapes';
import { Link, appPath } from '../router';
import { useTexts } from '../texts';
import { Answer, Mark } from '../ui';
import { Happened } from '../history';

const STANDINGS = ['live', 'ramping', 'held', 'killed', 'idle'] as const;

export function Page() {
  const { t, time, number, word } = useTexts();
  const overview = useQuery({ queryKey: ['overview'], queryFn: () => get('GET /api/v1/overview') });
  const status = useQuery({ queryKey: ['status'], queryFn: () => get('GET /api/v1/status') });
  const reviews = useQuery({ queryKey: ['reviews'], queryFn: () => get('GET /api/v1/reviews') });
  return (
    <>
      <h1>{t('overview.title')}</h1>
      <Answer of={overview}>{(page) => (
        <>
          <div className="cards">
            <Link to="/apps" className="figure"><b>{number(page.apps)}</b>{t('overview.apps')}</Link>
            {STANDINGS.map((one) => <Link key={one} to={`/apps?standing=${one}`} className="figure"><b>{number(page[one])}</b>{word('standing', one)}</Link>)}
            <Link to="/reviews" className="figure"><b>{number(page.reviews)}</b>{t('overview.reviews')}</Link>
            <Link to="/reviews?tab=changes" className="figure"><b>{number(page.waits)}</b>{t('overview.waits')}</Link>
            <div className="figure"><b>{number(page.killed_versions)}</b>{t('overview.killed_versions')}</div>
          </div>
        </>
      )}</Answer>
      <section className="card"><h2>{t('overview.node')}</h2>
        <Answer of={status}>{(node) => (
          <p className="row">
            <span className={node.ready ? 'good' : 'bad'}>{t(node.ready ? 'node.ready' : 'node.notready')}</span>
            {node.why?.map((one) => <span key={one} className="mark warn">{one}</span>)}
            <span>{node.audience}</span><span className="faint">{node.version}</span>
            <span className="faint">{t('node.asof')} {time(node.asof)}</span>
          </p>
        )}</Answer>
      </section>
      <Answer of={reviews}>{(lines) => lines.length ? (
        <section className="card"><h2>{t('overview.reviews')}</h2>
          <ul>{lines.slice(0, 8).map((line) => <li key={`${line.app} ${line.version}`}><Link to={appPath(line.app, `/review/${encodeURIComponent(line.version)}`)}>{line.title || line.app} {line.version}</Link> <Mark group="life" value={lifeWord(line.life)} /></li>)}</ul>
        </section>
      ) : null}</Answer>
      <section className="card"><h2>{t('overview.latest')}</h2><Happened limit={8} /></section>
    </>
  );
}
