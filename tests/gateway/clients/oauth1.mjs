// A client on the TypeScript SDK, version 1, that has no token and so tries OAuth: URL → the error that its user sees, as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url] = process.argv.slice(2);
const authProvider = {
  redirectUrl: "http://127.0.0.1:1/callback",
  clientMetadata: { client_name: "test", redirect_uris: ["http://127.0.0.1:1/callback"] },
  clientInformation: () => undefined,
  saveClientInformation: () => {},
  tokens: () => undefined,
  saveTokens: () => {},
  redirectToAuthorization: () => {},
  saveCodeVerifier: () => {},
  codeVerifier: () => "",
};
const client = new Client({ name: "test", version: "1" });
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
  console.log(JSON.stringify({ error: "" }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
