// The one way to the server: typed by its document, by cookie, and by nothing that this page keeps. A change carries
// a key, so that asking twice does it once, and the revision it was made for. Must never hold a credential.
import type { Mistake, Problem, Routes, Waits } from './schema';

export type Route = keyof Routes;
type Of<M extends string> = Extract<Route, `${M} ${string}`>;
type Names = Record<string, string>;

/** A refusal, as the server says it. */
export class Refused extends Error {
  constructor(readonly status: number, readonly problem: Partial<Problem> & { detail: string }) {
    super(problem.detail);
  }
  get code(): string { return this.problem.code ?? 'unreachable'; }
  get mistakes(): Mistake[] { return this.problem.errors ?? []; }
}

/** A change that waits for other people, or for its time. */
export class ItWaits extends Error {
  constructor(readonly waits: Waits) { super('waits'); }
}

/** An answer that has a revision. */
export type Tagged<T> = { value: T; etag: string | null };

function address(route: string, names: Names, query: object = {}): string {
  const path = route.slice(route.indexOf(' ') + 1).replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ''));
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== null && value !== '') asked.set(key, String(value));
  return asked.size ? `${path}?${asked}` : path;
}

async function ask(route: string, url: string, init: RequestInit): Promise<Response> {
  const method = route.slice(0, route.indexOf(' '));
  let reply: Response;
  try {
    reply = await fetch(url, { ...init, method, credentials: 'same-origin', redirect: 'error' });
  } catch {
    throw new Refused(0, { detail: 'the server cannot be reached', code: 'unreachable' });
  }
  if (!reply.ok) throw new Refused(reply.status, await problem(reply));
  return reply;
}

async function problem(reply: Response): Promise<Partial<Problem> & { detail: string }> {
  try { return await reply.json(); } catch { return { detail: `HTTP ${reply.status}` }; }
}

/** Looks, and says at which revision. */
export async function look<R extends Of<'GET'>>(route: R, names: Names = {}, query: Routes[R]['query'] = {}, signal?: AbortSignal): Promise<Tagged<Routes[R]['answer']>> {
  const reply = await ask(route, address(route, names, query), { signal });
  return { value: await reply.json(), etag: reply.headers.get('etag') };
}

/** Looks. */
export const get = async <R extends Of<'GET'>>(route: R, names: Names = {}, query: Routes[R]['query'] = {}, signal?: AbortSignal) =>
  (await look(route, names, query, signal)).value;

/** Asks a question that changes nothing and has a body. */
export async function question<R extends Of<'POST'>>(route: R, names: Names, body: unknown): Promise<Tagged<any>> {
  const reply = await ask(route, address(route, names), { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  return { value: await reply.json(), etag: reply.headers.get('etag') };
}

export type How = { names?: Names; ifMatch?: string | null; why?: string; key?: string };

/** Changes something. */
export async function change<R extends Of<'POST' | 'PUT' | 'DELETE'>>(route: R, body: Routes[R]['body'] | undefined, how: How = {}): Promise<Routes[R]['answer']> {
  const headers: Record<string, string> = { 'idempotency-key': how.key ?? crypto.randomUUID() };
  if (how.ifMatch) headers['if-match'] = how.ifMatch;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const reply = await ask(route, address(route, how.names ?? {}, { why: how.why }), { headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (reply.status === 204) return undefined as Routes[R]['answer'];
  const answer = await reply.json();
  if (reply.status === 202 && answer.waits) throw new ItWaits(answer);
  if (reply.status === 202 && answer.state !== 'provisional') throw new Refused(202, answer);
  return answer;
}

/** Uploads a file, and says how far it is. `fetch` does not, so this is an older way. */
export function upload(route: Of<'PUT' | 'POST'>, file: Blob, kind: string, how: How, progress: (part: number) => void): Promise<any> {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open(route.slice(0, route.indexOf(' ')), address(route, how.names ?? {}, { why: how.why }));
    request.setRequestHeader('content-type', kind);
    request.setRequestHeader('idempotency-key', how.key ?? crypto.randomUUID());
    if (how.ifMatch) request.setRequestHeader('if-match', how.ifMatch);
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.onerror = () => fail(new Refused(0, { detail: 'the server cannot be reached' }));
    request.onload = () => {
      const answer = (() => { try { return JSON.parse(request.responseText); } catch { return { detail: `HTTP ${request.status}` }; } })();
      if (request.status === 202 && answer.waits) fail(new ItWaits(answer));
      else if (request.status >= 200 && request.status < 300 && request.status !== 202) done(answer);
      else fail(new Refused(request.status, answer));
    };
    request.send(file);
  });
}
