// Every node that was heard of: how it stands, how far behind it is, and whether all came to the same.
import { useQuery } from '@tanstack/react-query';
import { get } from '../api/client';
import { useTexts } from '../texts';
import { Answer, Mark, Plain } from '../ui';

export function Page() {
  const { t, number } = useTexts();
  const asked = useQuery({ queryKey: ['fleet'], queryFn: () => get('GET /api/v1/fleet'), refetchInterval: 3_000 });
  return (
    <>
      <h1>{t('fleet.title')}</h1>
      <Answer of={asked}>{(page) => (
        <div className="card">
          <p role="status" className={page.agrees ? 'good' : 'bad'}>{t(page.agrees ? 'fleet.agrees' : 'fleet.differs')} · {t('fleet.revision')} {number(page.revision)}</p>
          <Plain label={t('fleet.title')} lines={page.nodes} id={(one) => one.node} columns={[
            { head: t('fleet.node'), cell: (one) => <>{one.node} {one.self && <span className="faint">({t('fleet.self')})</span>}</> },
            { head: t('fleet.standing'), cell: (one) => <Mark group="node" value={one.standing} /> },
            { head: t('fleet.revision'), num: true, cell: (one) => number(one.revision) },
            { head: t('fleet.behind'), num: true, cell: (one) => number(one.behind) },
            { head: t('fleet.heard'), num: true, cell: (one) => t('ms.ago', { n: number(one.heard_ms_ago) }) },
            { head: t('fleet.build'), cell: (one) => one.version },
          ]} />
        </div>
      )}</Answer>
    </>
  );
}
