// The OpenID provider that the sign-in tests start: the `oidc-provider` package as it comes, with one client,
// in memory, on loopback. Its own development pages ask for a name and take any password: whoever is typed
// in is who signs in. It ends with its standard input's reader, and says one line once it listens.
//
// usage: node provider.mjs ISSUER PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI

import { Provider } from "oidc-provider";

const [issuer, port, client_id, client_secret, redirect_uri] = process.argv.slice(2);

const provider = new Provider(issuer, {
  clients: [
    {
      client_id,
      client_secret,
      redirect_uris: [redirect_uri],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  cookies: { keys: ["only for tests"] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // Nobody is asked what a test already knows.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope("openid");
    await grant.save();
    return grant;
  },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
