// Two people and one rollout: what differs, and one's edits laid over what the other one did. Rules are known by name;
// whoever did not touch something does not undo what the other did to it. Pure: documents in, documents out.
import type { Rollout, Rollout_Rule } from './api/schema';

/** A document as text, the same whatever the order of its fields. */
export const canonical = (value: unknown): string => JSON.stringify(value ?? null, (_, part) =>
  (part && typeof part === 'object' && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part));
const same = (a: unknown, b: unknown) => canonical(a) === canonical(b);
const rules = (rollout: Rollout | null) => rollout?.rule ?? [];
const byName = (rollout: Rollout | null) => new Map(rules(rollout).map((rule) => [rule.name, rule]));

export type Differs = { field: string; mine: string; theirs: string };

/** Fields of `mine` and `theirs` that are not the same, one line each. */
export function differences(mine: Rollout, theirs: Rollout | null): Differs[] {
  const lines: Differs[] = [];
  const said = (value: unknown) => (value === undefined ? '—' : typeof value === 'string' ? value : JSON.stringify(value));
  const keys = (...of: object[]) => [...new Set(of.flatMap((one) => Object.keys(one)))];
  for (const key of keys(mine, theirs ?? {})) {
    if (key === 'rule') continue;
    const [a, b] = [mine[key as keyof Rollout], theirs?.[key as keyof Rollout]];
    if (!same(a, b)) lines.push({ field: key, mine: said(a), theirs: said(b) });
  }
  const [a, b] = [byName(mine), byName(theirs)];
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const [one, other] = [a.get(name), b.get(name)];
    if (!one || !other) lines.push({ field: name, mine: said(one), theirs: said(other) });
    else for (const key of keys(one, other) as (keyof Rollout_Rule)[]) if (!same(one[key], other[key])) lines.push({ field: `${name} · ${key}`, mine: said(one[key]), theirs: said(other[key]) });
  }
  const order = (rollout: Rollout | null) => rules(rollout).map((rule) => rule.name).join(', ');
  if (a.size === b.size && order(mine) !== order(theirs)) lines.push({ field: '#', mine: order(mine), theirs: order(theirs) });
  return lines;
}

/** What I changed since `base`, made to `theirs`. */
export function rebased(base: Rollout | null, mine: Rollout, theirs: Rollout): Rollout {
  const over = <T extends object>(was: Partial<T>, now: T, other: T): T => {
    const result: any = { ...other };
    for (const key of new Set([...Object.keys(was), ...Object.keys(now)]) as Set<keyof T>) {
      if (same(was[key], now[key])) continue;
      if (now[key] === undefined) delete result[key]; else result[key] = now[key];
    }
    return result;
  };
  const [was, now, other] = [byName(base), byName(mine), byName(theirs)];
  const reordered = !same([...was.keys()].filter((name) => now.has(name)), [...now.keys()].filter((name) => was.has(name)));
  const names = reordered ? [...now.keys(), ...[...other.keys()].filter((name) => !now.has(name) && !was.has(name))] : [...other.keys(), ...[...now.keys()].filter((name) => !other.has(name))];
  const kept = names.flatMap((name): Rollout_Rule[] => {
    const [a, b, c] = [was.get(name), now.get(name), other.get(name)];
    if (!b) return a || !c ? [] : [c];
    if (!c) return a && same(a, b) ? [] : [b];
    return [over(a ?? {}, b, c)];
  });
  const { rule: _a, ...top } = over<Rollout>(base ?? ({} as Rollout), mine, theirs);
  return { ...top, rule: kept };
}
