// A client on the TypeScript SDK, version 2: URL TOKEN → what it has seen, as JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { answer, colour, look } from "./look.mjs";

const [url, token, mode] = process.argv.slice(2);
const options = { capabilities: { elicitation: { form: {} }, sampling: {} }, ...(mode ? { versionNegotiation: { mode } } : {}) };
const client = new Client({ name: "test", version: "1" }, options);
client.setRequestHandler("elicitation/create", colour);
client.setRequestHandler("sampling/createMessage", answer);
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
await client.connect(transport);

const found = { version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "", ...(await look(client, (asked, options) => client.callTool(asked, options))) };
await client.close();
console.log(JSON.stringify(found));
