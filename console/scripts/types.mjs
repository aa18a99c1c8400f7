// Types of the API from docs/openapi.json, which a test of the server holds against the server itself: a page that
// uses what is not there does not build. Writes src/api/schema.ts, which is not kept.
import { readFileSync, writeFileSync } from 'node:fs';

const document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const name = (ref) => ref.split('/').pop().replaceAll('.', '_');
const many = (list, between) => list.map((one) => (/[|&]/.test(one) ? `(${one})` : one)).join(between);

function type(schema) {
  if (!schema || schema === true) return 'unknown';
  if (schema.$ref) return name(schema.$ref);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.allOf) return many(schema.allOf.map(type), ' & ');
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return many([...new Set(either.map(type))], ' | ');
  if (Array.isArray(schema.type)) return many(schema.type.map((one) => type({ ...schema, type: one })), ' | ');
  switch (schema.type) {
    case 'string': return 'string';
    case 'integer': case 'number': return 'number';
    case 'boolean': return 'boolean';
    case 'null': return 'null';
    case 'array': return `${many([type(schema.items)], '')}[]`;
    case 'object': return object(schema);
    default: return 'unknown';
  }
}

function object(schema) {
  const needed = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {}).map(
    ([key, value]) => `${JSON.stringify(key)}${needed.has(key) ? '' : '?'}: ${type(value)}`,
  );
  if (!fields.length) return `Record<string, ${schema.additionalProperties ? type(schema.additionalProperties) : 'any'}>`;
  return `{ ${fields.join('; ')} }`;
}

const lines = ['// Made by scripts/types.mjs from docs/openapi.json; not to be changed by hand.', '/* eslint-disable */'];
for (const [key, schema] of Object.entries(document.components.schemas)) {
  lines.push(`export type ${name(key)} = ${type(schema)};`);
}
lines.push('/** Every route: what it is sent and what it answers. */', 'export interface Routes {');
for (const [path, methods] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const sent = Object.values(operation.requestBody?.content ?? {})[0];
    const good = Object.entries(operation.responses).find(([status]) => status.startsWith('2'))?.[1];
    const answer = good?.content?.['application/json'];
    const query = (operation.parameters ?? []).filter((one) => one.in === 'query');
    const asked = query.map((one) => `${JSON.stringify(one.name)}?: ${type(one.schema)}`).join('; ');
    lines.push(
      `  ${JSON.stringify(`${method.toUpperCase()} ${path}`)}: { body: ${sent ? type(sent.schema) : 'never'}; answer: ${answer ? type(answer.schema) : 'void'}; query: { ${asked} } };`,
    );
  }
}
lines.push('}', '');
writeFileSync(new URL('../src/api/schema.ts', import.meta.url), lines.join('\n'));
