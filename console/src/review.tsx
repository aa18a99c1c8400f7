// A version beside the one before it: permissions against grade and grants, files by digest, who approved so far. An
// approval names the very bundle that was shown.
import { Alert, Button } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { change, get } from './api/client';
import { lifeWord, type FileChanges, type Permission } from './api/shapes';
import { useTexts } from './texts';
import { Answer, Mark, Plain, json, useChange } from './ui';
import { Because } from './versions';

export function Review({ app, version }: { app: string; version: string }) {
  const { t } = useTexts();
  const [tenant = '', name = ''] = app.split('/');
  const names = { tenant, app: name, version };
  const any = { names, ifMatch: '*' };
  const asked = useQuery({ queryKey: ['review', app, version], queryFn: () => get('GET /api/v1/apps/{tenant}/{app}/versions/{version}/review', names) });
  const begin = useChange(() => change('POST /api/v1/apps/{tenant}/{app}/versions/{version}/review', undefined, any));
  const approve = useChange((bundle: string) => change('POST /api/v1/apps/{tenant}/{app}/versions/{version}/approve', { bundle }, any));
  return (
    <Answer of={asked}>{(page) => {
      const stands = lifeWord(page.life);
      const open = stands === 'submitted' || stands === 'in-review';
      const files = page.files as FileChanges | null | undefined;
      const lines = files ? (['added', 'changed', 'removed'] as const).flatMap((kind) => (files[kind] ?? []).map((one) => ({ kind, path: typeof one === 'string' ? one : String(one.p ?? one.path ?? json(one)) }))) : [];
      return (
        <>
          <div className="card">
            <div className="row spread">
              <h2>{app} {version} <Mark group="life" value={stands} /></h2>
              {open && (
                <div className="row">
                  {stands === 'submitted' && <Button onClick={() => begin.mutate(undefined)} loading={begin.isPending}>{t('review.begin')}</Button>}
                  <Because danger label={t('review.reject')} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/versions/{version}/reject', { reason }, any)} />
                  <Button type="primary" disabled={!page.may_be_approved} onClick={() => approve.mutate(page.bundle)} loading={approve.isPending}>{t('review.approve')}</Button>
                </div>
              )}
            </div>
            <p>{page.previous ? t('review.previous', { v: page.previous }) : t('review.first')} · {t('review.approvals', { n: page.approvals.length, of: page.approvals_needed })} · <span className="mono">{page.bundle}</span></p>
            {page.notes && <p>{page.notes}</p>}
            {!page.may_be_approved && open && <Alert type="warning" showIcon title={t('review.stands')} />}
          </div>
          <section className="card"><h2>{t('review.permissions')}</h2>
            <Plain label={t('review.permissions')} lines={page.permissions as Permission[]} id={(one) => one.permission} columns={[
              { head: t('review.change'), cell: (one) => <Mark group="diff" value={one.change === 'kept' ? 'same' : one.change} /> },
              { head: t('admin.id'), cell: (one) => <span className="mono">{one.permission}</span> },
              { head: t('admin.name'), cell: (one) => one.title ?? '' },
              { head: t('review.grade'), cell: (one) => one.grade ?? '—' },
              { head: t('review.standing'), cell: (one) => `${typeof one.standing === 'string' ? one.standing : json(one.standing)}${one.revoked ? ' · revoked' : ''}${one.withheld ? ' · withheld' : ''}` },
            ]} />
          </section>
          <section className="card"><h2>{t('review.files')}</h2>
            <Plain label={t('review.files')} lines={lines} id={(one) => `${one.kind} ${one.path}`} columns={[
              { head: t('review.change'), cell: (one) => <Mark group="diff" value={one.kind} /> }, { head: t('review.path'), cell: (one) => <span className="mono">{one.path}</span> },
            ]} />
            {files && <p className="faint">{t('review.same', { n: Array.isArray(files.same) ? (files.same as unknown[]).length : files.same })}</p>}
          </section>
        </>
      );
    }}</Answer>
  );
}
