// Shapes that the API's document calls objects: what the server writes there, as its own documentation says.
import type { Rollout_Plan } from './schema';

export type RoleWord = 'admin' | 'release-manager' | 'sre' | 'reviewer' | 'security' | 'auditor';
export type Role = RoleWord | { partner: string };
export type Actor = { id: string; role: Role };
export type Life = { state: string; reason?: string; killed?: boolean; at?: string };
export type Happening = { event: string; app?: string; [field: string]: unknown };
export type Moves = {
  rules: { rule: string; fate: 'stays' | 'added' | 'removed'; before?: string; after?: string; gained: string; lost: string; switched: string; reshuffled: boolean; audience_changed: boolean }[];
  stable?: { from?: string; to: string };
  walk: Record<string, any>;
  text: string;
  cases?: { passed: number; failed: { case: string; why: string }[] };
};
export type Permission = { permission: string; change: string; grade?: string; surface?: string; title?: string; standing: string; revoked: boolean; withheld?: boolean };
export type FileChanges = { added: any[]; removed: any[]; changed: any[]; same: number };

export type Cohorts = { candidate: number; control: number };
export type Guarded = {
  measure: string; action: string; verdict: 'pass' | 'fail' | 'inconclusive' | 'error'; events: Cohorts;
  evidence?: { difference: number; low: number | null; high: number | null; harm: number; needed: number };
};
export type Waits =
  | { for: 'hold'; until: string } | { for: 'units'; least: number; have: number } | { for: 'guard'; measure: string; verdict: string }
  | { for: 'resume'; why: string } | { for: 'ratio' | 'window' | 'freeze' | 'approval' | 'rule' | 'counts' };
export type Ramp = {
  rule: string; version?: string | null; stable: string; state: string; step: number; steps: number; since: string; share: string; control: string;
  next?: string; waits: Waits[]; units?: Cohorts; ratio?: { p: number; is_alarm: boolean }; guards: Guarded[]; plan: Rollout_Plan;
};

export const roleWord = (role: Role) => (typeof role === 'string' ? role : 'partner');
export const roleText = (role: Role) => (typeof role === 'string' ? role : `partner ${role.partner}`);
/** Where a version stands, in one word. */
export const lifeWord = (life: Record<string, any>) => (life.state === 'delisted' && life.killed ? 'killed' : String(life.state));
