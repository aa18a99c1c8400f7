// All mini-programs: searched and paged by the server, drawn a screenful at a time, so that ten thousand are as quick
// as ten. Nothing is stopped from here: a kill button never sits in a row.
import { Input, Segmented } from 'antd';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { get } from '../api/client';
import { Link, appPath, go, useAddress } from '../router';
import { useTexts } from '../texts';
import { Mark, Trouble } from '../ui';

const PAGE = 200;
const HEIGHT = 44;
type Standing = 'live' | 'ramping' | 'held' | 'killed' | 'idle';

export function Page() {
  const { t, word, number } = useTexts();
  const { query } = useAddress();
  const standing = (query.get('standing') ?? undefined) as Standing | undefined;
  const [text, setText] = useState(query.get('search') ?? '');
  const search = useDeferredValue(text.trim());
  const asked = useInfiniteQuery({
    queryKey: ['apps', search, standing ?? ''],
    queryFn: ({ pageParam, signal }) => get('GET /api/v1/apps', {}, { search, standing, after: pageParam || undefined, limit: PAGE }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => (last.length === PAGE ? last.at(-1)!.app : undefined),
  });
  const lines = asked.data?.pages.flat() ?? [];
  const box = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState({ top: 0, height: 700 });
  const measure = () => box.current && setAt({ top: box.current.scrollTop, height: box.current.clientHeight });
  useEffect(() => { box.current?.scrollTo(0, 0); measure(); }, [search, standing]);
  const first = Math.max(0, Math.floor(at.top / HEIGHT) - 8);
  const last = Math.min(lines.length, Math.ceil((at.top + at.height) / HEIGHT) + 8);
  useEffect(() => {
    if (last >= lines.length - 20 && asked.hasNextPage && !asked.isFetchingNextPage) void asked.fetchNextPage();
  }, [last, lines.length, asked]);
  const options = [{ label: t('all'), value: '' }, ...(['live', 'ramping', 'held', 'killed', 'idle'] as const).map((one) => ({ label: word('standing', one), value: one }))];
  return (
    <>
      <h1>{t('apps.title')}</h1>
      <div className="row spread" style={{ marginBottom: 12 }}>
        <Input className="grow" style={{ maxWidth: 420 }} allowClear placeholder={t('search')} aria-label={t('search')} value={text} onChange={(event) => setText(event.target.value)} />
        <Segmented aria-label={t('apps.standing')} options={options} value={standing ?? ''} onChange={(value) => go(value ? `/apps?standing=${value}` : '/apps', true)} />
        <span className="faint" role="status">{t('apps.count', { n: number(lines.length) })}</span>
      </div>
      {asked.error && <Trouble error={asked.error} again={() => void asked.refetch()} />}
      <div className="list" ref={box} onScroll={measure} tabIndex={0} role="table" aria-label={t('apps.title')} aria-rowcount={asked.hasNextPage ? -1 : lines.length + 1}>
        <div role="rowgroup" style={{ position: 'sticky', top: 0, zIndex: 1, height: HEIGHT }}>
          <div className="line faint" role="row" aria-rowindex={1} style={{ background: 'var(--card)', top: 0 }}>
            {(['apps.name', 'apps.standing', 'apps.stable', 'apps.versions', 'apps.revision'] as const).map((key) => <span key={key} role="columnheader">{t(key)}</span>)}
          </div>
        </div>
        <div role="rowgroup" style={{ position: 'relative', height: Math.max(1, lines.length) * HEIGHT }}>
          {lines.slice(first, last).map((line, n) => (
            <div key={line.app} className="line" role="row" aria-rowindex={first + n + 2} style={{ top: (first + n) * HEIGHT }}>
              <span role="cell"><Link to={appPath(line.app)}>{line.title || line.app}</Link> {line.title && <span className="faint">{line.app}</span>}</span>
              <span role="cell"><Mark group="standing" value={line.standing} /></span>
              <span role="cell" className="mono">{line.stable ?? '—'}</span>
              <span role="cell">{number(line.versions)}</span>
              <span role="cell">{number(line.revision)}</span>
            </div>
          ))}
          {!lines.length && <div className="line" role="row"><span role="cell" className="faint">{t(asked.isPending ? 'loading' : 'empty')}</span></div>}
        </div>
      </div>
    </>
  );
}
