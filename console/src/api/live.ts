// News of the ledger: "revision n" makes what is on the page be asked for again. A page that hears nothing for a
// while says so, and asks by itself now and then; news are a hint, never the truth.
import { useEffect, useState } from 'react';
import type { QueryClient } from '@tanstack/react-query';

export type News = { revision: number | null; heard: boolean };

export function useNews(client: QueryClient, on: boolean): News {
  const [news, setNews] = useState<News>({ revision: null, heard: false });
  useEffect(() => {
    if (!on) return;
    const source = new EventSource('/api/v1/events');
    let last = '';
    source.addEventListener('revision', (event) => {
      const data = (event as MessageEvent<string>).data;
      setNews({ revision: JSON.parse(data).revision, heard: true });
      if (last && last !== data) void client.invalidateQueries();
      last = data;
    });
    source.onopen = () => setNews((before) => ({ ...before, heard: true }));
    source.onerror = () => setNews((before) => ({ ...before, heard: false }));
    return () => source.close();
  }, [client, on]);
  return news;
}
