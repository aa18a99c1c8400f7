// One mini-program: who gets which version, its versions and their lives, who did what; and the kill, which is two
// clicks and a reason from anywhere here.
import { Alert, Tabs } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { Suspense, lazy } from 'react';
import { change, look } from '../api/client';
import { Kill } from '../kill';
import { Happened } from '../history';
import { Link, appPath, go, useAddress } from '../router';
import { useTexts } from '../texts';
import { Answer } from '../ui';
import { Unkill, Versions } from '../versions';

const Rollout = lazy(async () => ({ default: (await import('../rollout')).Rollout }));
const Ramps = lazy(async () => ({ default: (await import('../ramps')).Ramps }));
const Experiments = lazy(async () => ({ default: (await import('./experiments')).Experiments }));
const Review = lazy(async () => ({ default: (await import('../review')).Review }));

export function Page() {
  const { t } = useTexts();
  const { parts } = useAddress();
  const [, tenant = '', name = '', tab = 'rollout', version] = parts;
  const app = `${tenant}/${name}`;
  const names = { tenant, app: name };
  const asked = useQuery({ queryKey: ['app', app], queryFn: () => look('GET /api/v1/apps/{tenant}/{app}', names) });
  return (
    <Answer of={asked}>{({ value, etag }) => (
      <>
        <div className="row spread">
          <h1>{value.title || value.app} {value.title && <small className="faint">{value.app}</small>}</h1>
          <Kill app={value} />
        </div>
        {value.killed && (
          <Alert type="error" showIcon style={{ marginBottom: 12 }} title={t('app.killed', { reason: value.killed.reason })}
            action={<Unkill names={names} etag={etag} act={(reason) => change('POST /api/v1/apps/{tenant}/{app}/unkill', { reason }, { names, ifMatch: etag })} />} />
        )}
        {tab === 'review' && version ? (
          <>
            <p><Link to={appPath(app, '/versions')}>← {t('app.versions')}</Link></p>
            <Suspense fallback={<p role="status">{t('loading')}</p>}><Review app={app} version={version} /></Suspense>
          </>
        ) : (
          <Tabs activeKey={tab} onChange={(key) => go(appPath(app, `/${key}`))} destroyOnHidden={false} items={[
            { key: 'rollout', label: t('app.rollout'), children: <Suspense fallback={<p role="status">{t('loading')}</p>}><Rollout app={value} etag={etag} /></Suspense> },
            { key: 'ramps', label: t('app.ramps'), children: <Suspense fallback={<p role="status">{t('loading')}</p>}><Ramps app={value} etag={etag} /></Suspense> },
            { key: 'versions', label: t('app.versions'), children: <Versions app={value} etag={etag} /> },
            { key: 'experiments', label: t('app.experiments'), children: <Suspense fallback={<p role="status">{t('loading')}</p>}><Experiments app={app} /></Suspense> },
            { key: 'timeline', label: t('app.timeline'), children: <div className="card"><Happened app={app} /></div> },
          ]} />
        )}
      </>
    )}</Answer>
  );
}

