// An application that reads one flag by OpenFeature, with the providers that anybody installs: nothing here knows huidu.
//
//   node client.mjs server BASE KEY HOST UNIT…   one line for each unit, as a server asks
//   node client.mjs web BASE KEY HOST UNIT       one line now and one whenever the flag is another, as a page asks
//
// A line is JSON: unit, value, variant, reason, error. The default in the code is `code-default`.

import { EventSource } from 'eventsource';

const [kind, baseUrl, key, host, ...units] = process.argv.slice(2);

const say = (unit, { value, variant, reason, errorCode }) =>
  console.log(JSON.stringify({ unit, value, variant, reason, error: errorCode }));

async function server() {
  const { OpenFeature } = await import('@openfeature/server-sdk');
  const { OFREPProvider } = await import('@openfeature/ofrep-provider');
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl }));
  const client = OpenFeature.getClient();
  for (const unit of units) {
    say(unit, await client.getStringDetails(key, 'code-default', { targetingKey: unit, host }));
  }
  await OpenFeature.close();
}

async function web() {
  // What a browser has and Node has not.
  globalThis.EventSource = EventSource;
  const { OpenFeature, ProviderEvents } = await import('@openfeature/web-sdk');
  const { OFREPWebProvider } = await import('@openfeature/ofrep-web-provider');
  const [unit] = units;
  await OpenFeature.setContext({ targetingKey: unit, host });
  // Without an interval it never polls: what it learns later it learns by events.
  await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl, cacheMode: 'disabled' }));
  const client = OpenFeature.getClient();
  const read = () => say(unit, client.getStringDetails(key, 'code-default'));
  client.addHandler(ProviderEvents.ConfigurationChanged, read);
  read();
}

await (kind === 'web' ? web() : server());
