// The frame: who is here, which language, light or dark, which page. A page is a chunk of its own, fetched when it is
// first opened. Only the two choices of how it looks are remembered by the browser.
import { App as Messages, Button, ConfigProvider, theme } from 'antd';
import enUS from 'antd/locale/en_US';
import zhCN from 'antd/locale/zh_CN';
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import { Suspense, lazy, useEffect, useMemo, useState, type ComponentType } from 'react';
import { Refused, change, get } from './api/client';
import { useNews } from './api/live';
import { roleText, type Role } from './api/shapes';
import { Link, useAddress } from './router';
import { Speaks, useTexts, type Key, type Language } from './texts';
import { Answer } from './ui';
import { SignIn } from './pages/signin';

const page = (load: () => Promise<{ Page: ComponentType }>) => lazy(async () => ({ default: (await load()).Page }));

const PAGES: Record<string, ComponentType> = {
  '': page(() => import('./pages/overview')),
  apps: page(() => import('./pages/apps')),
  app: page(() => import('./pages/app')),
  reviews: page(() => import('./pages/reviews')),
  experiments: page(() => import('./pages/experiments')),
  explain: page(() => import('./pages/explain')),
  fleet: page(() => import('./pages/fleet')),
  audit: page(() => import('./pages/audit')),
  segments: page(() => import('./pages/segments')),
  admin: page(() => import('./pages/admin')),
  settings: page(() => import('./pages/settings')),
};

const NAV: [string, Key][] = [
  ['', 'nav.overview'], ['apps', 'nav.apps'], ['reviews', 'nav.reviews'], ['experiments', 'nav.experiments'], ['explain', 'nav.explain'], ['fleet', 'nav.fleet'],
  ['audit', 'nav.audit'], ['segments', 'nav.segments'], ['admin', 'nav.admin'], ['settings', 'nav.settings'],
];

function remembered<T extends string>(key: string, usual: () => T, known: readonly T[]): T {
  const kept = localStorage.getItem(key) as T | null;
  return kept && known.includes(kept) ? kept : usual();
}

const makeClient = () => new QueryClient({
  defaultOptions: {
    queries: { staleTime: 15_000, refetchInterval: 60_000, retry: (count, error) => count < 2 && !(error instanceof Refused && error.status >= 400 && error.status < 500) },
  },
});

export function Console() {
  const [language, setLanguage] = useState<Language>(() => remembered('huidu-language', () => (navigator.language.startsWith('zh') ? 'zh' : 'en'), ['zh', 'en']));
  const [look, setLook] = useState<'light' | 'dark'>(() => remembered('huidu-look', () => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'), ['light', 'dark']));
  const [client] = useState(makeClient);
  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    localStorage.setItem('huidu-language', language);
  }, [language]);
  useEffect(() => localStorage.setItem('huidu-look', look), [look]);
  const dark = look === 'dark';
  // Who asked their system for less motion gets none here.
  const [still] = useState(() => matchMedia('(prefers-reduced-motion: reduce)').matches);
  const themed = useMemo(() => ({
    algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    token: { motion: !still, colorPrimary: dark ? '#4f83ff' : '#1d4ed8', colorError: dark ? '#cf3a30' : '#b42318', borderRadius: 7, fontFamily: 'inherit', opacityLoading: 1, colorLink: dark ? '#8fb4ff' : '#1d4ed8', colorLinkHover: dark ? '#b5ceff' : '#173fae', colorTextPlaceholder: dark ? '#a3adbb' : '#5b6472', colorTextDescription: dark ? '#a3adbb' : '#5b6472' },
    // On dark ground a word is light and what it stands on is deep; both are readable.
    components: dark ? {
      Button: { colorPrimary: '#2457d6', colorPrimaryHover: '#2f62e0', colorPrimaryActive: '#1d4ed8', colorError: '#b3261e', colorErrorHover: '#c0352c', colorErrorActive: '#9c2019', defaultHoverColor: '#8fb4ff', defaultHoverBorderColor: '#8fb4ff', defaultActiveColor: '#b5ceff', defaultActiveBorderColor: '#b5ceff' },
      Tabs: { itemSelectedColor: '#8fb4ff', itemHoverColor: '#b5ceff', inkBarColor: '#8fb4ff' },
    } : {
      // What the pointer is over stays readable, too: the usual one is too light.
      Button: { colorPrimaryHover: '#2f62e0', colorErrorHover: '#c0352c' },
    },
  }), [dark, still]);
  return (
    <ConfigProvider locale={language === 'zh' ? zhCN : enUS} theme={themed} wave={{ disabled: true }} button={{ autoInsertSpace: false }}>
      <Messages>
        <QueryClientProvider client={client}>
          <Speaks value={language}>
            <div className={`frame ${look}`}>
              <Frame client={client} look={look} turn={() => setLook(dark ? 'light' : 'dark')} speak={() => setLanguage(language === 'zh' ? 'en' : 'zh')} />
            </div>
          </Speaks>
        </QueryClientProvider>
      </Messages>
    </ConfigProvider>
  );
}

function Frame({ client, look, turn, speak }: { client: QueryClient; look: string; turn: () => void; speak: () => void }) {
  const { t, language } = useTexts();
  const { parts } = useAddress();
  const me = useQuery({ queryKey: ['whoami'], queryFn: () => get('GET /api/v1/whoami') });
  const stranger = me.error instanceof Refused && me.error.status === 401;
  const news = useNews(client, me.isSuccess && !stranger);
  const at = parts[0] ?? '';
  const Page = PAGES[at === 'apps' && parts.length >= 3 ? 'app' : at] ?? PAGES['']!;
  const out = async () => { await change('POST /api/v1/signout', undefined); client.clear(); await client.invalidateQueries(); location.assign('/console/'); };
  return (
    <>
      <a className="skip" href="#content">{t('skip')}</a>
      <header className="top">
        <span className="brand">huidu · {t('product')}</span>
        {!stranger && me.data && (
          <nav aria-label={t('nav.label')}>
            {NAV.map(([path, key]) => <Link key={path} to={`/${path}`} aria-current={at === path ? 'page' : undefined}>{t(key)}</Link>)}
          </nav>
        )}
        <div className="row">
          {me.data && !stranger && (
            <>
              <span className={news.heard ? 'good' : 'warn'} data-testid="news">{news.heard ? t('top.live') : t('top.silent')}{news.revision !== null && ` · ${t('top.revision', { n: news.revision })}`}</span>
              <span className="faint">{me.data.title ?? me.data.member ?? me.data.id} · {roleText(me.data.role as Role)}</span>
            </>
          )}
          <Button size="small" onClick={speak} lang={language === 'zh' ? 'en' : 'zh-CN'}>{t('top.language')}</Button>
          <Button size="small" onClick={turn}>{t(look === 'dark' ? 'top.light' : 'top.dark')}</Button>
          {me.data && !stranger && <Button size="small" onClick={() => void out()}>{t('top.signout')}</Button>}
        </div>
      </header>
      <main className="page" id="content" tabIndex={-1}>
        {stranger ? <SignIn /> : (
          <Answer of={me}>{() => <Suspense fallback={<p role="status">{t('loading')}</p>}><Page /></Suspense>}</Answer>
        )}
      </main>
    </>
  );
}
