// A client on the TypeScript SDK, version 2: PLAN URL TOKEN MODE → what it has seen, as JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { answer, colour, look } from "./look.mjs";

const [plan, url, token, mode] = process.argv.slice(2);
const options = { capabilities: { elicitation: { form: {} }, sampling: {} }, versionNegotiation: { mode } };
const client = new Client({ name: "test", version: "1" }, options);
client.setRequestHandler("elicitation/create", colour);
client.setRequestHandler("sampling/createMessage", answer);
const logs = [];
client.setNotificationHandler("notifications/message", ({ params }) => void logs.push(params));
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
await client.connect(transport);

const version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "";
const asked = JSON.parse(plan);
if (version > "2026") asked.level = null; // each request says it in this era
const seen = await look(client, asked, logs, (asked, options) => client.callTool(asked, options));
await client.close();
console.log(JSON.stringify({ version, ...seen }));
