// Shapes that the API's document calls objects: what the server writes there, as its own documentation says.
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

export const roleWord = (role: Role) => (typeof role === 'string' ? role : 'partner');
export const roleText = (role: Role) => (typeof role === 'string' ? role : `partner ${role.partner}`);
/** Where a version stands, in one word. */
export const lifeWord = (life: Record<string, any>) => (life.state === 'delisted' && life.killed ? 'killed' : String(life.state));
