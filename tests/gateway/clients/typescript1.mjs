// A client on the TypeScript SDK, version 1: PLAN URL TOKEN → what it has seen, as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { CreateMessageRequestSchema, ElicitRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { answer, colour, look } from "./look.mjs";

const [plan, url, token] = process.argv.slice(2);
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {}, sampling: {} } });
client.setRequestHandler(ElicitRequestSchema, colour);
client.setRequestHandler(CreateMessageRequestSchema, answer);
const logs = [];
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params));

const headers = { Authorization: `Bearer ${token}` };
const withHeaders = (input, init = {}) => {
  const all = new Headers(init.headers);
  all.set("Authorization", headers.Authorization);
  return fetch(input, { ...init, headers: all });
};
const transport = url.endsWith("/sse")
  ? new SSEClientTransport(new URL(url), { fetch: withHeaders })
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
await client.connect(transport);

const seen = await look(client, JSON.parse(plan), logs, (asked, options) => client.callTool(asked, undefined, options));
await client.close();
console.log(JSON.stringify({ version: transport.protocolVersion ?? "", ...seen }));
