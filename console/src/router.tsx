// Addresses of pages: the browser's own history, nothing kept beside it. An address names what is looked at, so that
// it can be sent to somebody else.
import { useSyncExternalStore, type MouseEvent, type ReactNode } from 'react';

const BASE = '/console';
const listeners = new Set<() => void>();
const tell = () => listeners.forEach((one) => one());
window.addEventListener('popstate', tell);

/** What is behind `/console`, with its query. */
const now = () => location.pathname.slice(BASE.length) + location.search;

export function go(to: string, replace = false): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', BASE + to);
  tell();
}

export function useAddress(): { path: string; parts: string[]; query: URLSearchParams } {
  const text = useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, now);
  const url = new URL(text || '/', location.origin);
  return { path: url.pathname, parts: url.pathname.split('/').filter(Boolean).map(decodeURIComponent), query: url.searchParams };
}

export function Link({ to, children, ...rest }: { to: string; children: ReactNode; className?: string; 'aria-current'?: 'page' }) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return <a href={BASE + to} onClick={follow} {...rest}>{children}</a>;
}

export const appPath = (app: string, rest = '') => `/apps/${app.split('/').map(encodeURIComponent).join('/')}${rest}`;
